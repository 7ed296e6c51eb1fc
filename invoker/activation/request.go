package activation

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// envEntry is one variable of the environment that /init sets, its value already
// a JSON string.
type envEntry struct {
	key   string
	value string
}

// splitInit moves the named entries of a JSON object out of it, as strings:
// strings as they are, null as "", everything else as compact JSON
// (openwhisk-invoker.md 1.1).
func splitInit(content json.RawMessage, names []string) (rest json.RawMessage, env []envEntry) {
	rest = append(make([]byte, 0, len(content)), '{')
	gjson.ParseBytes(content).ForEach(func(key, value gjson.Result) bool {
		if slices.Contains(names, key.String()) {
			env = append(env, envEntry{key.String(), environmentValue(value)})
			return true
		}
		if len(rest) > 1 {
			rest = append(rest, ',')
		}
		rest = append(rest, key.Raw...)
		rest = append(rest, ':')
		rest = append(rest, value.Raw...)
		return true
	})
	return append(rest, '}'), env
}

func environmentValue(v gjson.Result) string {
	switch v.Type {
	case gjson.String:
		return v.String()
	case gjson.Null:
		return ""
	case gjson.JSON:
		return string(entity.Compact(json.RawMessage(v.Raw)))
	}
	return v.Raw
}

// whiskContext is what the platform tells an action about its activation, in both
// spellings: __OW_* in the environment of /init, fields of /run.
type whiskContext struct {
	namespace, action, version, activation, transid string
	// apiKey is "" unless the action is granted it.
	apiKey string
	// deadline is milliseconds since the epoch, as a string.
	deadline string
}

func newContext(t *Task, deadline time.Time) whiskContext {
	m := t.Message()
	c := whiskContext{
		namespace:  m.User.Namespace,
		action:     "/" + m.Action.String(),
		version:    t.Action.Version.String(),
		activation: string(m.ActivationID),
		transid:    m.Transid.ID,
		deadline:   strconv.FormatInt(deadline.UnixMilli(), 10),
	}
	if m.User.Key.Key != "" && isKeyGranted(t.Action) {
		c.apiKey = m.User.Key.String()
	}
	return c
}

// appendInit appends the body of /init.
func appendInit(dst []byte, t *Task, code string, env []envEntry, c whiskContext) []byte {
	e := &t.Action.Exec
	dst = append(dst, `{"value":{"name":`...)
	dst = entity.AppendString(dst, string(t.Action.Name))
	dst = append(dst, `,"main":`...)
	if e.Main != "" {
		dst = entity.AppendString(dst, e.Main)
	} else {
		dst = append(dst, `"main"`...)
	}
	if code != "" || e.Kind != entity.KindBlackbox {
		dst = append(dst, `,"code":`...)
		dst = entity.AppendString(dst, code)
	}
	dst = append(dst, `,"binary":`...)
	dst = strconv.AppendBool(dst, e.Binary)
	dst = append(dst, `,"env":{`...)
	// The context comes last: it overrides parameters of the same name.
	for _, v := range append(env, c.environment()...) {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = entity.AppendString(dst, v.key)
		dst = append(dst, ':')
		dst = entity.AppendString(dst, v.value)
	}
	return append(dst, '}', '}', '}')
}

func (c whiskContext) environment() []envEntry {
	env := []envEntry{
		{"__OW_NAMESPACE", c.namespace},
		{"__OW_ACTION_NAME", c.action},
		{"__OW_ACTION_VERSION", c.version},
		{"__OW_ACTIVATION_ID", c.activation},
		{"__OW_TRANSACTION_ID", c.transid},
		{"__OW_DEADLINE", c.deadline},
	}
	if c.apiKey != "" {
		env = append(env, envEntry{"__OW_API_KEY", c.apiKey})
	}
	return env
}

// appendRun appends the body of /run; value is copied as it is.
func appendRun(dst []byte, value json.RawMessage, c whiskContext) []byte {
	dst = append(dst, `{"value":`...)
	dst = append(dst, value...)
	dst = appendField(dst, "namespace", c.namespace)
	dst = appendField(dst, "action_name", c.action)
	dst = appendField(dst, "action_version", c.version)
	dst = appendField(dst, "activation_id", c.activation)
	dst = appendField(dst, "transaction_id", c.transid)
	dst = appendField(dst, "deadline", c.deadline)
	if c.apiKey != "" {
		dst = appendField(dst, "api_key", c.apiKey)
	}
	return append(dst, '}')
}

func appendField(dst []byte, key, value string) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, key...)
	dst = append(dst, '"', ':')
	return entity.AppendString(dst, value)
}
