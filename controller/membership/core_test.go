package membership

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

var epoch = time.Date(2024, 11, 21, 8, 0, 0, 0, time.UTC)

func config(self string) Config {
	cfg := DefaultConfig()
	cfg.Controller, cfg.UniqueName = entity.ControllerID(self), "self"
	return cfg
}

// TestScripts runs the stories in testdata. Commands: new ID [KNOWN...]; beat ID...;
// leaving ID...; leave; offline INVOKER...; after DURATION and tick, which print the
// effects; finish DUTY [ERROR].
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var core *Core
		var offline []entity.InvokerID
		now := epoch
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var args []string
			for _, a := range d.CmdArgs {
				args = append(args, a.Key)
			}
			switch d.Cmd {
			case "new":
				var known []entity.ControllerID
				for _, id := range args[1:] {
					known = append(known, entity.ControllerID(id))
				}
				core, offline, now = NewCore(config(args[0]), known, epoch), nil, epoch
			case "beat", "leaving":
				for _, id := range args {
					core.Beat(&bus.Heartbeat{Controller: entity.ControllerID(id), Leaving: d.Cmd == "leaving"}, now)
				}
			case "leave":
				core.Leave()
			case "offline":
				offline = nil
				for _, id := range args {
					n, err := strconv.Atoi(id)
					require.NoError(t, err)
					offline = append(offline, entity.InvokerID(n))
				}
			case "finish":
				duty := parseDuty(t, args[:3])
				var err error
				if len(args) > 3 {
					err = errors.New(args[3])
				}
				core.Finished(duty, err, now)
			case "after":
				pause, err := time.ParseDuration(args[0])
				require.NoError(t, err)
				// Ticks come each second.
				var all strings.Builder
				for ; pause > 0; pause -= time.Second {
					now = now.Add(time.Second)
					all.WriteString(print(core.Tick(offline, now)))
				}
				if args[0] == "0s" {
					all.WriteString(print(core.Tick(offline, now)))
				}
				return all.String()
			case "tick":
				return print(core.Tick(offline, now))
			default:
				t.Fatalf("unknown command %q", d.Cmd)
			}
			return ""
		})
	})
}

func parseDuty(t *testing.T, words []string) Duty {
	switch text := strings.Join(words[:2], " "); text {
	case "drain invoker":
		n, err := strconv.Atoi(words[2])
		require.NoError(t, err)
		return Duty{Kind: DrainInvoker, Invoker: entity.InvokerID(n)}
	case "take journal":
		return Duty{Kind: TakeJournal, Controller: entity.ControllerID(words[2])}
	default:
		return Duty{Kind: DrainOverflow, Controller: entity.ControllerID(words[2])}
	}
}

func print(e Effects) string {
	var b strings.Builder
	for _, d := range e.Stop {
		fmt.Fprintln(&b, "stop", d)
	}
	for _, d := range e.Begin {
		fmt.Fprintln(&b, "begin", d)
	}
	if e.Controllers > 0 {
		fmt.Fprintln(&b, "controllers", e.Controllers)
	}
	return b.String()
}

func TestFailuresAreRetriedLessAndLess(t *testing.T) {
	core := NewCore(config("0"), nil, epoch)
	now := epoch.Add(time.Minute)
	var pauses []time.Duration
	last := now
	for len(pauses) < 8 {
		if e := core.Tick([]entity.InvokerID{1}, now); len(e.Begin) > 0 {
			pauses = append(pauses, now.Sub(last))
			last = now
			core.Finished(e.Begin[0], errors.New("no broker"), now)
		}
		now = now.Add(time.Second)
	}
	require.Equal(t, []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute}, pauses)
}

// In any history a duty runs once at a time, only for those who are silent, and only
// while nobody lower lives.
func TestDutiesInAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		core := NewCore(config("1"), nil, epoch)
		now := epoch
		heard := map[entity.ControllerID]time.Time{}
		leaves := map[entity.ControllerID]bool{}
		running := map[Duty]bool{}
		var offline []entity.InvokerID
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(1, 8).Draw(t, "seconds")) * time.Second)
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1:
				id := entity.ControllerID(strconv.Itoa(rapid.IntRange(0, 3).Draw(t, "id")))
				leaving := rapid.IntRange(0, 4).Draw(t, "leaves") == 0
				core.Beat(&bus.Heartbeat{Controller: id, Leaving: leaving}, now)
				if id != "1" {
					heard[id], leaves[id] = now, leaving
				}
			case 2:
				offline = rapid.SliceOfNDistinct(rapid.Map(rapid.IntRange(0, 2), func(n int) entity.InvokerID { return entity.InvokerID(n) }), 0, 3, rapid.ID).Draw(t, "offline")
			case 3:
				for d := range running {
					delete(running, d)
					var err error
					if rapid.Bool().Draw(t, "fails") {
						err = errors.New("no broker")
					}
					core.Finished(d, err, now)
					break
				}
			}
			e := core.Tick(offline, now)
			for _, d := range e.Stop {
				if !running[d] {
					t.Fatalf("%v was stopped and did not run", d)
				}
				delete(running, d)
			}
			for _, d := range e.Begin {
				if running[d] {
					t.Fatalf("%v runs twice", d)
				}
				running[d] = true
			}
			leads := now.Sub(epoch) >= 10*time.Second && (heard["0"].IsZero() || leaves["0"] || now.Sub(heard["0"]) >= 10*time.Second)
			for d := range running {
				switch {
				case !leads:
					t.Fatalf("%v runs while it is another's", d)
				case d.Kind == DrainInvoker && !slices.Contains(offline, d.Invoker):
					t.Fatalf("%v runs while the invoker lives", d)
				case d.Kind != DrainInvoker && now.Sub(heard[d.Controller]) < 30*time.Second:
					t.Fatalf("%v runs while the controller lives", d)
				}
			}
		}
	})
}
