package process

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/invoker/container/cgroup"
	"github.com/gowhisk/gowhisk/runtimes"
	"go.uber.org/zap"
)

// Factory starts process containers; see container.Factory.
type Factory struct {
	config   Config
	log      *zap.Logger
	lock     *flock.Flock
	groups   cgroup.Hierarchy // nil where there are none
	kinds    *kinds
	users    *userPool
	spawner  *spawner
	forks    *forkServers
	watchdog *watchdog // nil where groups bound memory
	ownUsers bool      // each container has a user of its own
	report   Report
	starts   chan struct{} // a token per start under way

	mu         sync.Mutex // guards what follows
	containers map[*Container]struct{}
	closed     bool
}

var _ container.Factory = (*Factory)(nil)

// ErrInUse: another factory uses the state directory.
var ErrInUse = errors.New("the state directory is in use by another server")

// Open returns a factory. It takes the state directory for itself, installs the
// launchers in it and finds out how far containers can be isolated, which takes
// a few container starts. Close releases everything.
func Open(ctx context.Context, config Config) (*Factory, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	f := &Factory{
		config:     config,
		log:        config.Log,
		users:      newUserPool(config.FirstUID, config.UIDs),
		starts:     make(chan struct{}, config.ParallelStarts),
		containers: make(map[*Container]struct{}),
	}
	if err := f.open(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (f *Factory) open(ctx context.Context) error {
	if err := f.takeDir(ctx); err != nil {
		return err
	}
	if err := runtimes.Install(f.launchers()); err != nil {
		return err
	}
	interpreters := f.config.Interpreters
	if interpreters == nil {
		var err error
		if interpreters, err = runtimes.Detect(ctx); err != nil {
			return err
		}
	}
	f.kinds = &kinds{interpreters: interpreters, log: f.log}
	f.spawner = newSpawner()
	var reasons []string
	if err := f.openGroups(); err != nil {
		reasons = append(reasons, err.Error())
	}
	level, why, err := f.probe(ctx)
	if err != nil {
		return err
	}
	reasons = append(reasons, why...)
	version := 0
	if f.groups != nil {
		version = f.groups.Version()
	} else {
		f.watchdog = newWatchdog()
	}
	f.report = newReport(level, f.ownUsers, version, landlockVersion(), runtime.GOOS, reasons)
	f.forks = newForkServers(f)
	return nil
}

// lockPatience is how long an opening factory waits for the directory's lock.
const lockPatience = 2 * time.Second

// takeDir makes the state directory and keeps others from using it.
func (f *Factory) takeDir(ctx context.Context) error {
	// Others may pass through, since containers' users reach the launchers and
	// their own directories, but see nothing of the containers.
	if err := os.MkdirAll(f.config.Dir, 0o755); err != nil {
		return fmt.Errorf("create the state directory of process containers: %w", err)
	}
	if err := os.MkdirAll(f.boxes(), 0o711); err != nil {
		return fmt.Errorf("create the state directory of process containers: %w", err)
	}
	lock := flock.New(filepath.Join(f.config.Dir, "lock"))
	// A child that a killed server was just starting can hold the lock for a moment.
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	taken, err := lock.TryLockContext(ctx, 20*time.Millisecond)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("lock the state directory %s: %w", f.config.Dir, err)
	}
	if !taken {
		return fmt.Errorf("%w: %s; stop that server or give this one a directory of its own", ErrInUse, f.config.Dir)
	}
	f.lock = lock
	return nil
}

// openGroups opens the control groups, under a name that a later factory with
// the same state directory uses too.
func (f *Factory) openGroups() error {
	if f.config.NoCgroup {
		return errors.New("control groups: switched off")
	}
	groups, err := f.hierarchy()
	if err != nil {
		return fmt.Errorf("control groups: %w", err)
	}
	f.groups = groups
	return nil
}

// hierarchy opens the control groups that belong to the state directory.
func (f *Factory) hierarchy() (cgroup.Hierarchy, error) {
	return cgroup.Open(f.config.CgroupParent, "gowhisk-"+f.id())
}

// id tells apart the factories of a machine, and stays with the state directory.
func (f *Factory) id() string {
	id := fnv.New32a()
	_, _ = id.Write([]byte(f.config.Dir)) // never fails
	return fmt.Sprintf("%08x", id.Sum32())
}

// mark is the environment entry that marks a container's processes for whoever
// has to clean up.
func (f *Factory) mark(key string) string { return containerMark + "=" + f.id() + "." + key }

// boxes is the directory that holds a directory per container.
func (f *Factory) boxes() string { return filepath.Join(f.config.Dir, "c") }

// launchers is where the launchers are installed.
func (f *Factory) launchers() string { return filepath.Join(f.config.Dir, "launchers") }

// Isolation says what containers are isolated from.
func (f *Factory) Isolation() Report { return f.report }

// Start implements container.Factory.
func (f *Factory) Start(ctx context.Context, spec container.Spec) (container.Container, error) {
	interpreter, err := f.kinds.resolve(spec.Kind, spec.Image)
	if err != nil {
		return nil, err
	}
	if err := runtimes.Prepare(ctx, interpreter, f.launchers()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.config.StartTimeout)
	defer cancel()
	select {
	case f.starts <- struct{}{}:
		defer func() { <-f.starts }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c, err := f.start(ctx, spec, interpreter, f.forks.usable(interpreter))
	if errors.Is(err, errForkServer) && ctx.Err() == nil {
		f.log.Warn("fork server failed, starting the interpreter instead", zap.String("kind", interpreter.Kind), zap.Error(err))
		c, err = f.start(ctx, spec, interpreter, false)
	}
	if err != nil {
		return nil, fmt.Errorf("start container %s: %w", spec.Name, err)
	}
	return c, nil
}

// start starts a container; whatever fails leaves nothing behind.
func (f *Factory) start(ctx context.Context, spec container.Spec, i runtimes.Interpreter, fork bool) (*Container, error) {
	c, err := f.newContainer(spec, i)
	if err != nil {
		return nil, err
	}
	if err := c.start(ctx, i, fork); err != nil {
		return nil, errors.Join(err, c.Destroy(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// register counts a container as this factory's; it fails after Close.
func (f *Factory) register(c *Container) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return errors.New("the container factory is closed")
	}
	f.containers[c] = struct{}{}
	return nil
}

func (f *Factory) forget(c *Container) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.containers, c)
}

// closeParallelism bounds the containers that Close destroys at once.
const closeParallelism = 16

// Close implements container.Factory.
func (f *Factory) Close() error {
	f.mu.Lock()
	f.closed = true
	left := make([]*Container, 0, len(f.containers))
	for c := range f.containers {
		left = append(left, c)
	}
	f.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	errs := make([]error, len(left))
	var destroying sync.WaitGroup
	tokens := make(chan struct{}, closeParallelism)
	for i, c := range left {
		tokens <- struct{}{}
		destroying.Go(func() {
			errs[i] = c.Destroy(ctx)
			<-tokens
		})
	}
	destroying.Wait()
	if f.forks != nil {
		f.forks.close()
	}
	if f.watchdog != nil {
		f.watchdog.close()
	}
	if f.spawner != nil {
		f.spawner.close()
	}
	if f.groups != nil {
		errs = append(errs, f.groups.Close())
	}
	if f.lock != nil {
		errs = append(errs, f.lock.Unlock())
	}
	return errors.Join(errs...)
}

// newKey returns a short name for a container's directory and control group.
func newKey() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
