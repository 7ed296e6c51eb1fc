package apidoc

import (
	"bytes"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// object is a JSON object whose fields keep the order of the source, which is the
// order of the page.
type object struct {
	keys   []string
	values map[string]any // *object, []any, string, bool, a number or nil
}

func newObject() *object { return &object{values: map[string]any{}} }

func (o *object) set(key string, value any) {
	if _, ok := o.values[key]; !ok {
		o.keys = append(o.keys, key)
	}
	o.values[key] = value
}

func (o *object) remove(key string) {
	delete(o.values, key)
	for i, k := range o.keys {
		if k == key {
			o.keys = append(o.keys[:i:i], o.keys[i+1:]...)
			return
		}
	}
}

// object, list and text return a field, or the zero value if it is absent or
// something else. A nil object has no fields.
func (o *object) object(key string) *object {
	v, _ := o.value(key).(*object)
	return v
}

func (o *object) list(key string) []any {
	v, _ := o.value(key).([]any)
	return v
}

func (o *object) text(key string) string {
	v, _ := o.value(key).(string)
	return v
}

func (o *object) value(key string) any {
	if o == nil {
		return nil
	}
	return o.values[key]
}

// each calls f for every field, in order.
func (o *object) each(f func(key string, value any)) {
	if o == nil {
		return
	}
	for _, key := range o.keys {
		f(key, o.values[key])
	}
}

// merge adds the fields of another object; a field of both must be an object in
// both, or a list, whose items are added.
func (o *object) merge(other *object) error {
	var err error
	other.each(func(key string, value any) {
		old, exists := o.values[key]
		if err != nil {
			return
		}
		oldObject, isObject := old.(*object)
		newObject, areObjects := value.(*object)
		oldList, isList := old.([]any)
		newList, areLists := value.([]any)
		switch {
		case !exists:
			o.set(key, value)
		case isObject && areObjects:
			err = oldObject.merge(newObject)
		case isList && areLists:
			o.set(key, append(oldList, newList...))
		default:
			err = fmt.Errorf("%s is there twice", key)
		}
	})
	return err
}

// MarshalJSON keeps the order.
func (o *object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, key := range o.keys {
		if i > 0 {
			b.WriteByte(',')
		}
		name, _ := json.Marshal(key) // a string can be
		b.Write(name)
		b.WriteByte(':')
		value, err := encode(o.values[key])
		if err != nil {
			return nil, err
		}
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encode is json.Marshal that leaves <, > and & as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// parse reads YAML whose root is a mapping.
func parse(source []byte) (*object, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(source, &document); err != nil {
		return nil, err
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("the root is no mapping")
	}
	return parseMapping(document.Content[0])
}

func parseNode(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.AliasNode:
		return parseNode(n.Alias)
	case yaml.MappingNode:
		return parseMapping(n)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			v, err := parseNode(item)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}
	var v any
	err := n.Decode(&v)
	return v, err
}

// parseMapping resolves merge keys ("<<"): what they bring comes first and gives
// way to the mapping's own fields.
func parseMapping(n *yaml.Node) (*object, error) {
	o, own := newObject(), map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		value, err := parseNode(n.Content[i+1])
		if err != nil {
			return nil, err
		}
		if n.Content[i].Tag == "!!merge" {
			merged, ok := value.(*object)
			if !ok {
				return nil, fmt.Errorf("line %d: a merge key without a mapping", n.Content[i].Line)
			}
			merged.each(func(key string, value any) {
				if !own[key] {
					o.set(key, value)
				}
			})
			continue
		}
		if own[key] {
			return nil, fmt.Errorf("line %d: %s is there twice", n.Content[i].Line, key)
		}
		own[key] = true
		o.set(key, value)
	}
	return o, nil
}
