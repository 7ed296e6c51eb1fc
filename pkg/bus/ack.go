package bus

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// AppendJSON appends the wire form of c: OpenWhisk's acknowledgements, which are told
// apart by their fields (openwhisk-invoker.md 5.2). The user's result is copied as it
// is.
func (c *Completion) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"transid":`...)
	dst = c.Transid.appendJSON(dst)
	if c.Kind != SlotFree {
		dst = append(dst, `,"response":`...)
		if c.Record != nil {
			dst = c.Record.AppendDocument(dst)
		} else {
			dst = entity.AppendString(dst, string(c.ActivationID))
		}
	} else {
		dst = append(dst, `,"activationId":"`...)
		dst = append(dst, c.ActivationID...)
		dst = append(dst, '"')
	}
	if c.Kind != ResultReady {
		dst = append(dst, `,"isSystemError":`...)
		dst = strconv.AppendBool(dst, c.IsSystemError)
		dst = append(dst, `,"instance":{"instance":`...)
		dst = strconv.AppendInt(dst, int64(c.Invoker), 10)
		dst = append(dst, `,"instanceType":"invoker"}`...)
	}
	return append(dst, '}')
}

type wireCompletion struct {
	Transid       []json.RawMessage `json:"transid"`
	Response      json.RawMessage   `json:"response"`
	ActivationID  string            `json:"activationId"`
	IsSystemError bool              `json:"isSystemError"`
	Instance      *struct {
		Instance int `json:"instance"`
	} `json:"instance"`
}

// ParseCompletion reads the wire form.
func ParseCompletion(data []byte) (*Completion, error) {
	var w wireCompletion
	if err := json.Unmarshal(data, &w); err != nil {
		return nil, fmt.Errorf("completion: %w", err)
	}
	c := &Completion{Transid: parseTransid(w.Transid), IsSystemError: w.IsSystemError}
	id := w.ActivationID
	switch {
	case len(w.Response) == 0:
		c.Kind = SlotFree
	case w.Response[0] == '"':
		if err := json.Unmarshal(w.Response, &id); err != nil {
			return nil, fmt.Errorf("completion: %w", err)
		}
	default:
		record, err := entity.ParseActivationDocument(w.Response)
		if err != nil {
			return nil, fmt.Errorf("completion: %w", err)
		}
		c.Record, id = record, string(record.ActivationID)
	}
	switch {
	case w.Instance != nil:
		c.Invoker = entity.InvokerID(w.Instance.Instance)
		if c.Kind == 0 {
			c.Kind = Combined
		}
	case c.Kind == 0:
		c.Kind = ResultReady
	default:
		return nil, fmt.Errorf("completion: it has neither a response nor an instance")
	}
	var err error
	if c.ActivationID, err = entity.ParseActivationID(id); err != nil {
		return nil, fmt.Errorf("completion: %w", err)
	}
	return c, nil
}
