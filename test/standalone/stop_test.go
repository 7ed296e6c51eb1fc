package standalone

import (
	"context"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
)

// gated is an action that waits at the recorder's gate "run".
func gated(r *harness.Recorder) harness.Action {
	return harness.NodeCalling(`async function main(args) {
  await call("` + r.URL() + `/gate?key=run")
  return {passed: true, ...args}
}`)
}

func TestGracefulStop(t *testing.T) {
	t.Run("running_activations_finish", func(t *testing.T) {
		s, recorder := harness.Start(t, harness.Options{}), harness.NewRecorder(t)
		guest := s.Guest()
		guest.PutAction(t, "gated", gated(recorder))

		detached := guest.Post(t, "_/actions/gated", `{"n":1}`).Is(t, 202).ActivationID()
		waiting := make(chan *harness.Response, 1)
		go func() {
			// A failed call shows as nil below.
			r, _ := guest.Try(context.Background(), http.MethodPost, "_/actions/gated?blocking=true", `{"n":2}`)
			waiting <- r
		}()
		recorder.Wait(t, "run", 2)

		s.Process().Signal(t, syscall.SIGTERM)
		harness.Until(t, "the server to take no new connections", func() bool {
			_, err := s.Guest().Try(t.Context(), http.MethodGet, "/ping", nil)
			return err != nil
		})
		recorder.Open("run")

		r := <-waiting
		require.NotNil(t, r, "the caller who waited got an answer")
		r.Is(t, 200)
		require.True(t, harness.SameJSON(`{"passed":true,"n":2}`, r.Field("response.result").Raw), "%s", r.Body)
		require.Zero(t, s.Process().WaitExit(t), "exit status")

		s.Restart(t)
		for _, id := range []string{detached, r.ActivationID()} {
			record := s.Guest().Activation(t, id)
			require.Equal(t, "success", record.Get("response.status").String(), "activation %s", id)
		}
		require.Equal(t, 2, recorder.Count("run"), "runs")
	})

	t.Run("what_never_ends_is_recorded_at_its_time_limit", func(t *testing.T) {
		s, recorder := harness.Start(t, harness.Options{}), harness.NewRecorder(t)
		guest := s.Guest()
		guest.PutAction(t, "gated", gated(recorder).With(harness.Limits{Timeout: 3000}))
		id := guest.Post(t, "_/actions/gated", `{}`).Is(t, 202).ActivationID()
		recorder.Wait(t, "run", 1)
		s.Stop(t)

		s.Restart(t)
		record := s.Guest().Activation(t, id)
		require.Equal(t, "false", record.Get("response.success").Raw)
	})

	t.Run("queued_activations_are_kept", func(t *testing.T) {
		s, recorder := harness.Start(t, harness.Options{Flags: []string{"--memory", "256", "--max-memory", "256"}}), harness.NewRecorder(t)
		guest := s.Guest()
		guest.PutAction(t, "gated", gated(recorder))
		var ids []string
		for range 10 {
			ids = append(ids, guest.Post(t, "_/actions/gated", `{}`).Is(t, 202).ActivationID())
		}
		recorder.Wait(t, "run", 1)
		s.Process().Signal(t, syscall.SIGTERM)
		recorder.Open("run")
		require.Zero(t, s.Process().WaitExit(t), "exit status")

		s.Restart(t)
		for _, id := range ids {
			record := s.Guest().Activation(t, id)
			require.Equal(t, "success", record.Get("response.status").String(), "activation %s: %s", id, record.Raw)
		}
		require.Equal(t, len(ids), recorder.Count("run"), "runs")
	})
}

