package api

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// actionRequest is the body of a PUT of an action; nil fields were absent.
type actionRequest struct {
	exec           *entity.Exec
	parameters     *entity.Parameters
	annotations    *entity.Parameters
	delAnnotations []string
	limits         *entity.LimitsPatch
	version        *entity.Version
	publish        *bool
}

// putAction creates or updates an action (openwhisk-rest-api.md 8.3).
func (a *API) putAction(x *Exchange) error {
	fields, err := a.requestFields(x)
	if err != nil {
		return err
	}
	req, err := a.parseSizedFields(x.Identity, fields)
	if err != nil {
		return err
	}
	overwrite, err := queryBool(x.query(), "overwrite", false)
	if err != nil {
		return err
	}
	if err := req.parseRest(fields); err != nil {
		return err
	}
	if req.exec != nil {
		resolveComponents(req.exec, x.Identity.Namespace)
	}
	if err := a.checkAction(x, req); err != nil {
		return err
	}
	if err := x.negotiate(); err != nil {
		return err
	}
	return a.storeAction(x, req, overwrite)
}

// checkAction checks what comes before the look at what is stored under the name
// (openwhisk-rest-api.md 6.3).
func (a *API) checkAction(x *Exchange, req *actionRequest) error {
	id := x.Identity
	if err := id.Limits.Ranges(a.cfg.Ranges).Check(req.limits); err != nil {
		return err
	}
	if allowed := a.throttle.Rates(id).ConcurrentInvocations; req.limits != nil && req.limits.Instances != nil && *req.limits.Instances > allowed {
		return instancesTooMany(allowed)
	}
	if req.exec == nil {
		return nil
	}
	if err := a.checkComponents(x.Context(), id, req.exec); err != nil {
		return err
	}
	return entitle.CheckKind(id, a.cfg.AllowedKinds, req.exec.Kind)
}

func (a *API) storeAction(x *Exchange, req *actionRequest, overwrite bool) error {
	ctx := x.Context()
	if err := a.writablePackage(ctx, x.at); err != nil {
		return err
	}
	old, err := existing[*entity.Action](ctx, a.catalog, x.at.id())
	if err != nil {
		return err
	}
	var action *entity.Action
	switch {
	case old == nil:
		action, err = a.newAction(x, req)
	case !overwrite:
		err = errExists
	default:
		action, err = a.updatedAction(x, old, req)
	}
	if err != nil {
		return err
	}
	action.Updated = a.now().UnixMilli()
	hasCode := action.Exec.Code != nil
	if req.exec != nil && !hasCode {
		// Nil would keep the code of the exec that is replaced.
		action.Exec.Code = new(string)
	}
	if err := a.catalog.Put(ctx, action); err != nil {
		return err
	}
	if !hasCode {
		action.Exec.Code = nil
		if req.exec == nil {
			if err := a.loadCode(ctx, action); err != nil {
				return err
			}
		}
	}
	return x.writeAction(action, true)
}

func (a *API) newAction(x *Exchange, req *actionRequest) (*entity.Action, error) {
	if req.exec == nil {
		return nil, errExecUndefined
	}
	if err := a.manifest.CheckNotDeprecated(req.exec.Kind); err != nil {
		return nil, err
	}
	if err := a.checkSequence(x, req.exec); err != nil {
		return nil, err
	}
	action := &entity.Action{
		Header: entity.Header{Namespace: x.at.path(), Name: x.at.name, Version: entity.FirstVersion},
		Exec:   *req.exec,
		Limits: req.limits.Apply(a.cfg.Ranges.Std()),
	}
	switch {
	case req.exec.IsSequence():
		action.Parameters = sequenceParameters(req.exec)
	case req.parameters != nil:
		action.Parameters = *req.parameters
	}
	if req.annotations != nil {
		action.Annotations = *req.annotations
	}
	if _, set := action.Annotations.Get("provide-api-key"); !set {
		action.Annotations = action.Annotations.With(entity.Parameter{Key: "provide-api-key", Value: json.RawMessage("false")})
	}
	req.finish(action)
	return action, nil
}

func (a *API) updatedAction(x *Exchange, old *entity.Action, req *actionRequest) (*entity.Action, error) {
	exec := old.Exec
	if req.exec != nil {
		exec = *req.exec
	}
	if err := a.manifest.CheckNotDeprecated(exec.Kind); err != nil {
		return nil, err
	}
	if err := a.checkSequence(x, req.exec); err != nil {
		return nil, err
	}
	action := &entity.Action{Header: old.Header, Exec: exec, Parameters: updatedParameters(old, req), Limits: req.limits.Apply(old.Limits)}
	action.Version = old.Version.Next()
	for _, key := range req.delAnnotations {
		action.Annotations = action.Annotations.Without(key)
	}
	if req.annotations != nil {
		action.Annotations = action.Annotations.Merge(*req.annotations)
	}
	req.finish(action)
	return action, nil
}

