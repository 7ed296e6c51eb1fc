package actionproxy

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// oneShot runs a program per activation, as OpenWhisk's dockerskeleton does: the
// arguments' JSON is its first argument and its standard input, the context is
// in its environment, the last line that it prints is the result and the lines
// before are logs. A text without #! is a shell script.
type oneShot struct {
	options  options
	children *children
	command  []string // the program and what precedes its arguments
	dir      string
	env      []string // of every activation
	process  processSlot
}

const (
	// maxArgument is the longest JSON that is passed as an argument; Linux allows
	// one of 128 KiB. Longer ones arrive on standard input only.
	maxArgument = 100 << 10
	// strayTime is how long the output of processes that outlive the program is
	// taken.
	strayTime   = 100 * time.Millisecond
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

func (o *oneShot) warm() error { return nil }

func (o *oneShot) init(u upload) error {
	path, err := u.executable(o.options.dir)
	if err != nil {
		return err
	}
	o.command = []string{path}
	if !u.builtIn {
		content := u.text
		if u.archive {
			if content, err = os.ReadFile(path); err != nil {
				return fmt.Errorf("read the action's executable: %w", err)
			}
		}
		if !isExecutable(content) {
			o.command = []string{shell(), path}
		}
	}
	o.dir = u.dir
	o.env = []string{"PATH=" + defaultPath, "HOME=" + o.options.dir}
	o.env = append(o.env, os.Environ()...) // the later of equal names counts
	o.env = append(o.env, u.environment()...)
	return nil
}

func shell() string {
	if bash, err := exec.LookPath("bash"); err == nil {
		return bash
	}
	return "/bin/sh"
}

func (o *oneShot) run(request *buffer) answer {
	defer request.put()
	body := request.body()
	if !gjson.ValidBytes(body) {
		return (&failure{http.StatusBadRequest, "Error unmarshaling request: the body is not valid JSON"}).answer()
	}
	args := gjson.GetBytes(body, "value").Raw
	if args == "" || args == "null" {
		args = "{}"
	}
	command := exec.Command(o.command[0], o.command[1:]...)
	if len(args) <= maxArgument {
		command.Args = append(command.Args, args)
	}
	command.Dir = o.dir
	command.Env = append(o.env[:len(o.env):len(o.env)], contextOf(body)...)
	command.Stdin = strings.NewReader(args)
	output := &lastLine{log: func(text []byte) { writeLog(stdout, text) }}
	command.Stdout, command.Stderr = output, os.Stderr
	command.WaitDelay = strayTime

	process, err := o.children.start(command)
	if err != nil {
		return (&failure{http.StatusBadGateway, fmt.Sprintf("cannot start action: %v", err)}).answer()
	}
	o.process.set(process)
	status := process.wait()
	o.process.set(nil)

	result := bytes.TrimSpace(output.take())
	if isObjectOrArray(result) && gjson.ValidBytes(result) {
		return answer{status: http.StatusOK, body: result}
	}
	if len(result) > 0 {
		writeLog(stdout, append(result, '\n'))
	}
	switch {
	case status.Signaled():
		return (&failure{http.StatusBadGateway, fmt.Sprintf("The action was ended by a signal (%v) before it printed a result.", status.Signal())}).answer()
	case status.ExitStatus() != 0:
		return (&failure{http.StatusBadGateway, fmt.Sprintf("The action exited with status %d and its last line is no JSON object or array.", status.ExitStatus())}).answer()
	}
	return errNotObject.answer()
}

// contextOf lists the request's string fields beside the value as __OW_ variables.
func contextOf(body []byte) []string {
	var env []string
	gjson.ParseBytes(body).ForEach(func(key, value gjson.Result) bool {
		if key.Str != "value" && value.Type == gjson.String && !strings.ContainsRune(value.Str, 0) && !strings.ContainsAny(key.Str, "=\x00") {
			env = append(env, "__OW_"+strings.ToUpper(key.Str)+"="+value.Str)
		}
		return true
	})
	return env
}

func (o *oneShot) concurrent() bool { return false }

func (o *oneShot) stop() { o.process.stop() }

// lastLine passes lines on as they come and holds back the last that is not
// blank, with the blank ones after it, since it may be the result.
type lastLine struct {
	log  func([]byte)
	held []byte
	// ended: a line end follows the text in held.
	ended bool
}

// Write takes output; it never fails.
func (l *lastLine) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		piece := p
		if end >= 0 {
			piece = p[:end+1]
		}
		p = p[len(piece):]
		isBlank := len(bytes.TrimSpace(piece)) == 0
		if l.ended && !isBlank {
			l.log(l.held)
			l.held, l.ended = l.held[:0], false
		}
		l.held = append(l.held, piece...)
		l.ended = l.ended || end >= 0 && len(bytes.TrimSpace(l.held)) > 0
	}
	return n, nil
}

// take returns the line held back.
func (l *lastLine) take() []byte { return l.held }
