package api

import (
	"fmt"
	"net/http"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/runtimes"
)

// rootDocument is the answer of GET / (openwhisk-rest-api.md 1.2). wskdeploy
// learns the runtimes from it.
type rootDocument struct {
	Description string                          `json:"description"`
	Support     supportLinks                    `json:"support"`
	APIPaths    []string                        `json:"api_paths"`
	Limits      publishedLimits                 `json:"limits"`
	Runtimes    map[string][]runtimes.Published `json:"runtimes"`
}

type supportLinks struct {
	GitHub string `json:"github"`
	Slack  string `json:"slack"`
}

// publishedLimits are in milliseconds and bytes, unlike those of an action.
type publishedLimits struct {
	ActionsPerMinute         int   `json:"actions_per_minute"`
	TriggersPerMinute        int   `json:"triggers_per_minute"`
	ConcurrentActions        int   `json:"concurrent_actions"`
	SequenceLength           int   `json:"sequence_length"`
	DefaultMinActionDuration int64 `json:"default_min_action_duration"`
	DefaultMaxActionDuration int64 `json:"default_max_action_duration"`
	DefaultMinActionMemory   int64 `json:"default_min_action_memory"`
	DefaultMaxActionMemory   int64 `json:"default_max_action_memory"`
	DefaultMinActionLogs     int64 `json:"default_min_action_logs"`
	DefaultMaxActionLogs     int64 `json:"default_max_action_logs"`
	MinActionDuration        int64 `json:"min_action_duration"`
	MaxActionDuration        int64 `json:"max_action_duration"`
	MinActionMemory          int64 `json:"min_action_memory"`
	MaxActionMemory          int64 `json:"max_action_memory"`
	MinActionLogs            int64 `json:"min_action_logs"`
	MaxActionLogs            int64 `json:"max_action_logs"`
}

type versionDocument struct {
	Description    string       `json:"description"`
	APIVersion     string       `json:"api_version"`
	APIVersionPath string       `json:"api_version_path"`
	Build          string       `json:"build"`
	BuildNo        string       `json:"buildno"`
	SwaggerPaths   swaggerPaths `json:"swagger_paths"`
}

type swaggerPaths struct {
	UI      string `json:"ui"`
	APIDocs string `json:"api-docs"`
}

func (a *API) makeDocuments() (err error) {
	a.rootDocument, err = entity.EncodeJSON(rootDocument{
		Description: "OpenWhisk",
		Support:     supportLinks{"https://github.com/apache/openwhisk/issues", "http://slack.openwhisk.org"},
		APIPaths:    []string{apiPrefix},
		Limits:      a.publishedLimits(),
		Runtimes:    a.manifest.Published(),
	})
	if err != nil {
		return fmt.Errorf("document of /: %w", err)
	}
	a.versionDocument, err = entity.EncodeJSON(versionDocument{
		Description: "OpenWhisk API", APIVersion: "1.0.0", APIVersionPath: "v1",
		Build: a.cfg.BuildDate, BuildNo: a.cfg.BuildNumber,
		SwaggerPaths: swaggerPaths{"/docs", "/api-docs"},
	})
	if err != nil {
		return fmt.Errorf("document of %s: %w", apiPrefix, err)
	}
	return nil
}

func (a *API) publishedLimits() publishedLimits {
	r := a.cfg.Ranges
	return publishedLimits{
		ActionsPerMinute: a.cfg.Rates.InvocationsPerMinute, TriggersPerMinute: a.cfg.Rates.FiresPerMinute,
		ConcurrentActions: a.cfg.Rates.ConcurrentInvocations, SequenceLength: a.cfg.MaxSequenceLength,
		DefaultMinActionDuration: r.Timeout.Min, DefaultMaxActionDuration: r.Timeout.Max,
		DefaultMinActionMemory: r.Memory.Min.Bytes(), DefaultMaxActionMemory: r.Memory.Max.Bytes(),
		DefaultMinActionLogs: r.Logs.Min.Bytes(), DefaultMaxActionLogs: r.Logs.Max.Bytes(),
		MinActionDuration: r.Timeout.Min, MaxActionDuration: r.Timeout.Max,
		MinActionMemory: r.Memory.Min.Bytes(), MaxActionMemory: r.Memory.Max.Bytes(),
		MinActionLogs: r.Logs.Min.Bytes(), MaxActionLogs: r.Logs.Max.Bytes(),
	}
}

func (a *API) ping(x *Exchange) error {
	x.text(http.StatusOK, "pong")
	return nil
}

func (a *API) root(x *Exchange) error {
	return x.write(http.StatusOK, func(dst []byte) []byte { return append(dst, a.rootDocument...) })
}

func (a *API) version(x *Exchange) error {
	return x.write(http.StatusOK, func(dst []byte) []byte { return append(dst, a.versionDocument...) })
}
