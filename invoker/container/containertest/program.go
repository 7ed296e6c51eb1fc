package containertest

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/invoker/container"
)

// Program is an action for factories whose kinds run no interpreted languages: one
// program that does what its argument "do" says.
//
//	echo     answers {"echo": its arguments}
//	env      answers {"env": its environment as an object, "args": its command line}
//	print    prints "out <n>" on standard output, "err <n>" and "no newline" on
//	         standard error, the latter without one, and answers {}
//	lines    prints lines of 1000 letters, as many as "lines" says, and answers {}
//	garbage  prints what is no text on both streams, and answers {}
//	endless  prints for ever, without a newline
//	long     answers {"long": as many letters as "bytes" says}
//	spin     prints "spinning" on standard error and calculates for ever
//	exit     prints "bye" on standard error and exits with status 3
//	hog      takes memory for ever
//	sleep    prints "sleeping" on standard error and sleeps for long
//	files    answers {"found": the paths that it could open or create}
type Program struct {
	// Kind is what the program is of, Code is it, in base64.
	Kind, Code string
	// MissingKind is a kind that cannot be started.
	MissingKind string
}

// RunProgram checks a factory with a program, as Run does with interpreters. open
// returns a factory that is swept and is closed when the test ends.
func RunProgram(t *testing.T, open func(t *testing.T) container.Factory, p Program) {
	s := &programSuite{suite{Factory: open(t)}, p}
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
		{"Call/AfterTheProgramExited", s.exits},
		{"Call/ActivationsShareNothing", s.sharesNothing},
		{"Pause/StopsAndResumes", s.pause},
		{"Destroy/DuringACall", s.destroyDuringCall},
		{"Destroy/WhilePaused", s.destroyWhilePaused},
		{"Hostile/ExceedsItsMemory", s.outOfMemory},
		{"Hostile/OpensFiles", s.files},
	} {
		t.Run(c.name, c.test)
	}
}

type programSuite struct {
	suite
	program Program
}

// load starts a container with the program.
func (s *programSuite) load(t *testing.T, change ...func(*container.Spec)) *box {
	t.Helper()
	b := s.start(t, s.program.Kind, change...)
	response, err := b.post("/init", map[string]any{"value": map[string]any{
		"name": "action", "main": "main", "code": s.program.Code, "binary": true,
		"env": map[string]string{"__OW_NAMESPACE": "guest"},
	}})
	require.NoError(t, err)
	require.Equal(t, 200, response.Status, "%s", response.Body)
	return b
}

func does(what string) map[string]any { return map[string]any{"do": what} }

// answers requires that the container works.
func (s *programSuite) answers(b *box) {
	b.t.Helper()
	require.Equal(b.t, map[string]any{"echo": map[string]any{"do": "echo"}}, b.run(does("echo")))
	require.Empty(b.t, b.texts(10))
}

// callFor runs the program with a deadline and returns the call's error.
func (s *programSuite) callFor(b *box, d time.Duration, value any) error {
	b.t.Helper()
	body, err := json.Marshal(request(value))
	require.NoError(b.t, err)
	_, err = b.Call(within(b.t, d), "/run", body, 1<<20)
	return err
}

func (s *programSuite) roundTrip(t *testing.T) {
	b := s.load(t)
	for range 3 {
		value := map[string]any{"do": "echo", "name": "Ada 😀"}
		require.Equal(t, map[string]any{"echo": value}, b.run(value))
		assert.Empty(t, b.texts(10))
	}
	_, err := b.post("/init", map[string]any{})
	require.NoError(t, err)
	s.answers(b)
}

func (s *programSuite) startErrors(t *testing.T) {
	var user *container.StartError
	_, err := s.Start(within(t, patience), container.Spec{Name: "missing", Kind: s.program.MissingKind, Memory: 128, Concurrency: 1})
	require.ErrorAs(t, err, &user)
	assert.Equal(t, "The runtime '"+s.program.MissingKind+"' is not available on this server.", user.Text)
}

