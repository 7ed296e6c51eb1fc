package main

import "golang.org/x/sys/unix"

// hide keeps the proxy's memory and environment from the action, which runs as the
// same user: the mark of the log sentinels is in there. Programs that the proxy
// starts are not affected.
func hide() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // cannot fail with this value
}
