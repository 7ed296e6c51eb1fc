package entity

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
