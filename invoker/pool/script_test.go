package pool

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// TestScripts runs the scripts of testdata. The commands:
//
//	config memory=512 [stemcell=kind/memxcount[;min-max,ttl,threshold,increment]] [setting=value…]
//	    a new pool at time 0, with the defaults for the rest, but for the rate at
//	    which stem cells start, which is not bounded
//	invoke <id>… <ns>/<action> <kind> <memory>MB [concurrency=n] [blackbox]
//	ready c1                       the container has started
//	start-failed c1 [user]         it has not; "user" for a fault of the action's owner
//	initialised c1                 /init has succeeded
//	done c1 <id>… [destroy|reschedule]
//	paused c1 [error]              the pause has ended
//	resumed c1 [error]
//	removed c1…
//	advance 10s                    time passes, with every Tick that falls due
//	drain [hand-back]
//	state                          containers, jobs and memory
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	seen := map[[2]State]bool{}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			s := &script{seen: seen}
			datadriven.RunTest(t, path, s.run)
		})
	}
	for from, following := range transitions {
		for _, to := range following {
			assert.True(t, seen[[2]State{State(from), to}], "no script shows a container go from %v to %v", State(from), to)
		}
	}
}

// epoch is time 0 of the scripts.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

type script struct {
	pool *Pool
	now  time.Time
	out  strings.Builder
	seen map[[2]State]bool // transitions
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	s.out.Reset()
	args := make([]string, 0, len(d.CmdArgs))
	for _, a := range d.CmdArgs {
		args = append(args, a.String())
	}
	switch d.Cmd {
	case "config":
		s.config(t, args)
	case "invoke":
		s.invoke(t, args)
	case "advance":
		s.advance(t, args[0])
	case "state":
		s.state()
	case "drain":
		s.step(Drain{HandBack: len(args) > 0})
	default:
		s.container(t, d.Cmd, args)
	}
	checkInvariants(t, s.pool)
	return s.out.String()
}

func (s *script) step(e Event) {
	for _, effect := range s.pool.Step(s.now, e) {
		fmt.Fprintln(&s.out, effect)
	}
}

func (s *script) config(t *testing.T, args []string) {
	cfg := DefaultConfig(0)
	cfg.StemCellRate = 0
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		durations := map[string]*time.Duration{
			"pause-grace": &cfg.PauseGrace, "idle-timeout": &cfg.IdleTimeout, "reserve-after": &cfg.ReserveAfter,
			"check-interval": &cfg.ReactiveCheckInterval, "check-delay": &cfg.ReactiveCheckDelay,
		}
		numbers := map[string]*int{
			"parallel-starts": &cfg.MaxParallelStarts, "parallel-user-starts": &cfg.MaxParallelUserStarts,
			"look-ahead": &cfg.LookAhead, "expiration-limit": &cfg.ReactiveExpirationLimit,
		}
		switch {
		case durations[name] != nil:
			d, err := time.ParseDuration(value)
			require.NoError(t, err)
			*durations[name] = d
		case numbers[name] != nil:
			_, err := fmt.Sscan(value, numbers[name])
			require.NoError(t, err)
		case name == "memory":
			_, err := fmt.Sscan(value, &cfg.Memory)
			require.NoError(t, err)
		case name == "stemcell-rate":
			_, err := fmt.Sscan(value, &cfg.StemCellRate)
			require.NoError(t, err)
		case name == "stemcell":
			cfg.StemCells = append(cfg.StemCells, parseStemCell(t, value))
		default:
			t.Fatalf("unknown setting %q", name)
		}
	}
	s.pool, s.now = New(cfg), epoch
	s.pool.observe = func(from, to State) {
		if s.seen != nil {
			s.seen[[2]State{from, to}] = true
		}
	}
	s.step(Tick{})
}

