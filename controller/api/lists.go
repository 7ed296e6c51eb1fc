package api

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// listEntities answers a page of the entities that q selects, or their number
// (openwhisk-rest-api.md 6.1).
func (a *API) listEntities(x *Exchange, collection entitle.Collection, q store.EntityQuery) error {
	p, err := a.parsePage(x.query(), collection)
	if err != nil {
		return err
	}
	if p.count {
		n, err := a.entities.Count(x.Context(), q)
		if err != nil {
			return err
		}
		return x.writeCount(collection, n-p.skip)
	}
	q.Skip, q.Limit = p.skip, p.limit
	items, err := a.entities.List(x.Context(), q)
	if err != nil {
		return err
	}
	return x.writeList(items)
}

func (x *Exchange) writeList(items []json.RawMessage) error {
	return x.write(http.StatusOK, func(dst []byte) []byte {
		dst = append(dst, '[')
		for i, item := range items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, item...)
		}
		return append(dst, ']')
	})
}

func (x *Exchange) writeCount(collection entitle.Collection, n int) error {
	return x.write(http.StatusOK, func(dst []byte) []byte {
		dst = append(entity.AppendString(append(dst, '{'), string(collection)), ':')
		return append(strconv.AppendInt(dst, int64(max(n, 0)), 10), '}')
	})
}
