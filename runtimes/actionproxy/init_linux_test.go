package actionproxy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/runtimes/runtimetest"
)

// TestProcessOne: as process 1 of a container the proxy removes dead orphans,
// and does not lose the exits of its own children to that.
func TestProcessOne(t *testing.T) {
	p := newProxyCommand(t, "shell:1")
	// A user namespace of its own lets an ordinary user do this too.
	p.command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWPID | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		Setpgid:     true,
	}
	p.start(t)
	// Each run leaves an orphan that dies after its parent.
	p.MustInit(t, runtimetest.Code{Code: `sh -c 'sh -c "sleep 0.01" >/dev/null 2>&1 & exit 0'; [ $PPID = 1 ] && echo '{"ok":1}'; exit 3`})
	for range 20 {
		require.JSONEq(t, `{"ok":1}`, p.MustRun(t, `{}`))
	}
	// Dead orphans are zombies, children of the proxy, until it collects them.
	require.Eventually(t, func() bool { return len(childrenOf(t, p.command.Process.Pid)) == 0 }, patience, tick)
	require.JSONEq(t, `{"ok":1}`, p.MustRun(t, `{}`))
}

// childrenOf lists the live and dead children of a process.
func childrenOf(t *testing.T, pid int) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	var found []string
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has gone
		}
		after := text[strings.LastIndexByte(string(text), ')')+1:]
		var state string
		var parent int
		if _, err := fmt.Sscan(string(after), &state, &parent); err == nil && parent == pid {
			found = append(found, name+" "+state)
		}
	}
	return found
}
