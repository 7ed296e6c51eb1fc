package api

import (
	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// listTriggers lists the triggers of a namespace (openwhisk-rest-api.md 6.1).
func (a *API) listTriggers(x *Exchange) error {
	return a.listEntities(x, entitle.Triggers, store.EntityQuery{Type: entity.TypeTrigger, Path: x.at.namespace})
}
