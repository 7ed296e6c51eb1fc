package service

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/gowhisk/gowhisk/invoker/pool"
)

// Handler answers what operators and their machines ask an invoker
// (openwhisk-invoker.md 2.11). It belongs on an address that clients do not reach.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, "pong") })
	mux.HandleFunc("GET /ready", s.ready)
	mux.Handle("GET /isEnabled", s.forOperator(func(w http.ResponseWriter) {
		replyJSON(w, map[string]bool{"enabled": s.presence.enabled()})
	}))
	mux.Handle("POST /disable", s.forOperator(func(w http.ResponseWriter) {
		s.presence.disable()
		s.deps.Log.Warn("this invoker was disabled: controllers send it no work until it is enabled")
		reply(w, http.StatusOK, s.presence.name()+" is now disabled.")
	}))
	mux.Handle("POST /enable", s.forOperator(func(w http.ResponseWriter) {
		s.presence.enable()
		s.deps.Log.Info("this invoker was enabled")
		reply(w, http.StatusOK, s.presence.name()+" is now enabled.")
	}))
	mux.Handle("GET /pool", s.forOperator(func(w http.ResponseWriter) { replyJSON(w, totals(s.Snapshot())) }))
	mux.Handle("GET /pool/count", s.forOperator(func(w http.ResponseWriter) { replyJSON(w, s.Snapshot().Total()) }))
	return mux
}

// ready answers 200 while the invoker takes work.
func (s *Service) ready(w http.ResponseWriter, _ *http.Request) {
	if !s.feeding.Load() || !s.presence.enabled() {
		reply(w, http.StatusServiceUnavailable, s.presence.name()+" takes no work")
		return
	}
	reply(w, http.StatusOK, s.presence.name()+" takes work")
}

// forOperator lets only the operator through.
func (s *Service) forOperator(do func(http.ResponseWriter)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.operator.Match(r) {
			w.Header().Set("WWW-Authenticate", `Basic realm="gowhisk"`)
			reply(w, http.StatusUnauthorized, "username or password are wrong.")
			return
		}
		do(w)
	})
}

// poolTotals are the containers of a pool in OpenWhisk's words.
type poolTotals struct {
	TotalContainers int `json:"totalContainers"`
	InProgressCount int `json:"inProgressCount"`
	PrewarmedPool   int `json:"prewarmedPool"`
	BusyPool        int `json:"busyPool"`
	PausedPool      int `json:"pausedPool"`
}

func totals(s pool.Snapshot) poolTotals {
	c := s.Containers
	return poolTotals{
		TotalContainers: s.Total(),
		InProgressCount: c[pool.Planned] + c[pool.Starting] + c[pool.Initializing],
		PrewarmedPool:   c[pool.StemCell],
		BusyPool:        c[pool.Running],
		PausedPool:      c[pool.Paused],
	}
}

func reply(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client's loss
}

func replyJSON(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		reply(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}
