package pool

import "github.com/gowhisk/gowhisk/pkg/entity"

// Snapshot counts what is in a pool at one moment.
type Snapshot struct {
	// Containers and Memory are by State.
	Containers [stateCount]int
	Memory     [stateCount]entity.Megabytes
	// Held is the memory that containers occupy, Limit what they may.
	Held, Limit entity.Megabytes
	// Waiting and Running count jobs, WaitingActions the actions whose jobs wait.
	Waiting, Running, WaitingActions int
	// Evicted is how many containers have had to make room for others so far.
	Evicted uint64
	// Wants is how many more jobs the pool would take (see Pool.Wants).
	Wants    int
	Draining bool
}

// Total is the number of containers.
func (s Snapshot) Total() (total int) {
	for _, n := range s.Containers {
		total += n
	}
	return total
}

// Snapshot returns the present counts.
func (p *Pool) Snapshot() Snapshot {
	s := Snapshot{
		Containers: p.counts, Memory: p.memory, Held: p.held(), Limit: p.cfg.Memory,
		Waiting: p.waiting, Running: len(p.jobs) - p.waiting,
		Evicted: p.evicted, Wants: p.Wants(), Draining: p.draining,
	}
	for _, n := range p.ring {
		s.WaitingActions += len(n.waiting)
	}
	return s
}

// Wants is how many more jobs a feed should bring now: those that could start at
// once, in memory that nothing uses or in containers that take several jobs, and
// Config.LookAhead more among which to choose fairly, less those that wait
// already. It never asks for work that would only lie about here: work that was
// not fetched can still run elsewhere, and is not lost with this process.
func (p *Pool) Wants() int {
	if p.draining {
		return 0
	}
	busy := p.promised() + p.memory[Retiring] + p.memory[Removing] -
		p.memory[StemCell] - p.memory[Idle] - p.memory[Pausing] - p.memory[Paused]
	free := max(0, p.cfg.Memory-busy)
	typical := max(1, p.cfg.TypicalMemory)
	return max(0, int(free/typical)+p.spare+p.cfg.LookAhead-p.waiting)
}
