//go:build unix

package runtimeclient

import (
	"errors"

	"golang.org/x/sys/unix"
)

// isOpen reports whether an idle connection can take a request: the runtime has
// neither closed it nor sent anything.
func (k *conn) isOpen() bool {
	if k.reader.Buffered() > 0 {
		return false
	}
	if k.raw == nil {
		return true
	}
	open := false
	// Control, unlike Read, does not mind the deadline of the previous call.
	err := k.raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		open = errors.Is(err, unix.EAGAIN)
	})
	return err == nil && open
}
