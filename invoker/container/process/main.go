package process

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/gowhisk/gowhisk/runtimes/actionproxy"
)

// ContainerMain is the program of a container. A server calls it, and exits with
// what it returns, when its first argument is Command; the factory passes no
// arguments. It does not return while the container lives.
func ContainerMain([]string) int {
	syscall.CloseOnExec(gateFD)
	syscall.CloseOnExec(statusFD)
	gate := os.NewFile(gateFD, "gate")
	if gate == nil {
		fmt.Fprintf(os.Stderr, "%s is for the server's own use\n", Command)
		return 2
	}
	var spec boxSpec
	// The factory writes when the limits are in place. It may die instead.
	if err := json.NewDecoder(gate).Decode(&spec); err != nil {
		return 1
	}
	if err := confine(&spec); err != nil {
		announce("error " + strings.ReplaceAll(err.Error(), "\n", "; "))
		return 1
	}
	announce("confined")
	if spec.Probe {
		return 0
	}
	go endWithOwner(gate)
	os.Clearenv()
	for _, entry := range spec.Env {
		name, value, _ := strings.Cut(entry, "=")
		if err := os.Setenv(name, value); err != nil {
			fmt.Fprintf(os.Stderr, "environment variable %q: %v\n", name, err)
		}
	}
	return actionproxy.Main(append(spec.Proxy, "--ready-fd", strconv.Itoa(statusFD)))
}

// announce writes a line for the factory. The descriptor stays a number: the
// proxy will close it.
func announce(line string) {
	// When nobody listens, the gate closes too, and that ends the container.
	_, _ = syscall.Write(statusFD, []byte(line+"\n"))
}

// endWithOwner ends the container when the factory's process has ended, which
// closes the gate. It is the only way on systems without parent death signals.
func endWithOwner(gate *os.File) {
	_, _ = gate.Read(make([]byte, 1)) // returns at the end only
	_ = syscall.Kill(-os.Getpid(), syscall.SIGKILL)
	os.Exit(1)
}
