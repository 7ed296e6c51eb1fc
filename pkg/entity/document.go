package entity

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// ErrUnreadable marks a stored document that is not what its entityType says.
var ErrUnreadable = errors.New("the document is corrupted")

// AppendDocument appends the document form of e without _id, _rev and code
// (openwhisk-invoker.md 6.3); how code is stored is up to the store.
func AppendDocument(dst []byte, e Entity) []byte {
	h := e.Head()
	dst = append(dst, '{')
	dst = h.appendAddress(dst)
	dst = append(dst, `,"entityType":"`...)
	dst = append(dst, e.Type()...)
	dst = append(dst, '"')
	dst = h.appendState(dst)
	switch e := e.(type) {
	case *Action:
		dst = append(dst, `,"exec":`...)
		dst = e.Exec.appendStored(dst)
		dst = append(dst, `,"parameters":`...)
		dst = e.Parameters.AppendJSON(dst)
		dst = append(dst, `,"limits":`...)
		dst = e.Limits.AppendJSON(dst)
	case *Package:
		// The empty object matters: OpenWhisk's views tell packages by it.
		dst = append(dst, `,"binding":`...)
		if e.Binding != nil {
			dst = e.Binding.appendJSON(dst)
		} else {
			dst = append(dst, '{', '}')
		}
		dst = append(dst, `,"parameters":`...)
		dst = e.Parameters.AppendJSON(dst)
	case *Trigger:
		dst = append(dst, `,"parameters":`...)
		dst = e.Parameters.AppendJSON(dst)
		dst = append(dst, `,"limits":{}`...)
		if e.Rules != nil {
			dst = append(dst, `,"rules":`...)
			dst = e.appendRules(dst)
		}
	case *Rule:
		dst = append(dst, `,"trigger":`...)
		dst = e.Trigger.AppendJSON(dst)
		dst = append(dst, `,"action":`...)
		dst = e.Action.AppendJSON(dst)
	}
	return append(dst, '}')
}

type document struct {
	Namespace   Path            `json:"namespace"`
	Name        Name            `json:"name"`
	EntityType  Type            `json:"entityType"`
	Version     Version         `json:"version"`
	Publish     bool            `json:"publish"`
	Annotations Parameters      `json:"annotations"`
	Updated     int64           `json:"updated"`
	Exec        json.RawMessage `json:"exec"`
	Parameters  Parameters      `json:"parameters"`
	Limits      json.RawMessage `json:"limits"`
	Binding     json.RawMessage `json:"binding"`
	Rules       json.RawMessage `json:"rules"`
	Trigger     *FQN            `json:"trigger"`
	Action      *FQN            `json:"action"`
}

// ParseDocument reads a document that AppendDocument wrote. Errors wrap
// ErrUnreadable. Documents of older data without entityType are recognised by
// their fields.
func ParseDocument(data []byte) (Entity, error) {
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	e, err := d.entity()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return e, nil
}

func (d *document) entity() (Entity, error) {
	head := Header{Namespace: d.Namespace, Name: d.Name, Version: d.Version, Publish: d.Publish, Annotations: d.Annotations, Updated: d.Updated}
	switch d.kind() {
	case TypeAction:
		exec, err := parseStoredExec(d.Exec)
		if err != nil {
			return nil, err
		}
		a := &Action{Header: head, Exec: *exec, Parameters: d.Parameters}
		var patch LimitsPatch
		if len(d.Limits) > 0 {
			if err := patch.UnmarshalJSON(d.Limits); err != nil {
				return nil, err
			}
		}
		// Older documents lack logs or concurrency.
		a.Limits = patch.Apply(DefaultLimitRanges().Std())
		return a, nil
	case TypePackage:
		p := &Package{Header: head, Parameters: d.Parameters}
		var ref struct{ Namespace, Name string }
		if json.Unmarshal(d.Binding, &ref) == nil && ref.Name != "" {
			p.Binding = &PackageRef{Namespace: Path(ref.Namespace), Name: Name(ref.Name)}
		}
		return p, nil
	case TypeTrigger:
		t := &Trigger{Header: head, Parameters: d.Parameters}
		return t, t.parseRules(d.Rules)
	case TypeRule:
		if d.Trigger == nil || d.Action == nil {
			return nil, errors.New("rule without trigger or action")
		}
		return &Rule{Header: head, Trigger: *d.Trigger, Action: *d.Action}, nil
	}
	return nil, fmt.Errorf("unknown entity type %s", strconv.Quote(string(d.EntityType)))
}

func (d *document) kind() Type {
	switch {
	case d.EntityType != "":
		return d.EntityType
	case d.Exec != nil:
		return TypeAction
	case d.Binding != nil:
		return TypePackage
	case d.Trigger != nil:
		return TypeRule
	case d.Parameters != nil:
		return TypeTrigger
	}
	return ""
}

// parseStoredExec trusts kind and binary: the manifest may have changed since.
func parseStoredExec(data []byte) (*Exec, error) {
	var f struct {
		Kind       string
		Main       string
		Image      string
		Binary     bool
		Digest     string
		Components []FQN
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	if f.Kind == "" {
		return nil, errors.New("exec without kind")
	}
	return &Exec{Kind: f.Kind, Main: f.Main, Image: f.Image, Binary: f.Binary, Digest: f.Digest, Components: f.Components}, nil
}

// parseRules keeps the order in which the rules were written.
func (t *Trigger) parseRules(data []byte) error {
	if isAbsent(data) {
		return nil
	}
	t.Rules = []TriggerRule{}
	return eachField(data, func(key string, value json.RawMessage) error {
		rule, err := ParseFQN(key)
		if err != nil {
			return err
		}
		r := TriggerRule{Rule: rule}
		if err := json.Unmarshal(value, &r); err != nil {
			return err
		}
		t.Rules = append(t.Rules, r)
		return nil
	})
}
