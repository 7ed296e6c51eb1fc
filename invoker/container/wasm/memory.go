package wasm

import (
	"sync/atomic"

	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"
)

// room is what the instances of a container may have together.
type room struct {
	limit int64
	used  atomic.Int64
}

// take reserves bytes and reports whether there were as many.
func (r *room) take(bytes int64) bool {
	if r.used.Add(bytes) <= r.limit {
		return true
	}
	r.used.Add(-bytes)
	return false
}

// memory is the linear memory of one instance. It lies outside of Go's heap: pages
// exist when they are written to, never move, and are given back at once.
type memory struct {
	room *room
	// reserved are addresses for as much as there could ever be.
	reserved []byte
	size     int64
	// refused: the instance wanted more than there was.
	refused atomic.Bool
}

var _ experimental.MemoryAllocator = (*memory)(nil)

// Allocate implements experimental.MemoryAllocator. An instance has one memory.
func (m *memory) Allocate(_, most uint64) experimental.LinearMemory {
	bytes := min(int64(most), m.room.limit)
	if bytes > 0 {
		reserved, err := unix.Mmap(-1, 0, int(bytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|mapNoReserve)
		if err == nil { // else every Reallocate fails, which tells that there is no memory
			m.reserved = reserved
		}
	}
	return m
}

// Reallocate implements experimental.LinearMemory.
func (m *memory) Reallocate(size uint64) []byte {
	more := int64(size) - m.size
	if int64(size) > int64(len(m.reserved)) || !m.room.take(more) {
		m.refused.Store(true)
		return nil
	}
	m.size = int64(size)
	return m.reserved[:size:size]
}

// Free implements experimental.LinearMemory. The runtime calls it while the
// instance may still be on the stack, so it waits for release.
func (*memory) Free() {}

// release gives everything back. Nothing of the instance may run any more.
func (m *memory) release() {
	if m.reserved != nil {
		_ = unix.Munmap(m.reserved) // it is a mapping of ours
		m.reserved = nil
	}
	m.room.used.Add(-m.size)
	m.size = 0
}
