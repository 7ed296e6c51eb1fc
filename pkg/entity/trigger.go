package entity

import "slices"

// RuleStatus is whether a rule fires.
type RuleStatus string

const (
	RuleActive   RuleStatus = "active"
	RuleInactive RuleStatus = "inactive"
)

// Trigger is a named class of events.
type Trigger struct {
	Header
	Parameters Parameters
	// Rules are the rules that listen, in the order of their creation. Nil until
	// the first rule was made; then at least empty.
	Rules []TriggerRule
}

// TriggerRule is a rule as its trigger knows it; the status lives here and not
// in the rule's own document (openwhisk-invoker.md 6.3).
type TriggerRule struct {
	Rule   FQN        `json:"-"`
	Action FQN        `json:"action"`
	Status RuleStatus `json:"status"`
}

// RuleStatus is the status of a rule of the trigger. One that is not listed is
// inactive.
func (t *Trigger) RuleStatus(rule FQN) RuleStatus {
	for _, r := range t.Rules {
		if r.Rule == rule {
			return r.Status
		}
	}
	return RuleInactive
}

// HasActiveRule reports whether firing the trigger runs anything.
func (t *Trigger) HasActiveRule() bool {
	return slices.ContainsFunc(t.Rules, func(r TriggerRule) bool { return r.Status == RuleActive })
}

// Link lists a rule, in the place that it has already or behind the others, and
// reports whether that changed the trigger.
func (t *Trigger) Link(rule TriggerRule) (changed bool) {
	for i, r := range t.Rules {
		if r.Rule == rule.Rule {
			t.Rules[i] = rule
			return r != rule
		}
	}
	t.Rules = append(t.Rules, rule)
	return true
}

// Unlink removes a rule, and reports whether it was listed.
func (t *Trigger) Unlink(rule FQN) (changed bool) {
	before := len(t.Rules)
	t.Rules = slices.DeleteFunc(t.Rules, func(r TriggerRule) bool { return r.Rule == rule })
	return len(t.Rules) < before
}

// Type is TypeTrigger.
func (*Trigger) Type() Type { return TypeTrigger }

// AppendJSON appends the API form (openwhisk-rest-api.md 14.1). The secrets of its
// webhook are masked.
func (t *Trigger) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	dst = t.appendAddress(dst)
	dst = append(dst, `,"parameters":`...)
	dst = t.Parameters.AppendJSON(dst)
	dst = append(dst, `,"limits":{}`...)
	dst = t.masked().appendState(dst)
	if t.Rules != nil {
		dst = append(dst, `,"rules":`...)
		dst = t.appendRules(dst)
	}
	return append(dst, '}')
}

func (t *Trigger) appendRules(dst []byte) []byte {
	dst = append(dst, '{')
	for i, r := range t.Rules {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(dst, r.Rule.String())
		dst = append(dst, `:{"action":`...)
		dst = r.Action.AppendJSON(dst)
		dst = append(dst, `,"status":`...)
		dst = AppendString(dst, string(r.Status))
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// AppendSummary implements Entity. The secrets of its webhook are masked.
func (t *Trigger) AppendSummary(dst []byte) []byte {
	dst = append(dst, '{')
	dst = t.appendAddress(dst)
	dst = t.masked().appendState(dst)
	return append(dst, '}')
}

// Rule ties a trigger to an action.
type Rule struct {
	Header
	Trigger FQN
	Action  FQN
}

// FQN is the rule's own address.
func (r *Rule) FQN() FQN { return FQN{Path: r.Namespace, Name: r.Name} }

// Type is TypeRule.
func (*Rule) Type() Type { return TypeRule }

// AppendJSON appends the API form with the given status
// (openwhisk-rest-api.md 15.1).
func (r *Rule) AppendJSON(dst []byte, status RuleStatus) []byte {
	dst = append(dst, '{')
	dst = r.appendAddress(dst)
	dst = append(dst, `,"status":`...)
	dst = AppendString(dst, string(status))
	return append(r.appendRest(dst), '}')
}

// AppendSummary implements Entity: the whole rule but its status.
func (r *Rule) AppendSummary(dst []byte) []byte {
	dst = append(dst, '{')
	dst = r.appendAddress(dst)
	return append(r.appendRest(dst), '}')
}

func (r *Rule) appendRest(dst []byte) []byte {
	dst = append(dst, `,"trigger":`...)
	dst = r.Trigger.AppendJSON(dst)
	dst = append(dst, `,"action":`...)
	dst = r.Action.AppendJSON(dst)
	return r.appendState(dst)
}
