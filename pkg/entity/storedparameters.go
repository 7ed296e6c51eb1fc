package entity

import (
	"bytes"

	"github.com/tidwall/gjson"
)

// ParseStoredParameters reads what AppendJSON wrote, several times faster than
// UnmarshalJSON: lists of records have five annotations for each record. It trusts
// that data is valid and compact; what else it meets goes to UnmarshalJSON.
func ParseStoredParameters(data []byte) (Parameters, error) {
	if len(data) == 0 || data[0] != '[' || bytes.IndexByte(data, '\\') >= 0 {
		var p Parameters
		err := p.UnmarshalJSON(data)
		return p, err
	}
	out := make(Parameters, 0, bytes.Count(data, []byte(`{"key":`)))
	ok := true
	gjson.ParseBytes(data).ForEach(func(_, entry gjson.Result) bool {
		var q Parameter
		hasKey := false
		entry.ForEach(func(name, value gjson.Result) bool {
			switch name.Str {
			case "key":
				q.Key, hasKey = value.Str, value.Type == gjson.String
			case "value":
				q.Value = []byte(value.Raw)
			case "init":
				q.Init = value.Type == gjson.True
			case "encryption":
				q.Encryption = value.Str
			}
			return true
		})
		ok = hasKey && len(q.Value) > 0
		out = append(out, q)
		return ok
	})
	if !ok {
		return nil, errParameters
	}
	return out, nil
}