func TestNothingIsLeft(t *testing.T) {
	// A server that ran nothing shows which directories are the server's own.
	unused := harness.Start(t, harness.Options{})
	unused.Stop(t)
	own := directories(t, unused.Dir())

	// use starts actions of every kind: idle ones, one that runs, and one that
	// has put a process of its own out of sight.
	use := func(t *testing.T, s *harness.Server, r *harness.Recorder) {
		guest := s.Guest()
		guest.PutAction(t, "node", harness.Node(`function main() { return {} }`))
		guest.PutAction(t, "python", harness.Python("def main(args):\n    return {}\n"))
		guest.PutAction(t, "daemon", harness.PythonCalling(`import os, time
def main(args):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for fd in range(3):
                os.close(fd)
            time.sleep(3600)
        os._exit(0)
    return {}
`))
		guest.PutAction(t, "gated", gated(r))
		for _, name := range []string{"node", "python", "daemon"} {
			guest.Invoke(t, name, `{}`).Is(t, 200)
		}
		guest.Post(t, "_/actions/gated", `{}`).Is(t, 202)
		r.Wait(t, "run", 1)
	}

	t.Run("after_stop", func(t *testing.T) {
		s, recorder := harness.Start(t, harness.Options{}), harness.NewRecorder(t)
		use(t, s, recorder)
		processes := harness.Descendants(s.PID())
		require.NotEmpty(t, processes, "action processes are children of the server")
		groups := harness.ControlGroups(processes)
		recorder.Open("run")
		s.Stop(t)
		noneExists(t, groups)

		require.Empty(t, harness.Alive(processes), "processes")
		require.Empty(t, harness.Leftovers(t, s.Dir()), "processes that use the data directory")
		nothingBelow(t, s.Dir(), own)
	})

	t.Run("after_kill_and_restart", func(t *testing.T) {
		s, recorder := harness.Start(t, harness.Options{}), harness.NewRecorder(t)
		use(t, s, recorder)
		processes := harness.Descendants(s.PID())
		groups := harness.ControlGroups(processes)
		s.Kill(t)
		s.Restart(t)
		harness.Until(t, "the killed server's action processes to end", func() bool {
			return len(harness.Alive(processes)) == 0
		})
		s.Guest().Invoke(t, "node", `{}`).Is(t, 200)
		s.Stop(t)
		noneExists(t, groups)

		require.Empty(t, harness.Leftovers(t, s.Dir()), "processes that use the data directory")
		nothingBelow(t, s.Dir(), own)
	})

	t.Run("after_kill_with_paused_containers_and_restart", func(t *testing.T) {
		s := harness.Start(t, harness.Options{Flags: []string{"--pause-grace", "10ms", "--stem-cells", "none"}})
		s.Guest().PutAction(t, "node", harness.Node(`function main() { return {} }`))
		s.Guest().Invoke(t, "node", `{}`).Is(t, 200)
		var processes []harness.Proc
		harness.Until(t, "the container to be paused", func() bool {
			processes = harness.Descendants(s.PID())
			for _, p := range processes {
				if p.Paused() {
					return true
				}
			}
			return false
		})
		groups := harness.ControlGroups(processes)
		s.Kill(t)
		s.Restart(t)
		harness.Until(t, "the killed server's paused processes to end", func() bool {
			return len(harness.Alive(processes)) == 0
		})
		s.Guest().Invoke(t, "node", `{}`).Is(t, 200)
		s.Stop(t)
		noneExists(t, groups)
		nothingBelow(t, s.Dir(), own)
	})

	t.Run("of_an_ephemeral_server", func(t *testing.T) {
		home := harness.TempDir(t)
		s := harness.Start(t, harness.Options{Ephemeral: true, Env: []string{
			"TMPDIR=" + home, "HOME=" + home, "XDG_RUNTIME_DIR=" + home,
			"XDG_DATA_HOME=" + home, "XDG_STATE_HOME=" + home, "XDG_CACHE_HOME=" + home,
		}})
		recorder := harness.NewRecorder(t)
		use(t, s, recorder)
		processes := harness.Descendants(s.PID())
		recorder.Open("run")
		s.Stop(t)

		require.Empty(t, harness.Alive(processes), "processes")
		require.Empty(t, harness.Mounts(home), "mounts")
		entries, err := os.ReadDir(home)
		require.NoError(t, err)
		require.Empty(t, entries, "files and directories")
	})
}

// noneExists checks that none of the paths is there any more.
func noneExists(t testing.TB, paths []string) {
	t.Helper()
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
}

// directories are the paths of the directories below root, relative to it.
func directories(t testing.TB, root string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			short, _ := filepath.Rel(root, path)
			found[short] = true
		}
		return err
	}))
	return found
}

// nothingBelow checks that a stopped server's data directory has no socket, no
// mount and no directory but the server's own.
func nothingBelow(t testing.TB, root string, own map[string]bool) {
	t.Helper()
	require.Empty(t, harness.Mounts(root), "mounts")
	for dir := range directories(t, root) {
		require.Truef(t, own[dir], "directory %s is left", dir)
	}
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type()&fs.ModeSocket != 0 {
			t.Errorf("socket %s is left", path)
		}
		return err
	}))
}
