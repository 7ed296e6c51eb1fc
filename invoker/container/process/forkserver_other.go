//go:build unix && !linux

package process

import (
	"context"
	"errors"

	"github.com/gowhisk/gowhisk/runtimes"
)

var errForkServer = errors.New("fork server")

// forkServers is empty: forking into a container takes namespaces.
type forkServers struct{}

func newForkServers(*Factory) *forkServers { return &forkServers{} }

func (*forkServers) usable(runtimes.Interpreter) bool { return false }

func (*forkServers) close() {}

func (c *Container) forkLauncher(context.Context, *pipes, runtimes.Interpreter) error {
	return errForkServer
}
