package api

import (
	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// listRules lists the rules of a namespace, whole but for their status, which lives
// with their triggers (openwhisk-rest-api.md 6.1).
func (a *API) listRules(x *Exchange) error {
	return a.listEntities(x, entitle.Rules, store.EntityQuery{Type: entity.TypeRule, Path: x.at.namespace})
}
