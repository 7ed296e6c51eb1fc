package process

import (
	"errors"
	"os/exec"
	"runtime"
	"sync"
)

// spawner starts processes from one thread that lives as long as it does. The
// kernel ends a process with the thread that started it, not with the process
// (PR_SET_PDEATHSIG), and Go may end other threads.
type spawner struct {
	requests chan spawnRequest
	closing  sync.Once
	quit     chan struct{}
	done     chan struct{}
}

var errSpawnerClosed = errors.New("the container factory is closed")

type spawnRequest struct {
	command *exec.Cmd
	result  chan<- error
}

func newSpawner() *spawner {
	s := &spawner{requests: make(chan spawnRequest), quit: make(chan struct{}), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *spawner) run() {
	defer close(s.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		select {
		case r := <-s.requests:
			r.result <- r.command.Start()
		case <-s.quit:
			return
		}
	}
}

// start is command.Start; it fails after close.
func (s *spawner) start(command *exec.Cmd) error {
	result := make(chan error, 1)
	select {
	case s.requests <- spawnRequest{command, result}:
		return <-result
	case <-s.quit:
		return errSpawnerClosed
	}
}

// close lets the thread go, once nothing that it started is left.
func (s *spawner) close() {
	s.closing.Do(func() { close(s.quit) })
	<-s.done
}
