package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// listRules lists the rules of a namespace, whole but for their status, which lives
// with their triggers (openwhisk-rest-api.md 6.1).
func (a *API) listRules(x *Exchange) error {
	return a.listEntities(x, entitle.Rules, store.EntityQuery{Type: entity.TypeRule, Path: x.at.namespace})
}

func (a *API) getRule(x *Exchange) error {
	rule, err := catalog.As[*entity.Rule](a.catalog.Entity(x.Context(), x.at.id()))
	if err != nil {
		return err
	}
	status, err := a.ruleStatus(x.Context(), rule)
	if err != nil {
		return err
	}
	return x.writeRule(rule, status)
}

func (x *Exchange) writeRule(rule *entity.Rule, status entity.RuleStatus) error {
	return x.write(http.StatusOK, func(dst []byte) []byte { return rule.AppendJSON(dst, status) })
}

// ruleStatus looks into the rule's trigger. A rule that is not listed there, or
// whose trigger is gone, is inactive (openwhisk-rest-api.md 15.1).
func (a *API) ruleStatus(ctx context.Context, rule *entity.Rule) (entity.RuleStatus, error) {
	trigger, err := catalog.As[*entity.Trigger](a.catalog.Entity(ctx, rule.Trigger.ID()))
	switch {
	case isNoTrigger(err):
		return entity.RuleInactive, nil
	case err != nil:
		return "", err
	}
	return trigger.RuleStatus(rule.FQN()), nil
}

// isNoTrigger: there is nothing by the trigger's name, or something else.
func isNoTrigger(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, catalog.ErrWrongType)
}

// ruleRequest is the body of a PUT of a rule; nil fields were absent.
type ruleRequest struct {
	*entityRequest
	trigger, action *entity.FQN
}

// putRule creates or updates a rule (openwhisk-rest-api.md 15.2).
func (a *API) putRule(x *Exchange) error {
	req, overwrite, err := a.ruleRequest(x)
	if err != nil {
		return err
	}
	if err := a.checkRuleReferences(x, req); err != nil {
		return err
	}
	if err := x.negotiate(); err != nil {
		return err
	}
	ctx := x.Context()
	old, err := existing[*entity.Rule](ctx, a.catalog, x.at.id())
	if err != nil {
		return err
	}
	if old != nil && !overwrite {
		return errExists
	}
	rule, status, err := a.ruleToStore(x, req, old)
	if err != nil {
		return err
	}
	if err := a.storeRule(ctx, old, rule, status); err != nil {
		return err
	}
	return x.writeRule(rule, status)
}

func (a *API) ruleRequest(x *Exchange) (*ruleRequest, bool, error) {
	fields, err := a.requestFields(x)
	if err != nil {
		return nil, false, err
	}
	delete(fields, "parameters") // rules have none
	common, overwrite, err := a.entityRequest(x, fields)
	if err != nil {
		return nil, false, err
	}
	req := &ruleRequest{entityRequest: common}
	if req.trigger, err = parseRuleReference(fields, "trigger", x.at.namespace); err != nil {
		return nil, false, err
	}
	req.action, err = parseRuleReference(fields, "action", x.at.namespace)
	return req, overwrite, err
}

// parseRuleReference reads a trigger or an action; "_" is the rule's namespace
// (openwhisk-rest-api.md 2.1).
func parseRuleReference(fields map[string]json.RawMessage, name string, owner entity.Path) (*entity.FQN, error) {
	raw, ok := present(fields, name)
	if !ok {
		return nil, nil
	}
	var f entity.FQN
	if err := f.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	f = f.Resolve(string(owner))
	return &f, nil
}

// checkRuleReferences checks that the caller may read what the rule ties together.
// All that are refused are named.
func (a *API) checkRuleReferences(x *Exchange, req *ruleRequest) error {
	var resources []entitle.Resource
	if req.trigger != nil {
		resources = append(resources, entitle.Of(entitle.Triggers, *req.trigger))
	}
	if req.action != nil {
		resources = append(resources, entitle.Of(entitle.Actions, *req.action))
	}
	return a.rights.CheckAll(x.Context(), x.Identity, entitle.Read, resources)
}

// ruleToStore is the rule as the request wants it, with the status that it has
// then; old is nil for a new rule.
func (a *API) ruleToStore(x *Exchange, req *ruleRequest, old *entity.Rule) (*entity.Rule, entity.RuleStatus, error) {
	ctx := x.Context()
	rule, status := new(entity.Rule), entity.RuleActive
	if old != nil {
		*rule = *old
		rule.Version = old.Version.Next()
		var err error
		if status, err = a.ruleStatus(ctx, old); err != nil {
			return nil, "", err
		}
	} else {
		if req.trigger == nil || req.action == nil {
			return nil, "", errRuleIncomplete
		}
		rule.Header = entity.Header{Namespace: x.at.namespace, Name: x.at.name, Version: entity.FirstVersion}
	}
	if req.trigger != nil {
		rule.Trigger = *req.trigger
	}
	if req.action != nil {
		rule.Action = *req.action
	}
	req.apply(&rule.Header)
	rule.Updated = a.now().UnixMilli()
	return rule, status, a.checkRuleTargets(ctx, rule)
}

