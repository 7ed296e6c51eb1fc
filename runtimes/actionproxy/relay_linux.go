package actionproxy

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// relay stands between the log streams that the proxy was given and those that its
// children get: descriptors 1 and 2 become pipes that it reads. That has two uses.
// User code, which can open for reading what it may write to, never sees the
// sentinels, so that it cannot learn their mark. And the proxy knows whether an
// activation printed anything: for those that did not, which are most, no sentinel
// has to go through the engine.
//
// Two goroutines copy, until close.
type relay struct {
	streams [2]relayStream
	copying sync.WaitGroup
}

// relayStream is one of the two.
type relayStream struct {
	from *os.File // our end of the pipe
	fd   int      // its descriptor
	to   int      // the stream that we were given

	mu      sync.Mutex // guards what follows, and reading from fd
	buffer  []byte
	printed bool // since the last sentinel
}

// openRelay takes the place of descriptors 1 and 2.
func openRelay() (*relay, error) {
	r := &relay{}
	for i := range r.streams {
		if err := r.streams[i].open([]int{stdout, stderr}[i]); err != nil {
			return nil, fmt.Errorf("stand between the log streams: %w", err)
		}
	}
	if err := reportCrashesTo(r.streams[1].to); err != nil {
		return nil, fmt.Errorf("stand between the log streams: %w", err)
	}
	for i := range r.streams {
		r.copying.Go(r.streams[i].copy)
	}
	return r, nil
}

// reportCrashesTo sends reports of a crash to a descriptor; they would end in our own
// pipe. A file of its own, for the collector closes files that nobody has any more.
func reportCrashesTo(fd int) error {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return err
	}
	crash := os.NewFile(uintptr(own), "stderr")
	return errors.Join(debug.SetCrashOutput(crash, debug.CrashOptions{}), crash.Close())
}

func (s *relayStream) open(fd int) error {
	var err error
	if s.to, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
		return err
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	// Only our end is non-blocking: programs expect to wait for their output.
	if s.from, err = inheritedFile(pipe[0], "relay"); err != nil {
		return err
	}
	s.fd, s.buffer = pipe[0], make([]byte, 16<<10)
	return errors.Join(unix.Dup3(pipe[1], fd, 0), unix.Close(pipe[1]))
}

// copy passes on what is printed until the stream is closed.
func (s *relayStream) copy() {
	raw, err := s.from.SyscallConn()
	for err == nil {
		err = raw.Read(func(uintptr) bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.pass(len(s.buffer)) > 0
		})
	}
}

// pass passes up to limit bytes on that are there, and returns how many. s.mu is
// held.
func (s *relayStream) pass(limit int) int {
	for {
		n, err := unix.Read(s.fd, s.buffer[:min(limit, len(s.buffer))])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n <= 0 {
			return 0
		}
		s.printed = true
		writeLog(s.to, s.buffer[:n])
		return n
	}
}

// passAll passes on what was printed before the call. s.mu is held.
func (s *relayStream) passAll() {
	left, err := unix.IoctlGetInt(s.fd, unix.TIOCINQ) // FIONREAD by another name
	for n := 1; err == nil && left > 0 && n > 0; left -= n {
		n = s.pass(left)
	}
}

// marker returns a function that ends an activation's logs and returns on which
// streams it printed nothing. With isTerse, these get no sentinel.
func (r *relay) marker(mark string, isTerse bool) func() string {
	line := []byte(sentinel + mark + "\n")
	names := [2]string{"stdout", "stderr"}
	return func() string {
		var quiet []string
		for i := range r.streams {
			if r.streams[i].end(line, isTerse) {
				quiet = append(quiet, names[i])
			}
		}
		return strings.Join(quiet, " ")
	}
}

func (s *relayStream) end(line []byte, isTerse bool) (isQuiet bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passAll()
	if isTerse && !s.printed {
		return true
	}
	writeLog(s.to, line)
	s.printed = false
	return false
}

// close passes on what is left.
func (r *relay) close() {
	for i := range r.streams {
		s := &r.streams[i]
		s.mu.Lock()
		s.passAll()
		s.mu.Unlock()
		_ = s.from.Close() // ends copy; nobody reads any more
	}
	r.copying.Wait()
}
