package api

import (
	"net/http"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// listNamespaces answers the one namespace that the credentials are for.
func (a *API) listNamespaces(x *Exchange) error {
	return x.write(http.StatusOK, func(dst []byte) []byte {
		return append(entity.AppendString(append(dst, '['), x.Identity.Namespace), ']')
	})
}

// effectiveLimits is the answer of GET /namespaces/{ns}/limits
// (openwhisk-rest-api.md section 7).
type effectiveLimits struct {
	InvocationsPerMinute  int              `json:"invocationsPerMinute"`
	ConcurrentInvocations int              `json:"concurrentInvocations"`
	FiresPerMinute        int              `json:"firesPerMinute"`
	MinActionMemory       entity.Megabytes `json:"minActionMemory"`
	MaxActionMemory       entity.Megabytes `json:"maxActionMemory"`
	MinActionLogs         entity.Megabytes `json:"minActionLogs"`
	MaxActionLogs         entity.Megabytes `json:"maxActionLogs"`
	MinActionTimeout      int64            `json:"minActionTimeout"`
	MaxActionTimeout      int64            `json:"maxActionTimeout"`
	MinActionConcurrency  int              `json:"minActionConcurrency"`
	MaxActionConcurrency  int              `json:"maxActionConcurrency"`
	MaxParameterSize      entity.ByteSize  `json:"maxParameterSize"`
	MaxActionInstances    int              `json:"maxActionInstances"`

	// Shown only where the namespace has its own.
	AllowedKinds                  []string         `json:"allowedKinds,omitempty"`
	StoreActivations              *bool            `json:"storeActivations,omitempty"`
	MaxPayloadSize                *entity.ByteSize `json:"maxPayloadSize,omitempty"`
	TruncationSize                *entity.ByteSize `json:"truncationSize,omitempty"`
	WarmedContainerKeepingCount   *int             `json:"warmedContainerKeepingCount,omitempty"`
	WarmedContainerKeepingTimeout *string          `json:"warmedContainerKeepingTimeout,omitempty"`
}

func (a *API) getLimits(x *Exchange) error {
	own, rates := &x.Identity.Limits, a.throttle.Rates(x.Identity)
	r := own.Ranges(a.cfg.Ranges)
	body, err := entity.EncodeJSON(effectiveLimits{
		InvocationsPerMinute: rates.InvocationsPerMinute, ConcurrentInvocations: rates.ConcurrentInvocations, FiresPerMinute: rates.FiresPerMinute,
		MinActionMemory: r.Memory.Min, MaxActionMemory: r.Memory.Max,
		MinActionLogs: r.Logs.Min, MaxActionLogs: r.Logs.Max,
		MinActionTimeout: r.Timeout.Min, MaxActionTimeout: r.Timeout.Max,
		MinActionConcurrency: r.Concurrency.Min, MaxActionConcurrency: r.Concurrency.Max,
		MaxParameterSize: narrowed(own.MaxParameterSize, a.cfg.MaxParameterSize), MaxActionInstances: rates.ConcurrentInvocations,
		AllowedKinds: own.AllowedKinds, StoreActivations: own.StoreActivations, MaxPayloadSize: own.MaxPayloadSize, TruncationSize: own.TruncationSize,
		WarmedContainerKeepingCount: own.WarmedContainerKeepingCount, WarmedContainerKeepingTimeout: own.WarmedContainerKeepingTimeout,
	})
	if err != nil {
		return err
	}
	return x.write(http.StatusOK, func(dst []byte) []byte { return append(dst, body...) })
}

// narrowed is a namespace's own size, which the system's bounds.
func narrowed(own *entity.ByteSize, system entity.ByteSize) entity.ByteSize {
	if own == nil {
		return system
	}
	return min(*own, system)
}

func (a *API) innerLimits(*Exchange) error { return errInnerLimits }
