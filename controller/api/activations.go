package api

import (
	"net/http"

	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// listActivations answers records, latest first (openwhisk-rest-api.md section 17).
func (a *API) listActivations(x *Exchange) error {
	query := x.query()
	p, err := a.parsePage(query, entitle.Activations)
	if err != nil {
		return err
	}
	q := store.ActivationQuery{Namespace: x.at.namespace}
	if q.Docs, err = queryBool(query, "docs", false); err != nil {
		return err
	}
	if q.Name, err = queryActivationName(query); err != nil {
		return err
	}
	if q.Since, err = queryTime(query, "since"); err != nil {
		return err
	}
	if q.Upto, err = queryTime(query, "upto"); err != nil {
		return err
	}
	if p.count {
		if q.Docs {
			return errDocsWithCount
		}
		n, err := a.activations.Count(x.Context(), q)
		if err != nil {
			return err
		}
		return x.writeCount(entitle.Activations, n-p.skip)
	}
	q.Skip, q.Limit = p.skip, p.limit
	records, err := a.activations.List(x.Context(), q)
	if err != nil {
		return err
	}
	return x.writeRecords(records, q.Docs)
}

func (x *Exchange) writeRecords(records []*entity.Activation, docs bool) error {
	return x.write(http.StatusOK, func(dst []byte) []byte {
		dst = append(dst, '[')
		for i, r := range records {
			if i > 0 {
				dst = append(dst, ',')
			}
			if docs {
				dst = r.AppendJSON(dst, true)
			} else {
				dst = r.AppendSummary(dst)
			}
		}
		return append(dst, ']')
	})
}

func (a *API) getActivation(x *Exchange) error {
	record, err := a.activation(x)
	if err != nil {
		return err
	}
	return x.write(http.StatusOK, func(dst []byte) []byte { return record.AppendJSON(dst, true) })
}

// getActivationPart answers the result or the logs of a record.
func (a *API) getActivationPart(x *Exchange) error {
	part, err := x.Segment("second")
	if err != nil {
		return err
	}
	if part != "result" && part != "logs" {
		return errNoRoute
	}
	record, err := a.activation(x)
	if err != nil {
		return err
	}
	return x.write(http.StatusOK, func(dst []byte) []byte {
		if part == "result" {
			return record.Response.AppendJSON(dst)
		}
		return append(entity.AppendStrings(append(dst, `{"logs":`...), record.Logs), '}')
	})
}

// activation returns the record that the URL names.
func (a *API) activation(x *Exchange) (*entity.Activation, error) {
	segment, err := x.Segment("first")
	if err != nil {
		return nil, err
	}
	id, err := entity.ParseActivationID(segment)
	if err != nil {
		return nil, err
	}
	return a.activations.Activation(x.Context(), x.at.namespace, id)
}
