package actionproxy

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"github.com/gowhisk/gowhisk/runtimes"
)

// runner runs the code of one kind. warm and init are called once each, in this
// order; run is called after a successful init, several times at once only when
// concurrent says so; stop may come at any time and ends the code.
type runner interface {
	// warm prepares what can be prepared without code.
	warm() error
	// init takes the code. Errors that the action's author caused are a *failure.
	init(u upload) error
	// run passes a request on, which it owns from then, and returns the answer.
	// The log streams are flushed when it returns.
	run(request *buffer) answer
	concurrent() bool
	stop()
}

// answer is an HTTP answer.
type answer struct {
	status int
	body   []byte
	owner  *buffer // holds body when not nil; put back after sending
	quiet  string  // see runtimes.LogQuietHeader
}

// failure is an error whose text the action's author sees.
type failure struct {
	status int
	text   string
}

func (f *failure) Error() string { return f.text }

func (f *failure) answer() answer {
	return answer{status: f.status, body: fmt.Appendf(nil, "{\"error\":%s}\n", quote(f.text))}
}

// Texts of the contract (openwhisk-invoker.md 1.7, 1.8).
var (
	errNoCode         = &failure{http.StatusForbidden, "Missing main/no code to execute."}
	errInitTwice      = &failure{http.StatusForbidden, "Cannot initialize the action more than once."}
	errNotInitialised = &failure{http.StatusForbidden, "System not initialized."}
	errNotObject      = &failure{http.StatusBadGateway, "The action did not return a dictionary or array."}
	errExited         = &failure{http.StatusInternalServerError, "command exited"}
	errBadRequest     = &failure{http.StatusInternalServerError, "Bad request."}
	errStopping       = &failure{http.StatusServiceUnavailable, "The runtime is shutting down."}
)

var initialised = answer{status: http.StatusOK, body: []byte("{\"ok\":true}\n")}

// phase is where a container is in its life.
type phase string

const (
	clean    phase = "clean" // takes /init
	starting phase = "starting"
	ready    phase = "ready"   // initialised
	stopped  phase = "stopped" // init failed; there is no way back
)

type server struct {
	options options
	runner  runner
	warmed  chan struct{} // closed when warm has returned
	warmErr error         // read after warmed is closed
	markEnd func() string // ends an activation's logs; set by init, before any run

	mu       sync.Mutex // guards the rest
	phase    phase
	running  int
	stopping bool
}

func newServer(o options, r runner) *server {
	return &server{options: o, runner: r, warmed: make(chan struct{}), markEnd: o.endMarker(o.sentinelMark, r.concurrent()), phase: clean}
}

// warm starts the runtime; /init waits for it.
func (s *server) warm() error {
	s.warmErr = s.runner.warm()
	close(s.warmed)
	return s.warmErr
}

// stop makes further requests fail.
func (s *server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
}

// ServeHTTP answers POST /init and POST /run.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	step := s.run
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/run":
	case r.Method == http.MethodPost && r.URL.Path == "/init":
		step = func(body *buffer) answer { return s.init(body, r.Header.Get(runtimes.LogMarkHeader)) }
	default:
		send(w, errBadRequest.answer())
		return
	}
	body, err := readBody(r)
	if errors.Is(err, errTooLarge) {
		send(w, (&failure{http.StatusRequestEntityTooLarge, err.Error()}).answer())
		return
	}
	if err != nil {
		send(w, (&failure{http.StatusBadRequest, "Error reading request: " + err.Error()}).answer())
		return
	}
	send(w, step(body))
}

// send writes the whole answer with its length: the platform takes an answer of
// unknown length for none (openwhisk-invoker.md 1.2).
func send(w http.ResponseWriter, a answer) {
	h := w.Header()
	h["Content-Type"] = contentType
	h["Content-Length"] = []string{strconv.Itoa(len(a.body))}
	if a.quiet != "" {
		h[runtimes.LogQuietHeader] = []string{a.quiet}
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the client has gone: nobody to tell
	if a.owner != nil {
		a.owner.put()
	}
}

var contentType = []string{"application/json"}

// init takes the code, and the mark for the sentinels if the platform sends one.
func (s *server) init(body *buffer, mark string) answer {
	defer body.put()
	if err := s.enterInit(mark); err != nil {
		return asAnswer(err)
	}
	request, err := parseInit(body.body(), s.options.family())
	if err != nil { // nothing has happened: another /init may follow
		s.leaveInit(clean)
		return asAnswer(err)
	}
	<-s.warmed
	err = s.warmErr
	var code upload
	if err == nil {
		code, err = request.unpack(s.options.dir, s.options.builtIn)
	}
	if err != nil {
		// The author sees the text in the logs too; a launcher reports its own errors.
		writeLog(stderr, []byte(err.Error()+"\n"))
	} else {
		err = s.runner.init(code)
	}
	if err != nil {
		s.leaveInit(stopped)
		a := asAnswer(err)
		a.quiet = s.markEnd()
		return a
	}
	// No sentinel: what init printed belongs to the first run.
	s.leaveInit(ready)
	return initialised
}

func (s *server) enterInit(mark string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping:
		return errStopping
	case s.phase == ready:
		writeLog(stderr, []byte("Internal system error: "+errInitTwice.text+"\n"))
		return errInitTwice
	case s.phase != clean:
		return &failure{http.StatusForbidden, fmt.Sprintf("System not ready, status is %s.", s.phase)}
	}
	s.phase = starting
	if isMark(mark) {
		s.markEnd = s.options.endMarker(mark, s.runner.concurrent())
	}
	return nil
}

func (s *server) leaveInit(to phase) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = to
}

func (s *server) run(body *buffer) answer {
	if err := s.enterRun(); err != nil {
		body.put()
		return asAnswer(err)
	}
	a := s.runner.run(body)
	// Both before the answer leaves: the client may then call again at once.
	a.quiet = s.markEnd()
	s.leaveRun()
	return a
}

func (s *server) enterRun() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping:
		return errStopping
	case s.phase == clean:
		return errNotInitialised
	case s.phase != ready:
		return &failure{http.StatusForbidden, fmt.Sprintf("System not ready, status is %s.", s.phase)}
	case s.running > 0 && !s.runner.concurrent():
		return &failure{http.StatusForbidden, "System not ready, status is running."}
	}
	s.running++
	return nil
}

func (s *server) leaveRun() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
}

// asAnswer gives the author's mistakes their text, and everything else as is.
func asAnswer(err error) answer {
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{http.StatusBadGateway, "cannot start action: " + err.Error()}
	}
	return f.answer()
}