// checkRuleTargets checks that trigger and action exist.
func (a *API) checkRuleTargets(ctx context.Context, rule *entity.Rule) error {
	_, err := catalog.As[*entity.Trigger](a.catalog.Fresh(ctx, rule.Trigger.ID()))
	if errors.Is(err, store.ErrNotFound) {
		return doesNotExist("trigger", rule.Trigger)
	}
	if err != nil {
		return err
	}
	if _, err = a.catalog.Resolve(ctx, rule.Action); errors.Is(err, store.ErrNotFound) {
		return doesNotExist("action", rule.Action)
	}
	return err
}

// storeRule writes the rule between the changes of its triggers, so that whatever
// fails in between leaves a rule that reads as inactive, and never a trigger that
// fires for a rule that is not there.
func (a *API) storeRule(ctx context.Context, old, rule *entity.Rule, status entity.RuleStatus) error {
	if old != nil && old.Trigger != rule.Trigger {
		if err := a.unlink(ctx, old); err != nil {
			return err
		}
	}
	if err := a.catalog.Put(ctx, rule); err != nil {
		return err
	}
	err := a.link(ctx, rule, status)
	if errors.Is(err, store.ErrNotFound) {
		return doesNotExist("trigger", rule.Trigger) // it was deleted just now
	}
	return err
}

// linkAttempts bounds how often a change of a trigger is tried while others change
// it, too.
const linkAttempts = 20

// changeTrigger applies change to a trigger and stores it. Neither its version nor
// its time of update are the rules' to change (openwhisk-rest-api.md section 4).
func (a *API) changeTrigger(ctx context.Context, id entity.DocID, change func(*entity.Trigger) (changed bool)) error {
	for attempt := 1; ; attempt++ {
		trigger, err := catalog.As[*entity.Trigger](a.catalog.Fresh(ctx, id))
		if err != nil || !change(trigger) {
			return err
		}
		err = a.catalog.Put(ctx, trigger)
		if !errors.Is(err, store.ErrConflict) || attempt == linkAttempts {
			return err
		}
	}
}

func (a *API) link(ctx context.Context, rule *entity.Rule, status entity.RuleStatus) error {
	return a.changeTrigger(ctx, rule.Trigger.ID(), func(t *entity.Trigger) bool {
		return t.Link(entity.TriggerRule{Rule: rule.FQN(), Action: rule.Action, Status: status})
	})
}

// unlink takes the rule out of its trigger, if that is there.
func (a *API) unlink(ctx context.Context, rule *entity.Rule) error {
	err := a.changeTrigger(ctx, rule.Trigger.ID(), func(t *entity.Trigger) bool { return t.Unlink(rule.FQN()) })
	if isNoTrigger(err) {
		return nil
	}
	return err
}

// deleteRule removes a rule in any state (openwhisk-rest-api.md 15.4).
func (a *API) deleteRule(x *Exchange) error {
	if err := x.negotiate(); err != nil {
		return err
	}
	ctx := x.Context()
	rule, err := catalog.As[*entity.Rule](a.catalog.Fresh(ctx, x.at.id()))
	if err != nil {
		return err
	}
	if err := a.unlink(ctx, rule); err != nil {
		return err
	}
	if err := a.catalog.Delete(ctx, rule); err != nil {
		return err
	}
	return x.writeRule(rule, entity.RuleInactive)
}

// postRule activates or deactivates a rule (openwhisk-rest-api.md 15.3). Its answer
// is not negotiated.
func (a *API) postRule(x *Exchange) error {
	fields, err := a.requestFields(x)
	if err != nil {
		return err
	}
	status, err := parseRuleStatus(fields)
	if err != nil {
		return err
	}
	rule, err := catalog.As[*entity.Rule](a.catalog.Fresh(x.Context(), x.at.id()))
	if err != nil {
		return err
	}
	err = a.link(x.Context(), rule, status)
	switch {
	case isNoTrigger(err) && status == entity.RuleActive:
		return errRuleWithoutTrigger
	case err != nil && !isNoTrigger(err):
		return err
	}
	// Who deleted the rule meanwhile did not see the link.
	if _, err := a.catalog.Fresh(x.Context(), rule.ID()); errors.Is(err, store.ErrNotFound) {
		return errors.Join(err, a.unlink(x.Context(), rule))
	}
	x.text(http.StatusOK, "OK")
	return nil
}

func parseRuleStatus(fields map[string]json.RawMessage) (entity.RuleStatus, error) {
	var s *string
	if json.Unmarshal(fields["status"], &s) != nil || s == nil {
		return "", malformed("status malformed")
	}
	status := entity.RuleStatus(*s)
	if status != entity.RuleActive && status != entity.RuleInactive {
		return "", malformed("requirement failed: " + *s + " is not a recognized rule state")
	}
	return status, nil
}
