package wasm

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// edition changes when instrument does: code compiled from other rewritings is not
// used.
const edition = "1"

// library keeps compiled modules: those in use, unused ones up to a limit in memory,
// and more on disk.
type library struct {
	dir      string
	version  string // of the runtime, as the directories have it
	compiler compiler
	unused   int64 // bytes of modules kept in memory without use
	disk     int64 // bytes kept on disk
	log      *zap.Logger

	// life ends when the library is closed, and with it what is being loaded.
	life    context.Context
	end     context.CancelFunc
	loading sync.WaitGroup
	mu      sync.Mutex // guards what follows
	volumes map[string]*volume
	idle    *list.List // of *volume, the last used at the front
	held    int64      // bytes of the modules in idle
	closed  bool
}

// volume is one module of the library.
type volume struct {
	name    string
	bytes   int64
	loaded  chan struct{} // closed when program or err is set
	program *program
	err     error

	readers int           // guarded by library.mu
	place   *list.Element // in library.idle, when nobody reads
}

var errClosed = errors.New("the container factory is closed")

// openLibrary opens the directory and removes what other versions and killed
// compilers left.
func openLibrary(dir string, c compiler, unused, disk entity.Megabytes, log *zap.Logger) (*library, error) {
	l := &library{
		dir: filepath.Join(dir, "modules"), compiler: c, unused: unused.Bytes(), disk: disk.Bytes(), log: log,
		volumes: make(map[string]*volume), idle: list.New(),
	}
	l.life, l.end = context.WithCancel(context.Background())
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the directory of compiled modules: %w", err)
	}
	var err error
	if l.version, err = runtimeVersion(l.dir); err != nil {
		return nil, fmt.Errorf("use the directory of compiled modules: %w", err)
	}
	return l, l.tidy()
}

// borrow returns the program of a module, which giveBack must be told of. Errors
// of the module are a badModule. Loading goes on when nobody waits for it any more:
// an action whose time is shorter than its module takes to compile runs at a later
// attempt.
func (l *library) borrow(ctx context.Context, binary []byte) (*volume, error) {
	sum := sha256.Sum256(binary)
	name := edition + "-" + hex.EncodeToString(sum[:])
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, errClosed
	}
	v, ok := l.volumes[name]
	if !ok {
		v = &volume{name: name, bytes: int64(len(binary)), loaded: make(chan struct{})}
		l.volumes[name] = v
		l.loading.Go(func() { l.load(v, binary) })
	}
	l.take(v)
	l.mu.Unlock()
	select {
	case <-v.loaded:
	case <-ctx.Done():
		l.giveBack(v)
		return nil, ctx.Err()
	}
	if v.err != nil {
		l.giveBack(v)
		return nil, v.err
	}
	return v, nil
}

// take counts a reader. Callers hold l.mu.
func (l *library) take(v *volume) {
	v.readers++
	if v.place != nil {
		l.idle.Remove(v.place)
		v.place, l.held = nil, l.held-v.bytes
	}
}

// giveBack says that a borrower is done.
func (l *library) giveBack(v *volume) {
	l.mu.Lock()
	v.readers--
	out := l.shelve(v)
	l.mu.Unlock()
	for _, o := range out {
		o.program.close()
	}
}

// shelve keeps a volume if nobody reads it, and returns those that are to be closed
// for it. Callers hold l.mu.
func (l *library) shelve(v *volume) (out []*volume) {
	if v.readers > 0 || v.program == nil { // being loaded, or could not be
		return nil
	}
	v.place = l.idle.PushFront(v)
	l.held += v.bytes
	for l.held > l.unused || l.closed && l.idle.Len() > 0 {
		last := l.idle.Remove(l.idle.Back()).(*volume)
		last.place, l.held = nil, l.held-last.bytes
		l.drop(last)
		out = append(out, last)
	}
	return out
}

// drop forgets a volume. Callers hold l.mu.
func (l *library) drop(v *volume) {
	if l.volumes[v.name] == v {
		delete(l.volumes, v.name)
	}
}

// load compiles the module, unless that has been done, and loads it.
func (l *library) load(v *volume, binary []byte) {
	p, err := l.program(l.life, v.name, binary)
	l.mu.Lock()
	v.program, v.err = p, err
	if err != nil {
		l.drop(v)
	}
	close(v.loaded)
	out := l.shelve(v) // if the last that waited has gone
	l.mu.Unlock()
	for _, o := range out {
		o.program.close()
	}
}

func (l *library) program(ctx context.Context, name string, binary []byte) (*program, error) {
	m, err := instrument(binary)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(l.dir, name)
	if isCompiled(dir, l.version) {
		now := time.Now()
		_ = os.Chtimes(dir, now, now) // for tidy; the order is of little weight
	} else {
		begun := time.Now()
		if err := l.compiler.compile(ctx, m.code, dir); err != nil {
			return nil, err
		}
		l.log.Info("compiled a WebAssembly module", zap.Int("bytes", len(binary)), zap.Duration("took", time.Since(begun)))
		if err := l.tidy(); err != nil {
			l.log.Warn("removing old compiled modules failed", zap.Error(err))
		}
	}
	p, err := load(ctx, m, dir)
	if err != nil && ctx.Err() == nil {
		// The file may be damaged: the next attempt makes it again.
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return p, err
}

// close frees what nobody uses; the containers have given theirs back.
func (l *library) close() {
	l.mu.Lock()
	l.closed = true
	var out []*volume
	for l.idle.Len() > 0 {
		v := l.idle.Remove(l.idle.Back()).(*volume)
		l.drop(v)
		out = append(out, v)
	}
	l.mu.Unlock()
	l.end()
	for _, v := range out {
		v.program.close()
	}
	l.loading.Wait()
}
