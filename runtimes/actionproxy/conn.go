package actionproxy

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

var (
	// errGone: the process at the other end had ended before the call.
	errGone = errors.New("the process has exited")
	// errEnded: it ended while the call waited.
	errEnded = errors.New("the process exited during the call")
)

// drainTime is how long a dead process's last answer may take to be read when
// one of its children still holds the pipe open.
const drainTime = 100 * time.Millisecond

// conn exchanges lines with a process: each call sends one and waits for the
// one that answers it. It is safe for concurrent use. A reader goroutine, ended
// by the process's exit or by close, hands lines to the calls.
type conn struct {
	in  *os.File // a Write is atomic among concurrent ones (os.File serialises them)
	out *os.File
	// identify tells which call a line answers and where its content begins.
	identify func(line []byte) (id uint64, content int, ok bool)

	mu      sync.Mutex // guards waiting and gone
	waiting map[uint64]chan *buffer
	gone    bool
}

func newConn(in, out *os.File, identify func([]byte) (uint64, int, bool)) *conn {
	return &conn{in: in, out: out, identify: identify, waiting: make(map[uint64]chan *buffer)}
}

// inheritedFile wraps a descriptor so that reads and writes do not each take a
// thread. The descriptor belongs to the file from then on.
func inheritedFile(fd int, name string) (*os.File, error) {
	if err := syscall.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("descriptor %d (%s): %w", fd, name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// expect registers a call before its line is sent.
func (c *conn) expect(id uint64) (chan *buffer, error) {
	answer := make(chan *buffer, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil, errGone
	}
	c.waiting[id] = answer
	return answer, nil
}

// call sends line, which ends with a newline, and returns the answering line in
// a buffer that the caller puts back. The line's content starts where identify
// said.
func (c *conn) call(id uint64, line []byte) (*buffer, error) {
	answered, err := c.expect(id)
	if err != nil {
		return nil, err
	}
	// A failed write means that the process is ending; the reader, which sees the
	// end of its answers, then wakes this call, perhaps with a last answer.
	if _, err := c.in.Write(line); err != nil && !errors.Is(err, syscall.EPIPE) {
		c.fail()
	}
	answer := <-answered
	if answer == nil {
		return nil, errEnded
	}
	return answer, nil
}

// read hands lines to calls until the process closes its end.
func (c *conn) read() {
	defer c.fail()
	current := getBuffer()
	scanned := 0
	for {
		current.grow(1)
		n, err := c.out.Read(current.b[len(current.b):cap(current.b)])
		current.b = current.b[:len(current.b)+n]
		for {
			end := bytes.IndexByte(current.b[scanned:], '\n')
			if end < 0 {
				scanned = len(current.b)
				break
			}
			next := getBuffer()
			next.b = append(next.b, current.b[scanned+end+1:]...)
			current.b = current.b[:scanned+end]
			c.deliver(current)
			current, scanned = next, 0
		}
		if err != nil {
			current.put()
			return
		}
	}
}

// deliver gives a line to the call it answers. Lines nobody waits for, such as a
// program's chatter between activations, are dropped.
func (c *conn) deliver(line *buffer) {
	id, _, ok := c.identify(line.b)
	if !ok {
		line.put()
		return
	}
	c.mu.Lock()
	answered := c.waiting[id]
	delete(c.waiting, id)
	c.mu.Unlock()
	if answered == nil {
		line.put()
		return
	}
	answered <- line
}

// fail wakes every call and lets no further one begin.
func (c *conn) fail() {
	c.mu.Lock()
	waiting := c.waiting
	c.waiting, c.gone = nil, true
	c.mu.Unlock()
	for _, answered := range waiting {
		answered <- nil
	}
}

// exited tells that the process has ended: what it wrote is still read, but not
// for long.
func (c *conn) exited() {
	if err := c.out.SetReadDeadline(time.Now().Add(drainTime)); err != nil {
		_ = c.out.Close()
	}
}
