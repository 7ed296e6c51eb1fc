package api

import (
	"encoding/json"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// entityRequest is what the bodies of PUTs of packages, triggers and rules have in
// common; nil fields were absent.
type entityRequest struct {
	parameters, annotations *entity.Parameters
	version                 *entity.Version
	publish                 *bool
}

// entityRequest reads the common fields of a body, and whether an entity that
// exists is to be overwritten, in the order of openwhisk-rest-api.md 1.6: sizes
// before the query before the rest.
func (a *API) entityRequest(x *Exchange, fields map[string]json.RawMessage) (req *entityRequest, overwrite bool, err error) {
	req = new(entityRequest)
	if req.parameters, err = parseParameters(fields, "parameters"); err != nil {
		return nil, false, err
	}
	if req.annotations, err = parseParameters(fields, "annotations"); err != nil {
		return nil, false, err
	}
	if err := a.checkSizes(x.Identity, req.parameters, req.annotations); err != nil {
		return nil, false, err
	}
	if overwrite, err = queryBool(x.query(), "overwrite", false); err != nil {
		return nil, false, err
	}
	req.version, req.publish, err = parseHead(fields)
	return req, overwrite, err
}

// apply sets what the request has, parameters aside: they replace what was there
// (openwhisk-rest-api.md 6.3).
func (req *entityRequest) apply(h *entity.Header) {
	if req.annotations != nil {
		h.Annotations = *req.annotations
	}
	if req.version != nil {
		h.Version = *req.version
	}
	if req.publish != nil {
		h.Publish = *req.publish
	}
}
