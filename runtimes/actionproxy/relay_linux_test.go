package actionproxy

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// asRelay makes this test binary print through a relay.
const asRelay = "ACTIONPROXY_TEST_RUN_AS_RELAY"

// TestRelay: what is printed and the sentinels come out in order, on a stream that was
// quiet for long too.
func TestRelay(t *testing.T) {
	if os.Getenv(asRelay) != "" {
		printThroughRelay()
	}
	child := exec.Command(os.Args[0], "-test.run", "^TestRelay$")
	child.Env = append(os.Environ(), asRelay+"=1")
	var out, errors strings.Builder
	child.Stdout, child.Stderr = &out, &errors
	require.NoError(t, child.Run(), errors.String())
	require.Equal(t, "one\n"+sentinel+"m\n"+sentinel+"m\n", out.String())
	require.Equal(t, sentinel+"m\ntwo\n"+sentinel+"m\n", errors.String())
}

func printThroughRelay() {
	r, err := openRelay()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	end := r.marker("m", false)
	fmt.Println("one")
	end()
	// Whatever the relay has forgotten is closed.
	runtime.GC()
	runtime.GC()
	fmt.Fprintln(os.Stderr, "two")
	end()
	r.close()
	os.Exit(0)
}
