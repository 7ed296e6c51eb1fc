package wasm

import "golang.org/x/sys/unix"

// mapNoReserve: memory that is never touched counts for nothing.
const mapNoReserve = unix.MAP_NORESERVE