func parseStemCell(t *testing.T, text string) StemCellConfig {
	t.Helper()
	text, reactive, isReactive := strings.Cut(text, ";")
	slash := strings.LastIndexByte(text, '/')
	cell := StemCellConfig{Kind: text[:slash]}
	_, err := fmt.Sscanf(text[slash+1:], "%dx%d", &cell.Memory, &cell.InitialCount)
	require.NoError(t, err)
	if isReactive {
		r := &ReactiveConfig{}
		var seconds int
		_, err := fmt.Sscanf(reactive, "%d-%d:%ds:%d:%d", &r.MinCount, &r.MaxCount, &seconds, &r.Threshold, &r.Increment)
		require.NoError(t, err)
		r.TTL = time.Duration(seconds) * time.Second
		cell.Reactive = r
	}
	return cell
}

func (s *script) invoke(t *testing.T, args []string) {
	at := slices.IndexFunc(args, func(a string) bool { return strings.Contains(a, "/") })
	job := Job{ReuseKey: args[at], Kind: args[at+1], StemCells: true}
	job.Namespace, job.Action, _ = strings.Cut(args[at], "/")
	_, err := fmt.Sscanf(args[at+2], "%dMB", &job.Memory)
	require.NoError(t, err)
	for _, option := range args[at+3:] {
		if option == "blackbox" {
			job.StemCells = false
			continue
		}
		_, err := fmt.Sscanf(option, "concurrency=%d", &job.Concurrency)
		require.NoError(t, err)
	}
	for _, id := range args[:at] {
		one := job
		one.ActivationID = id
		s.step(Submit{Job: &one})
	}
}

func (s *script) container(t *testing.T, cmd string, args []string) {
	var number uint64
	_, err := fmt.Sscanf(args[0], "c%d", &number)
	require.NoError(t, err)
	id := ContainerID(number)
	failure := func() error {
		if len(args) > 1 {
			return errors.New("it failed")
		}
		return nil
	}
	switch cmd {
	case "ready":
		s.step(Started{Container: id})
	case "start-failed":
		var err error = errors.New("the engine does not answer")
		if len(args) > 1 {
			err = &container.StartError{Text: "Failed to pull container image 'x'."}
		}
		s.step(StartFailed{Container: id, Err: err})
	case "initialised":
		s.step(Initialised{Container: id})
	case "done":
		outcome := Keep
		jobs := args[1:]
		switch last := args[len(args)-1]; last {
		case "destroy":
			outcome, jobs = Destroy, jobs[:len(jobs)-1]
		case "reschedule":
			outcome, jobs = Reschedule, jobs[:len(jobs)-1]
		}
		for _, job := range jobs {
			s.step(Finished{Container: id, ActivationID: job, Outcome: outcome})
		}
	case "paused":
		s.step(PauseDone{Container: id, Err: failure()})
	case "resumed":
		s.step(ResumeDone{Container: id, Err: failure()})
	case "removed":
		for _, arg := range args {
			_, err := fmt.Sscanf(arg, "c%d", &number)
			require.NoError(t, err)
			s.step(Removed{Container: ContainerID(number)})
		}
	default:
		t.Fatalf("unknown command %q", cmd)
	}
}

// advance performs every Tick that falls due, and says when one did something.
func (s *script) advance(t *testing.T, by string) {
	d, err := time.ParseDuration(by)
	require.NoError(t, err)
	end := s.now.Add(d)
	for {
		at, ok := s.pool.Deadline()
		if !ok || at.After(end) {
			break
		}
		require.True(t, at.After(s.now), "the deadline %v must lie ahead of %v", at, s.now)
		s.now = at
		for i, effect := range s.pool.Step(s.now, Tick{}) {
			if i == 0 {
				fmt.Fprintf(&s.out, "at %v:\n", s.now.Sub(epoch).Round(time.Millisecond))
			}
			fmt.Fprintln(&s.out, effect)
		}
	}
	s.now = end
}

