package entity

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrUnreadable marks a stored document that is not what its entityType says.
var ErrUnreadable = errors.New("the document is corrupted")

// AppendDocument appends the document form of e without _id, _rev and code
// (openwhisk-invoker.md 6.3); how code is stored is up to the store.
func AppendDocument(dst []byte, e Entity) []byte { return AppendDocumentWithCode(dst, e, nil) }

// AppendDocumentWithCode is AppendDocument with exec.code of an action: a string, or
// where an attachment has it; nil has none.
func AppendDocumentWithCode(dst []byte, e Entity, code json.RawMessage) []byte {
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
		dst = e.Exec.appendStored(dst, code)
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
	Trigger     json.RawMessage `json:"trigger"`
	Action      json.RawMessage `json:"action"`
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
	if head.Version == (Version{}) {
		head.Version = FirstVersion // 0.0.0 is not a version
	}
	switch d.kind() {
	case TypeAction:
		exec, err := parseStoredExec(d.Exec)
		if err != nil {
			return nil, err
		}
		a := &Action{Header: head, Exec: *exec, Parameters: d.Parameters}
		a.Limits, err = ParseStoredLimits(d.Limits)
		return a, err
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
		trigger, err := parseReference(d.Trigger, head.Namespace)
		if err != nil {
			return nil, fmt.Errorf("trigger of the rule: %w", err)
		}
		action, err := parseReference(d.Action, head.Namespace)
		if err != nil {
			return nil, fmt.Errorf("action of the rule: %w", err)
		}
		return &Rule{Header: head, Trigger: trigger, Action: action}, nil
	}
	return nil, fmt.Errorf("unknown entity type %s", strconv.Quote(string(d.EntityType)))
}

// parseReference reads what a rule refers to. Old rules have the bare names of
// their own namespace (openwhisk-invoker.md 6.3).
func parseReference(data json.RawMessage, namespace Path) (f FQN, err error) {
	if s, ok := asString(data); ok && !strings.Contains(s, "/") {
		return NewFQN(string(namespace), s)
	}
	if isAbsent(data) {
		return f, errors.New("missing")
	}
	err = f.UnmarshalJSON(data)
	return f, err
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

// ParseStoredLimits reads the limits of an action's document; older ones lack logs or
// concurrency.
func ParseStoredLimits(data []byte) (ActionLimits, error) {
	var patch LimitsPatch
	if len(data) > 0 {
		if err := patch.UnmarshalJSON(data); err != nil {
			return ActionLimits{}, err
		}
	}
	return patch.Apply(DefaultLimitRanges().Std()), nil
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
		if r.Action.Name == "" {
			return fmt.Errorf("rule %s of the trigger has no action", rule)
		}
		t.Rules = append(t.Rules, r)
		return nil
	})
}
