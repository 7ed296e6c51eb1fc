package bus

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// AppendJSON appends the wire form of m. Content is copied as it is.
func (m *ActivationMessage) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"transid":`...)
	dst = m.Transid.appendJSON(dst)
	dst = append(dst, `,"action":{"path":`...)
	dst = entity.AppendString(dst, string(m.Action.Path))
	dst = append(dst, `,"name":`...)
	dst = entity.AppendString(dst, string(m.Action.Name))
	if m.Version != (entity.Version{}) { // 0.0.0 is not a version
		dst = append(dst, `,"version":"`...)
		dst = append(dst, m.Version.String()...)
		dst = append(dst, '"')
	}
	if m.Binding != "" {
		dst = append(dst, `,"binding":`...)
		dst = entity.AppendString(dst, string(m.Binding))
	}
	dst = append(dst, `},"revision":`...)
	dst = entity.AppendString(dst, m.Revision)
	dst = append(dst, `,"user":`...)
	dst = m.appendUser(dst)
	dst = append(dst, `,"activationId":"`...)
	dst = append(dst, m.ActivationID...)
	dst = append(dst, `","rootControllerIndex":{"asString":`...)
	dst = entity.AppendString(dst, string(m.Controller))
	dst = append(dst, `,"instanceType":"controller"},"blocking":`...)
	dst = strconv.AppendBool(dst, m.Blocking)
	if m.Content != nil {
		dst = append(dst, `,"content":`...)
		dst = append(dst, m.Content...)
	}
	dst = append(dst, `,"initArgs":`...)
	dst = entity.AppendStrings(dst, m.InitArgs)
	dst = append(dst, `,"lockedArgs":`...)
	dst = appendStringMap(dst, m.LockedArgs)
	if m.Cause != "" {
		dst = append(dst, `,"cause":"`...)
		dst = append(dst, m.Cause...)
		dst = append(dst, '"')
	}
	if m.Republished {
		dst = append(dst, `,"republished":true`...)
	}
	if len(m.Trace) > 0 {
		dst = append(dst, `,"traceContext":`...)
		dst = appendStringMap(dst, m.Trace)
	}
	return append(dst, '}')
}

func (m *ActivationMessage) appendUser(dst []byte) []byte {
	dst = append(dst, `{"subject":`...)
	dst = entity.AppendString(dst, m.User.Subject)
	dst = append(dst, `,"namespace":{"name":`...)
	dst = entity.AppendString(dst, m.User.Namespace)
	dst = append(dst, `,"uuid":`...)
	dst = entity.AppendString(dst, m.User.Key.UUID)
	dst = append(dst, `},"authkey":{`...)
	if m.User.Key.Key != "" {
		dst = append(dst, `"api_key":`...)
		dst = entity.AppendString(dst, m.User.Key.String())
	}
	dst = append(dst, `},"rights":["READ","PUT","DELETE","ACTIVATE"],"limits":`...)
	dst = m.User.Limits.AppendJSON(dst)
	return append(dst, '}')
}

func appendStringMap(dst []byte, m map[string]string) []byte {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	dst = append(dst, '{')
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = entity.AppendString(dst, k)
		dst = append(dst, ':')
		dst = entity.AppendString(dst, m[k])
	}
	return append(dst, '}')
}

type wireMessage struct {
	Transid []json.RawMessage `json:"transid"`
	Action  struct {
		Path    string         `json:"path"`
		Name    string         `json:"name"`
		Version entity.Version `json:"version"`
		Binding entity.Path    `json:"binding"`
	} `json:"action"`
	Revision *string `json:"revision"`
	User     struct {
		Subject   string `json:"subject"`
		Namespace struct {
			Name string `json:"name"`
			UUID string `json:"uuid"`
		} `json:"namespace"`
		Authkey struct {
			APIKey string `json:"api_key"`
		} `json:"authkey"`
		Limits entity.UserLimits `json:"limits"`
	} `json:"user"`
	ActivationID        string `json:"activationId"`
	RootControllerIndex struct {
		AsString string `json:"asString"`
	} `json:"rootControllerIndex"`
	Blocking    bool              `json:"blocking"`
	Content     json.RawMessage   `json:"content"`
	InitArgs    []string          `json:"initArgs"`
	LockedArgs  map[string]string `json:"lockedArgs"`
	Cause       string            `json:"cause"`
	Republished bool              `json:"republished"`
	Trace       map[string]string `json:"traceContext"`
}

// ParseActivationMessage reads the wire form.
func ParseActivationMessage(data []byte) (*ActivationMessage, error) {
	var w wireMessage
	if err := json.Unmarshal(data, &w); err != nil {
		return nil, fmt.Errorf("activation message: %w", err)
	}
	id, err := entity.ParseActivationID(w.ActivationID)
	if err != nil {
		return nil, fmt.Errorf("activation message: %w", err)
	}
	action, err := entity.NewFQN(w.Action.Path, w.Action.Name)
	if err != nil {
		return nil, fmt.Errorf("activation message: action: %w", err)
	}
	if w.Cause != "" {
		if _, err := entity.ParseActivationID(w.Cause); err != nil {
			return nil, fmt.Errorf("activation message: cause: %w", err)
		}
	}
	if string(w.Content) == "null" {
		w.Content = nil
	}
	m := &ActivationMessage{
		Transid:      parseTransid(w.Transid),
		Action:       action,
		Binding:      w.Action.Binding,
		Version:      w.Action.Version,
		ActivationID: id,
		Controller:   entity.ControllerID(w.RootControllerIndex.AsString),
		Blocking:     w.Blocking,
		Content:      w.Content,
		InitArgs:     w.InitArgs,
		LockedArgs:   w.LockedArgs,
		Cause:        entity.ActivationID(w.Cause),
		Republished:  w.Republished,
		Trace:        w.Trace,
	}
	if w.Revision != nil {
		m.Revision = *w.Revision
	}
	m.User = entity.Identity{Subject: w.User.Subject, Namespace: w.User.Namespace.Name, Limits: w.User.Limits}
	m.User.Key.UUID = w.User.Namespace.UUID
	if key, ok := strings.CutPrefix(w.User.Authkey.APIKey, w.User.Namespace.UUID+":"); ok {
		m.User.Key.Key = key
	}
	return m, nil
}

func parseTransid(parts []json.RawMessage) (t Transid) {
	if len(parts) > 0 {
		_ = json.Unmarshal(parts[0], &t.ID) // a message with an odd transid still runs
	}
	if len(parts) > 1 {
		if ms, err := strconv.ParseInt(string(parts[1]), 10, 64); err == nil {
			t.Start = time.UnixMilli(ms)
		}
	}
	if len(parts) > 2 {
		t.Extra = string(parts[2]) == "true"
	}
	return t
}
