package invoke

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

var (
	// ErrNotObject: the payload is JSON, but not an object.
	ErrNotObject = errors.New("JSON object expected")
	// ErrFinal: the payload overrides a parameter that is final
	// (openwhisk-rest-api.md 9.1).
	ErrFinal = errors.New("the payload overrides a final parameter")
)

var errTooDeep = fmt.Errorf("JSON nested deeper than %d levels", entity.MaxNesting)

// ValidObject returns nil if payload is one JSON object, ErrNotObject if it is
// other JSON, or what is wrong with it.
func ValidObject(payload []byte) error {
	if err := valid(payload); err != nil {
		return err
	}
	if payload = bytes.TrimLeft(payload, " \t\r\n"); payload[0] != '{' {
		return ErrNotObject
	}
	return nil
}

// valid checks JSON with gjson, which is several times faster than encoding/json
// but recursive; the latter says what is wrong.
func valid(payload []byte) error {
	if entity.IsTooDeep(payload) {
		return errTooDeep
	}
	if gjson.ValidBytes(payload) {
		return nil
	}
	var raw json.RawMessage
	return json.Unmarshal(payload, &raw)
}

// Arguments are what an action is given in one message.
type Arguments struct {
	// Content is an object or, from a component of a sequence, an array. It may be
	// shared: nobody may change it.
	Content json.RawMessage
	// Init names the entries of Content that go to /init.
	Init []string
	// Locked maps the names of entries that are encrypted to their scheme.
	Locked map[string]string
}

// Merge overlays the parameters of an action with a payload: a valid JSON object,
// an array, which bypasses the parameters (openwhisk-invoker.md section 13, trap
// 25), or nothing. Values are copied as they are spelled, not decoded; the payload
// keeps its own order and duplicates behind the parameters that it leaves.
func Merge(c *catalog.Callable, payload json.RawMessage) Arguments {
	payload = bytes.TrimSpace(payload)
	if len(payload) > 0 && payload[0] != '{' {
		return Arguments{Content: payload}
	}
	body := bytes.TrimSpace(inside(payload))
	if len(body) == 0 {
		return Arguments{Content: c.Arguments, Init: c.InitArguments, Locked: c.Locked}
	}
	if len(c.Parameters) == 0 {
		return Arguments{Content: payload, Init: c.InitArguments, Locked: c.Locked}
	}
	overridden := overrides(c, payload)
	if len(overridden) == len(c.Parameters) {
		return Arguments{Content: payload, Init: c.InitArguments}
	}
	return Arguments{Content: overlay(c, payload, body, overridden), Init: c.InitArguments, Locked: unlocked(c.Locked, overridden)}
}

// Overlay is Merge for parameters that belong to no action: a JSON object.
func Overlay(parameters entity.Parameters, payload json.RawMessage) json.RawMessage {
	object := append(catalog.AppendFields([]byte{'{'}, parameters), '}')
	return Merge(&catalog.Callable{Parameters: parameters, Arguments: object}, payload).Content
}

// inside returns an object's text without its braces.
func inside(object []byte) []byte {
	if len(object) < 2 {
		return nil
	}
	return object[1 : len(object)-1]
}

// overrides names the action's parameters that payload has too, each once.
func overrides(c *catalog.Callable, payload []byte) []string {
	var names []string
	eachKey(payload, func(key string) bool {
		if _, known := c.Parameters.Get(key); known && !slices.Contains(names, key) {
			names = append(names, key)
		}
		return true
	})
	return names
}

func overlay(c *catalog.Callable, payload, body []byte, overridden []string) json.RawMessage {
	content := make([]byte, 0, len(c.Arguments)+len(payload)+1)
	if len(overridden) == 0 {
		content = append(content, c.Arguments[:len(c.Arguments)-1]...)
	} else {
		left := slices.DeleteFunc(slices.Clone(c.Parameters), func(p entity.Parameter) bool {
			return slices.Contains(overridden, p.Key)
		})
		content = catalog.AppendFields(append(content, '{'), left)
	}
	content = append(content, ',')
	content = append(content, body...)
	return append(content, '}')
}

func unlocked(locked map[string]string, overridden []string) map[string]string {
	if len(locked) == 0 || len(overridden) == 0 {
		return locked
	}
	left := make(map[string]string, len(locked))
	for name, scheme := range locked {
		if !slices.Contains(overridden, name) {
			left[name] = scheme
		}
	}
	return left
}

// CheckFinal returns ErrFinal if payload, an object or nothing, has a key of a
// final parameter.
func CheckFinal(c *catalog.Callable, payload json.RawMessage) error {
	if len(c.Final) == 0 || len(payload) == 0 {
		return nil
	}
	var err error
	eachKey(payload, func(key string) bool {
		if slices.Contains(c.Final, key) {
			err = ErrFinal
		}
		return err == nil
	})
	return err
}

// eachKey calls f with the keys of a valid JSON object until f returns false.
func eachKey(object []byte, f func(key string) bool) {
	gjson.ParseBytes(object).ForEach(func(key, _ gjson.Result) bool { return f(key.String()) })
}