func (s *script) state() {
	p := s.pool
	ids := make([]ContainerID, 0, len(p.containers))
	for id := range p.containers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		c := p.containers[id]
		fmt.Fprintf(&s.out, "%v %v %dMB", id, c.state, c.class.memory)
		if c.action != nil {
			fmt.Fprintf(&s.out, " %s", c.action.key)
		}
		if c.active > 0 {
			fmt.Fprintf(&s.out, " active=%d", c.active)
		}
		fmt.Fprintln(&s.out)
	}
	for _, n := range p.ring {
		for _, a := range n.waiting {
			fmt.Fprintf(&s.out, "waiting for %s:", a.key)
			for t := a.waiting.head; t != nil; t = t.next {
				fmt.Fprintf(&s.out, " %s", t.job.ActivationID)
			}
			fmt.Fprintln(&s.out)
		}
	}
	snapshot := p.Snapshot()
	fmt.Fprintf(&s.out, "memory %d of %dMB, wants %d\n", snapshot.Held, snapshot.Limit, snapshot.Wants)
}

// checkInvariants holds what must be true after every step.
func checkInvariants(t require.TestingT, p *Pool) {
	var held, promised entity.Megabytes
	active := map[*action]int{}
	slots := map[*action]int{}
	spare := 0
	for id, c := range p.containers {
		require.Equal(t, id, c.id)
		if c.state.holdsMemory() {
			held += c.class.memory
		}
		if !c.state.leaving() {
			promised += c.class.memory
		}
		if c.action == nil {
			require.Contains(t, []State{Starting, StemCell, Removing}, c.state)
			require.Zero(t, c.active)
			continue
		}
		active[c.action] += c.active
		slots[c.action] += c.slots
		spare += c.spare
		require.LessOrEqual(t, c.active, c.action.concurrency, "concurrency limit of %v", id)
		require.Contains(t, c.action.containers, c)
		require.Equal(t, c.isOpen(), c.action.open.contains(c))
		require.Equal(t, c.active > 0, c.state == Running || c.state == Initializing || c.state == Retiring, "%v %v", id, c.state)
	}
	require.LessOrEqual(t, held, p.cfg.Memory, "memory held")
	require.LessOrEqual(t, promised, p.cfg.Memory, "memory promised")
	require.Equal(t, held, p.held())
	require.Equal(t, promised, p.promised())
	require.Equal(t, spare, p.spare)

	running, waiting, starving := 0, 0, 0
	for _, job := range p.jobs {
		if job.container != nil {
			running++
			require.Same(t, job.container, p.containers[job.container.id])
		}
	}
	queued := map[*task]bool{}
	for _, n := range p.ring {
		require.NotEmpty(t, n.waiting)
		for _, a := range n.waiting {
			require.Positive(t, a.waiting.length)
			require.Zero(t, a.open.length, "a job waits beside an open container")
			for job := a.waiting.head; job != nil; job = job.next {
				require.False(t, queued[job], "a job waits twice")
				require.Nil(t, job.container)
				queued[job] = true
				waiting++
			}
		}
	}
	for _, a := range p.actions {
		require.Equal(t, a.starving, a.waiting.length > 0 && a.slots == 0)
		require.Equal(t, active[a], a.active)
		require.Equal(t, slots[a], a.slots)
		if a.starving {
			starving++
		}
	}
	require.Equal(t, waiting, p.waiting)
	require.Equal(t, starving, p.starving)
	require.Equal(t, len(p.jobs), running+waiting, "a job is in exactly one place")
	for _, s := range p.stems {
		count := 0
		for _, c := range p.containers {
			if c.stem == s && c.action == nil && c.state != Removing {
				count++
			}
		}
		require.Equal(t, count, s.count)
	}
}

// holdsMemory: the container occupies memory now.
func (s State) holdsMemory() bool { return s != Planned && s != Gone }

// leaving: the container's memory will be free without any further decision.
func (s State) leaving() bool { return s == Retiring || s == Removing || s == Gone }
