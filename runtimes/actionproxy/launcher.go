package actionproxy

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"

	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/runtimes"
)

// launcher runs code in an interpreter that speaks the launcher protocol: lines
// "init JSON" and "run ID JSON" in, "ready" and "ID STATUS JSON" out
// (runtimes/README.md).
type launcher struct {
	options  options
	children *children
	conn     *conn
	process  processSlot // empty when the launcher was started by somebody else
	lastID   atomic.Uint64
}

// Calls that are no runs; those have ids from 1.
const (
	readyID = ^uint64(0)
	initID  = 0
)

var (
	errInitExited = &failure{http.StatusBadGateway, "The action did not initialize and exited unexpectedly."}
	errRunExited  = &failure{http.StatusBadGateway, "The action did not produce a valid response and exited unexpectedly."}
	errBadAnswer  = &failure{http.StatusBadGateway, "The action did not produce a valid response."}
)

// newRunner returns the runner for the kind of o.
func newRunner(o options, c *children) (runner, error) {
	switch {
	case o.launcherFDs.set || runtimes.Launcher(o.family()) != "":
		return &launcher{options: o, children: c}, nil
	case o.family() == "go":
		return newGolang(o, c), nil
	case o.family() == "native":
		return &native{options: o, children: c}, nil
	case o.family() == "shell" || o.family() == "blackbox":
		return &oneShot{options: o, children: c}, nil
	}
	return nil, fmt.Errorf("the kind %q is unknown; known families are nodejs, python, php, ruby, java, go, native, shell and blackbox", o.kind)
}

// identifyAnswer reads "ID STATUS JSON".
func identifyAnswer(line []byte) (id uint64, content int, ok bool) {
	if string(line) == "ready" {
		return readyID, len(line), true
	}
	space := bytes.IndexByte(line, ' ')
	if space < 0 || len(line) < space+5 || line[space+4] != ' ' {
		return 0, 0, false
	}
	id, err := strconv.ParseUint(string(line[:space]), 10, 64)
	return id, space + 1, err == nil
}

// warm starts the interpreter and waits until it takes requests.
func (l *launcher) warm() error {
	var in, out *os.File
	var err error
	if l.options.launcherFDs.set {
		if in, err = inheritedFile(l.options.launcherFDs.in, "launcher requests"); err == nil {
			out, err = inheritedFile(l.options.launcherFDs.out, "launcher answers")
		}
	} else {
		in, out, err = l.spawn()
	}
	if err != nil {
		return err
	}
	l.conn = newConn(in, out, identifyAnswer)
	ready, err := l.conn.expect(readyID)
	if err != nil {
		return err
	}
	go l.conn.read()
	if process := l.process.get(); process != nil {
		go func() {
			process.wait()
			l.conn.exited()
		}()
	}
	line := <-ready
	if line == nil {
		return errors.New("the language's launcher ended before it was ready; see its output above")
	}
	line.put()
	return nil
}

// spawn starts the interpreter with our launcher.
func (l *launcher) spawn() (in, out *os.File, err error) {
	line := runtimes.Command(l.options.family(), l.options.interpreter, l.options.launchers)
	command := exec.Command(line[0], line[1:]...)
	command.Dir = l.options.dir
	process, in, out, err := startPiped(l.children, command)
	if err != nil {
		return nil, nil, fmt.Errorf("start %s; install it or name it with --interpreter: %w", line[0], err)
	}
	l.process.set(process)
	return in, out, nil
}

// startPiped starts command with our output streams, a pipe on its standard
// input and one on its descriptor 3, and returns our ends of these.
func startPiped(c *children, command *exec.Cmd) (process *child, in, out *os.File, err error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, errors.Join(err, theirIn.Close(), in.Close())
	}
	command.Stdin, command.Stdout, command.Stderr = theirIn, os.Stdout, os.Stderr
	command.ExtraFiles = []*os.File{theirOut}
	process, err = c.start(command)
	_, _ = theirIn.Close(), theirOut.Close() // the child has its own
	if err != nil {
		_, _ = in.Close(), out.Close()
		return nil, nil, nil, err
	}
	return process, in, out, nil
}

func (l *launcher) init(u upload) error {
	line := getBuffer()
	line.b = fmt.Appendf(line.b, `init {"main":%s,"dir":%s,"env":%s`, quote(u.main), quote(u.dir), u.env)
	if !u.archive {
		code := u.code()
		line.grow(len(code) + 16)
		line.b = append(line.b, `,"code":`...)
		line.b = append(line.b, code...)
	}
	line.b = append(line.b, "}\n"...)
	reply, err := l.conn.call(initID, line.b)
	line.put()
	if err != nil {
		return errInitExited
	}
	defer reply.put()
	a := l.answer(reply)
	if a.status != http.StatusOK {
		return &failure{a.status, gjson.GetBytes(a.body, "error").String()}
	}
	return nil
}

// run sends the request as it came, with a head in the free room before it.
func (l *launcher) run(request *buffer) answer {
	defer request.put()
	id := l.lastID.Add(1)
	var head [headroom]byte
	h := strconv.AppendUint(append(head[:0], "run "...), id, 10)
	h = append(h, ' ')
	line := append(request.b, '\n')
	request.b = line
	line = line[headroom-len(h):]
	copy(line, h)
	reply, err := l.conn.call(id, line)
	switch {
	case errors.Is(err, errGone):
		return errExited.answer()
	case err != nil:
		return errRunExited.answer()
	}
	return l.answer(reply)
}

// answer splits "ID STATUS JSON"; the JSON is the body as it is.
func (l *launcher) answer(reply *buffer) answer {
	_, content, _ := identifyAnswer(reply.b)
	status, err := strconv.Atoi(string(reply.b[content : content+3]))
	if err != nil || status < 200 || status > 599 {
		reply.put()
		return errBadAnswer.answer()
	}
	return answer{status: status, body: reply.b[content+4:], owner: reply}
}

func (l *launcher) concurrent() bool {
	return l.options.concurrent && l.options.family() == "nodejs"
}

func (l *launcher) stop() { l.process.stop() }
