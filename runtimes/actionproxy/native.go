package actionproxy

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// native runs an executable that speaks the ActionLoop protocol: started once at
// init, a request per line on its standard input, an answer per line on its
// descriptor 3 (openwhisk-invoker.md 1.8). As there, an acknowledgement is
// awaited when the proxy's environment has OW_WAIT_FOR_ACK, and otherwise the
// program need only survive its first milliseconds.
type native struct {
	options  options
	children *children
	process  processSlot
	conn     *conn
	// acknowledges: the program acknowledges without being asked to.
	acknowledges bool
}

// settleTime is how long a program without acknowledgement is watched.
const settleTime = 5 * time.Millisecond

// loopID is the id of every call: the protocol has none, and one call at a time.
const loopID = 0

func identifyLoop([]byte) (id uint64, content int, ok bool) { return loopID, 0, true }

var (
	errNoAck      = &failure{http.StatusBadGateway, "The action did not initialize properly."}
	errAckExited  = &failure{http.StatusBadGateway, "Command exited abruptly during initialization."}
	errEnvVersion = &failure{http.StatusBadGateway, "Execution environment version mismatch. See logs for details."}
	errLoopExited = &failure{http.StatusBadRequest, "command exited"}
)

func (n *native) warm() error { return nil }

func (n *native) init(u upload) error {
	path, err := u.executable(n.options.dir)
	if err != nil {
		return err
	}
	if err := checkExecutionEnvironment(path); err != nil {
		return err
	}
	return n.startProgram(path, u)
}

// startProgram starts the upload's program, which is at path.
func (n *native) startProgram(path string, u upload) error {
	command := exec.Command(path)
	command.Dir = u.dir
	command.Env = n.environment(u)
	process, in, out, err := startPiped(n.children, command)
	if err != nil {
		return &failure{http.StatusBadGateway, fmt.Sprintf("cannot start action: %v; want an executable or a script that begins with #!", err)}
	}
	n.process.set(process)
	n.conn = newConn(in, out, identifyLoop)
	acknowledged, err := n.conn.expect(loopID)
	if err != nil {
		return err
	}
	go n.conn.read()
	exited := make(chan struct{})
	go func() {
		process.wait()
		n.conn.exited()
		close(exited)
	}()
	if os.Getenv("OW_WAIT_FOR_ACK") == "" && !n.acknowledges {
		return n.settle(exited)
	}
	return n.checkAck(<-acknowledged)
}

// settle watches the program's first moments, then forgets the call that would
// have taken an acknowledgement.
func (n *native) settle(exited <-chan struct{}) error {
	select {
	case <-exited:
		return errAckExited
	case <-time.After(settleTime):
	}
	n.conn.mu.Lock()
	defer n.conn.mu.Unlock()
	delete(n.conn.waiting, loopID)
	return nil
}

func (n *native) checkAck(ack *buffer) error {
	if ack == nil {
		return errAckExited
	}
	defer ack.put()
	if !gjson.ValidBytes(ack.b) || !gjson.GetBytes(ack.b, "ok").Bool() {
		return errNoAck
	}
	return nil
}

// environment is exactly what the contract lists: no PATH, nothing of the
// operator's without the prefix.
func (n *native) environment(u upload) []string {
	env := []string{"__OW_PROXY_VERSION=" + version}
	for of, name := range map[string]string{"OW_EXECUTION_ENV": "__OW_EXECUTION_ENV", "OW_WAIT_FOR_ACK": "__OW_WAIT_FOR_ACK"} {
		if value := os.Getenv(of); value != "" {
			env = append(env, name+"="+value)
		}
	}
	if n.acknowledges {
		env = append(env, "__OW_WAIT_FOR_ACK=1")
	}
	for _, variable := range os.Environ() {
		if strings.HasPrefix(variable, "__OW_") {
			env = append(env, variable)
		}
	}
	return append(env, u.environment()...)
}

// checkExecutionEnvironment compares what the program was compiled for with what
// the image provides, where the image says so.
func checkExecutionEnvironment(path string) error {
	want := os.Getenv("OW_EXECUTION_ENV")
	if want == "" {
		return nil
	}
	have, err := os.ReadFile(path + ".env")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read %s.env: %w", filepath.Base(path), err)
	}
	if got := strings.TrimSpace(string(have)); got != want {
		writeLog(stderr, fmt.Appendf(nil, "Expected execution environment %q, got %q from exec.env\n", want, got))
		return errEnvVersion
	}
	return nil
}

func (n *native) run(request *buffer) answer {
	defer request.put()
	if !gjson.ValidBytes(request.body()) {
		return (&failure{http.StatusBadRequest, "Error unmarshaling request: the body is not valid JSON"}).answer()
	}
	request.b = append(request.b, '\n')
	reply, err := n.conn.call(loopID, request.body())
	switch {
	case errors.Is(err, errGone):
		return errExited.answer()
	case err != nil:
		return errLoopExited.answer()
	case !isObjectOrArray(reply.b):
		reply.put()
		return errNotObject.answer()
	}
	return answer{status: http.StatusOK, body: reply.b, owner: reply}
}

// isObjectOrArray looks at the first character; the platform parses the rest.
func isObjectOrArray(json []byte) bool {
	for _, c := range json {
		switch c {
		case ' ', '\t', '\r':
		case '{', '[':
			return true
		default:
			return false
		}
	}
	return false
}

// concurrent is false: answers carry no ids.
func (n *native) concurrent() bool { return false }

func (n *native) stop() { n.process.stop() }