// updatedParameters: those of a sequence are its components, whatever a client
// sends (openwhisk-rest-api.md 8.3).
func updatedParameters(old *entity.Action, req *actionRequest) entity.Parameters {
	switch {
	case req.exec == nil && old.Exec.IsSequence():
		return old.Parameters
	case req.exec != nil && req.exec.IsSequence():
		return sequenceParameters(req.exec)
	case req.parameters != nil:
		return *req.parameters
	case req.exec != nil && old.Exec.IsSequence():
		return nil
	}
	return old.Parameters
}

// finish sets what creation and update have in common.
func (req *actionRequest) finish(action *entity.Action) {
	if req.version != nil {
		action.Version = *req.version
	}
	if req.publish != nil {
		action.Publish = *req.publish
	}
	kind := entity.Parameter{Key: "exec", Value: entity.AppendString(nil, action.Exec.Kind)}
	action.Annotations = append(action.Annotations.Without("exec"), kind) // it comes last (5.1)
}

// requestFields reads the body as a JSON object of undecoded fields.
func (a *API) requestFields(x *Exchange) (map[string]json.RawMessage, error) {
	body, err := x.body(int64(a.cfg.MaxBodySize), func(int64) error { return errTooLarge })
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, errNoBody
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		if json.Valid(body) {
			return nil, malformed("JSON object expected")
		}
		return nil, malformed(err.Error())
	}
	if fields == nil { // null
		return nil, malformed("JSON object expected")
	}
	return fields, nil
}

// parseSizedFields reads the fields whose size is limited, and checks it; both come
// before the rest of the schema (openwhisk-rest-api.md 1.6, 5.2).
func (a *API) parseSizedFields(id *entity.Identity, fields map[string]json.RawMessage) (*actionRequest, error) {
	req := new(actionRequest)
	var err error
	if raw, ok := present(fields, "exec"); ok {
		if req.exec, err = entity.ParseExec(raw, a.resolveKind); err != nil {
			return nil, err
		}
	}
	if req.parameters, err = parseParameters(fields, "parameters"); err != nil {
		return nil, err
	}
	if req.annotations, err = parseParameters(fields, "annotations"); err != nil {
		return nil, err
	}
	if req.exec != nil && req.exec.Size() > int64(a.cfg.MaxExecSize) {
		return nil, fieldTooLarge("exec", req.exec.Size(), a.cfg.MaxExecSize)
	}
	return req, a.checkSizes(id, req.parameters, req.annotations)
}

// checkSizes checks what all entities have.
func (a *API) checkSizes(id *entity.Identity, parameters, annotations *entity.Parameters) error {
	allowed := narrowed(id.Limits.MaxParameterSize, a.cfg.MaxParameterSize)
	if parameters != nil && parameters.Size() > int64(allowed) {
		return fieldTooLarge("parameters", parameters.Size(), allowed)
	}
	if annotations != nil && annotations.Size() > int64(allowed) {
		return fieldTooLarge("annotations", annotations.Size(), allowed)
	}
	return nil
}

func (a *API) resolveKind(kind string) (entity.RuntimeRule, error) {
	r, err := a.manifest.Resolve(kind)
	if err != nil {
		return entity.RuntimeRule{}, err
	}
	return entity.RuntimeRule{Kind: r.Kind, RequireMain: r.RequireMain}, nil
}

func (req *actionRequest) parseRest(fields map[string]json.RawMessage) error {
	if raw, ok := present(fields, "delAnnotations"); ok {
		if json.Unmarshal(raw, &req.delAnnotations) != nil {
			return malformed("delAnnotations malformed")
		}
	}
	if raw, ok := present(fields, "limits"); ok {
		req.limits = new(entity.LimitsPatch)
		if err := req.limits.UnmarshalJSON(raw); err != nil {
			return err
		}
	}
	var err error
	req.version, req.publish, err = parseHead(fields)
	return err
}

// parseHead reads the fields that all entities have.
func parseHead(fields map[string]json.RawMessage) (version *entity.Version, publish *bool, err error) {
	if raw, ok := present(fields, "version"); ok {
		version = new(entity.Version)
		if err := version.UnmarshalJSON(raw); err != nil {
			return nil, nil, err
		}
	}
	if raw, ok := present(fields, "publish"); ok {
		publish = new(bool)
		if json.Unmarshal(raw, publish) != nil {
			return nil, nil, malformed(fmt.Sprintf("Expected Boolean as JsBoolean, but got %s", raw))
		}
	}
	return version, publish, nil
}

func parseParameters(fields map[string]json.RawMessage, name string) (*entity.Parameters, error) {
	raw, ok := present(fields, name)
	if !ok {
		return nil, nil
	}
	p := new(entity.Parameters)
	if err := p.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	return p, nil
}

// present returns a field that is there and not null.
func present(fields map[string]json.RawMessage, name string) (json.RawMessage, bool) {
	raw, ok := fields[name]
	return raw, ok && string(raw) != "null"
}