func (s *programSuite) startContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.Start(ctx, container.Spec{Name: "late", Kind: s.program.Kind, Memory: 128, Concurrency: 1})
	require.ErrorIs(t, err, context.Canceled)
}

func (s *programSuite) environment(t *testing.T) {
	t.Setenv("SECRET", "of the server")
	result := s.load(t).run(does("env"))
	assert.Equal(t, map[string]any{
		"__OW_API_HOST": "http://api.example:3233", "__OW_NAMESPACE": "guest", "__OW_ACTION_NAME": "/guest/action",
		"__OW_ACTIVATION_ID": "0123456789abcdef0123456789abcdef",
	}, result["env"])
	assert.Equal(t, []any{"/guest/action"}, result["args"])
}

func (s *programSuite) logs(t *testing.T) {
	b := s.load(t)
	for n := range 3 {
		number := string(rune('0' + n))
		b.run(map[string]any{"do": "print", "n": n})
		assert.ElementsMatch(t, []string{"stdout: out " + number, "stderr: err " + number, "stderr: no newline"}, b.texts(10))
	}
	b.run(does("print"))
	for _, line := range b.Logs(within(t, patience), container.LogQuery{Limit: 10, WaitForSentinel: true}).Lines {
		require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z {1,}std(out|err): `, line)
	}
}

func (s *programSuite) truncatedLogs(t *testing.T) {
	b := s.load(t)
	b.run(map[string]any{"do": "lines", "lines": 3000})
	logs := b.Logs(within(t, patience), container.LogQuery{Limit: 1, WaitForSentinel: true})
	require.True(t, logs.Truncated)
	require.False(t, logs.Incomplete)
	texts := strip(logs.Lines)
	assert.Equal(t, "stderr: Logs were truncated because the total bytes size exceeds the limit of 1048576 bytes.", texts[len(texts)-1])
	assert.Less(t, len(strings.Join(logs.Lines, "\n")), 1<<20+1000)
	assert.Greater(t, len(logs.Lines), 800)
	b.run(map[string]any{"do": "lines", "lines": 1})
	assert.Len(t, b.texts(10), 1)
}

func (s *programSuite) garbage(t *testing.T) {
	b := s.load(t)
	for range 2 {
		b.run(does("garbage"))
		texts := b.texts(10)
		assert.NotEmpty(t, texts)
		for _, text := range texts {
			assert.True(t, utf8.ValidString(text))
		}
	}
}

func (s *programSuite) endlessLogs(t *testing.T) {
	b := s.load(t)
	require.ErrorIs(t, s.callFor(b, time.Second, does("endless")), context.DeadlineExceeded)
	logs := b.Logs(within(t, patience), container.LogQuery{Limit: 1})
	assert.Less(t, len(strings.Join(logs.Lines, "\n")), 1<<20+1000)
}

func (s *programSuite) longAnswer(t *testing.T) {
	b := s.load(t)
	response, err := b.post("/run", request(map[string]any{"do": "long", "bytes": 3 << 20}))
	require.NoError(t, err)
	require.Equal(t, 200, response.Status)
	assert.EqualValues(t, 3<<20+len(`{"long":""}`), response.Length)
	assert.Len(t, response.Body, 1<<20)
	assert.Len(t, b.run(map[string]any{"do": "long", "bytes": 10})["long"], 10)
	assert.Empty(t, b.texts(10))
}

func (s *programSuite) deadline(t *testing.T) {
	b := s.load(t)
	require.ErrorIs(t, s.callFor(b, 500*time.Millisecond, does("spin")), context.DeadlineExceeded)
	logs := b.Logs(within(t, patience), container.LogQuery{Limit: 10})
	assert.Equal(t, []string{"stderr: spinning"}, strip(logs.Lines))
	// Destroy ends it, not only the waiting for it.
	b.destroy()
}

// concurrency sees that one activation goes on while another calculates.
func (s *programSuite) concurrency(t *testing.T) {
	b := s.load(t, func(spec *container.Spec) { spec.Concurrency = 5 })
	ctx, cancel := context.WithCancel(within(t, patience))
	spin, err := json.Marshal(request(does("spin")))
	require.NoError(t, err)
	var spinning, calls sync.WaitGroup
	spinning.Go(func() {
		_, err := b.Call(ctx, "/run", spin, 1<<20)
		assert.ErrorIs(t, err, context.Canceled)
	})
	for n := range 4 {
		calls.Go(func() {
			body, err := json.Marshal(request(map[string]any{"do": "echo", "n": n}))
			if assert.NoError(t, err) {
				response, err := b.Call(ctx, "/run", body, 1<<20)
				assert.NoError(t, err)
				assert.Contains(t, string(response.Body), `"n":`+string(rune('0'+n)))
			}
		})
	}
	for range 4 {
		b.texts(10)
	}
	calls.Wait()
	cancel()
	spinning.Wait()
}

func (s *programSuite) exits(t *testing.T) {
	b := s.load(t)
	response, err := b.post("/run", request(does("exit")))
	require.NoError(t, err)
	assert.Equal(t, 502, response.Status)
	assert.JSONEq(t, `{"error":"The action exited with status 3."}`, string(response.Body))
	logs := b.Logs(within(t, patience), container.LogQuery{Limit: 10})
	assert.Equal(t, []string{"stderr: bye"}, strip(logs.Lines))
	s.answers(b)
}

// sharesNothing: what one activation used up is there for the next.
func (s *programSuite) sharesNothing(t *testing.T) {
	b := s.load(t)
	for range 3 {
		// Three times its memory, but not at once.
		assert.Len(t, b.run(map[string]any{"do": "long", "bytes": 1 << 19})["long"], 1<<19)
	}
}

func (s *programSuite) pause(t *testing.T) {
	b := s.load(t)
	for range 3 {
		require.NoError(t, b.Pause(within(t, patience)))
		require.NoError(t, b.Resume(within(t, patience)))
		s.answers(b)
	}
	require.NoError(t, b.Pause(within(t, patience)))
	require.ErrorIs(t, s.callFor(b, 200*time.Millisecond, does("echo")), context.DeadlineExceeded, "a paused container answers")
	require.NoError(t, b.Resume(within(t, patience)))
	require.Eventually(t, func() bool { return s.callFor(b, patience, does("echo")) == nil }, patience, 10*time.Millisecond)
}

func (s *programSuite) destroyDuringCall(t *testing.T) {
	for _, what := range []string{"sleep", "spin"} {
		t.Run(what, func(t *testing.T) {
			b := s.load(t)
			returned := make(chan error, 1)
			ctx := within(t, patience)
			body, err := json.Marshal(request(does(what)))
			require.NoError(t, err)
			go func() {
				_, err := b.Call(ctx, "/run", body, 1<<20)
				returned <- err
			}()
			b.awaitLine("ing")
			b.destroy()
			err = <-returned
			require.ErrorIs(t, err, container.ErrNoResponse)
			b.destroy() // more than once is fine
			_, err = b.post("/run", request(does("echo")))
			require.ErrorIs(t, err, container.ErrNotListening)
		})
	}
}

func (s *programSuite) destroyWhilePaused(t *testing.T) {
	b := s.load(t)
	require.NoError(t, b.Pause(within(t, patience)))
	b.destroy()
}

func (s *programSuite) outOfMemory(t *testing.T) {
	neighbour := s.load(t)
	b := s.load(t)
	_, err := b.post("/run", request(does("hog")))
	require.ErrorIs(t, err, container.ErrOutOfMemory)
	s.answers(neighbour)
	b.Logs(within(t, patience), container.LogQuery{Limit: 10})
	s.answers(b)
}

func (s *programSuite) files(t *testing.T) {
	assert.Empty(t, s.load(t).run(does("files"))["found"])
}
