// Package containertest is the conformance suite of container factories:
// whatever callers of container.Factory and container.Container rely on, with
// real interpreters, and what hostile actions must not achieve.
package containertest

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Options say what an implementation promises beyond the interface.
type Options struct {
	// Node, Python and Shell are kinds that the factory can start; the suite needs
	// all three.
	Node, Python, Shell string
	// Image is the image of a kind, for factories that need one; else nil.
	Image func(kind string) string
	// SkeletonImage is the image for blackbox actions.
	SkeletonImage string

	// LimitsMemory, LimitsProcesses, LimitsDisk, HidesFiles and HidesProcesses say
	// which kinds of damage containers are kept from.
	LimitsMemory, LimitsProcesses, LimitsDisk, HidesFiles, HidesProcesses bool
	// Hidden are files of the server that no action may read.
	Hidden []string

	// MissingKind is a kind that cannot be started, if there is one.
	MissingKind string

	// Residue lists what is left of containers (processes, groups, directories,
	// by name); it is called when all were destroyed and must then return none.
	Residue func() []string
	// Owner returns a command that opens a factory on the same state, starts
	// containers, prints "started" as a line and waits to be killed.
	Owner func(t *testing.T) *exec.Cmd
}

// patience bounds everything that should take no time.
const patience = 20 * time.Second

// Run checks a factory. open returns a factory that is swept and is closed when
// the test ends.
func Run(t *testing.T, open func(t *testing.T) container.Factory, o Options) {
	if o.Owner != nil { // first: it needs the state for itself
		t.Run("Sweep/RemovesWhatAKilledOwnerLeft", func(t *testing.T) { testLeftovers(t, open, o) })
	}
	f := open(t)
	s := &suite{Factory: f, Options: o}
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"Start/RoundTrip", s.roundTrip},
		{"Start/ErrorsOfUsers", s.startErrors},
		{"Start/EndsWithItsContext", s.startContext},
		{"Start/Environment", s.environment},
		{"Logs/FramedPerActivation", s.logs},
		{"Logs/Truncated", s.truncatedLogs},
		{"Logs/Garbage", s.garbage},
		{"Logs/Endless", s.endlessLogs},
		{"Call/LongAnswersAreCut", s.longAnswer},
		{"Call/DeadlineIsHard", s.deadline},
		{"Call/Concurrency", s.concurrency},
		{"Call/AfterTheRuntimeDied", s.runtimeDies},
		{"Pause/StopsAndResumes", s.pause},
		{"Destroy/DuringACall", s.destroyDuringCall},
		{"Destroy/WhilePaused", s.destroyWhilePaused},
		{"Destroy/EndsWhatTheActionLeftRunning", s.daemon},
		{"Hostile/ExceedsItsMemory", s.outOfMemory},
		{"Hostile/ForkBomb", s.forkBomb},
		{"Hostile/RemovesItsSocket", s.removesSocket},
		{"Hostile/KillsItsProxy", s.killsProxy},
		{"Hostile/FillsItsDisk", s.fillsDisk},
		{"Hostile/ReadsOthersFiles", s.readsFiles},
		{"Hostile/WritesSystemFiles", s.writesFiles},
		{"Hostile/KillsOthers", s.killsOthers},
	} {
		t.Run(c.name, func(t *testing.T) {
			// Containers are destroyed by clean-ups that come later, so before this.
			t.Cleanup(func() { s.requireNothingLeft(t) })
			c.test(t)
		})
	}
}

// suite is a factory under test.
type suite struct {
	container.Factory
	Options
}

func (s *suite) requireNothingLeft(t *testing.T) {
	if s.Residue == nil || t.Failed() {
		return
	}
	var left []string
	defer func() { require.Empty(t, left) }()
	require.Eventually(t, func() bool {
		left = s.Residue()
		return len(left) == 0
	}, patience, 10*time.Millisecond)
}

// within returns a context for one step.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// box is a started container.
type box struct {
	container.Container
	t *testing.T
}

var sequence int

// start starts a container of a kind with 128 MB; change may alter the spec.
func (s *suite) start(t *testing.T, kind string, change ...func(*container.Spec)) *box {
	t.Helper()
	sequence++
	spec := container.Spec{
		Name: fmt.Sprintf("suite-%d", sequence), Kind: kind, Memory: 128, Concurrency: 1,
		Env: []string{"__OW_API_HOST=http://api.example:3233"},
	}
	if s.Image != nil {
		spec.Image = s.Image(kind)
	}
	for _, c := range change {
		c(&spec)
	}
	started, err := s.Start(within(t, patience), spec)
	require.NoError(t, err)
	b := &box{started, t}
	t.Cleanup(b.destroy)
	assert.NotEmpty(t, b.ID())
	return b
}

func (b *box) destroy() {
	require.NoError(b.t, b.Destroy(within(b.t, patience)))
}

// post calls the runtime.
func (b *box) post(path string, body any) (container.Response, error) {
	b.t.Helper()
	encoded, err := json.Marshal(body)
	require.NoError(b.t, err)
	return b.Call(within(b.t, patience), path, encoded, 1<<20)
}

// code initialises the runtime with source code.
func (b *box) code(source string) *box {
	b.t.Helper()
	response, err := b.post("/init", map[string]any{"value": map[string]any{
		"name": "action", "main": "main", "code": source, "binary": false,
		"env": map[string]string{"__OW_NAMESPACE": "guest"},
	}})
	require.NoError(b.t, err)
	require.Equal(b.t, 200, response.Status, "%s", response.Body)
	return b
}

// request is the body of a run.
func request(value any) map[string]any {
	return map[string]any{
		"value": value, "namespace": "guest", "action_name": "/guest/action", "activation_id": "0123456789abcdef0123456789abcdef",
	}
}

// run runs the action and returns its result.
func (b *box) run(value any) map[string]any {
	b.t.Helper()
	response, err := b.post("/run", request(value))
	require.NoError(b.t, err)
	require.Equal(b.t, 200, response.Status, "%s", response.Body)
	require.Equal(b.t, int64(len(response.Body)), response.Length)
	var result map[string]any
	require.NoError(b.t, json.Unmarshal(response.Body, &result), "%s", response.Body)
	return result
}

// texts collects an activation's lines without their timestamps.
func (b *box) texts(limit entity.Megabytes) []string {
	b.t.Helper()
	logs := b.Logs(within(b.t, patience), container.LogQuery{Limit: limit, WaitForSentinel: true})
	require.False(b.t, logs.Incomplete, "%v", logs.Lines)
	return strip(logs.Lines)
}

func strip(lines []string) []string {
	texts := []string{}
	for _, l := range lines {
		_, text, _ := strings.Cut(l, "Z ")
		texts = append(texts, strings.TrimLeft(text, " "))
	}
	return texts
}

const (
	nodeEcho   = `function main(args) { return {echo: args} }`
	pythonEcho = "def main(args):\n    return {'echo': args}"
)

// requireAlive runs an action that was given nodeEcho or pythonEcho.
func (b *box) requireAlive() {
	b.t.Helper()
	require.Equal(b.t, map[string]any{"echo": map[string]any{"n": 1.0}}, b.run(map[string]any{"n": 1}))
}
