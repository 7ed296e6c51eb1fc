package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/docker/docker/client"
	"github.com/gofrs/flock"
	"github.com/gowhisk/gowhisk/invoker/container"
	"go.uber.org/zap"
)

// Factory starts containers on a Docker engine; see container.Factory.
type Factory struct {
	config Config
	log    *zap.Logger
	lock   *flock.Flock
	owner  string // this factory's identity
	host   string // this machine's
	api    *client.Client
	images *images
	starts chan struct{} // a token per start under way
	untidy chan struct{} // holds a token when a container could not be removed

	// ctx ends with Close; running counts the goroutines that then end.
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	metrics *metrics
	warned  sync.Map // what was warned of, once

	mu         sync.Mutex // guards what follows; never held across I/O
	network    network
	containers map[string]*Container // by key
	starting   sync.WaitGroup        // calls of Start under way; none begins after closed
	closed     bool
}

var _ container.Factory = (*Factory)(nil)

// errClosed: the factory starts nothing any more.
var errClosed = errors.New("the container factory is closed")

// Open returns a factory. It takes the state directory for itself, and makes sure
// that the network is there. Where no engine answers the error is ErrNoEngine.
// Close releases everything.
func Open(ctx context.Context, config Config) (*Factory, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	f := &Factory{
		config: config, log: config.Log,
		starts:     make(chan struct{}, config.ParallelStarts),
		untidy:     make(chan struct{}, 1),
		containers: make(map[string]*Container),
	}
	f.metrics = newMetrics(config.Registry, func() float64 { return float64(len(f.all())) })
	f.ctx, f.cancel = context.WithCancel(context.Background())
	if err := f.open(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (f *Factory) open(ctx context.Context) error {
	if err := f.takeDir(ctx); err != nil {
		return err
	}
	var err error
	if f.api, err = connect(ctx, f.config.Host); err != nil {
		return err
	}
	if f.images, err = openImages(f); err != nil {
		return err
	}
	if err := f.openNetwork(ctx); err != nil {
		return err
	}
	f.running.Go(f.watch)
	f.running.Go(f.tidy)
	return nil
}

// Gateway is the address at which containers reach this host, and a server can
// listen for them. It is the zero Addr where they reach it by another way, as
// with an engine in a virtual machine.
func (f *Factory) Gateway() netip.Addr {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.network.isDirect {
		return netip.Addr{}
	}
	return f.network.gateway
}

// Start implements container.Factory.
func (f *Factory) Start(ctx context.Context, spec container.Spec) (container.Container, error) {
	ctx, done, err := f.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	i, err := f.images.resolve(ctx, spec)
	if err != nil {
		return nil, startFailure(ctx, spec, err)
	}
	ctx, cancel := context.WithTimeout(ctx, f.config.StartTimeout)
	defer cancel()
	select {
	case f.starts <- struct{}{}:
		defer func() { <-f.starts }()
	case <-ctx.Done():
		return nil, startFailure(ctx, spec, ctx.Err())
	}
	c, began := f.newContainer(spec, i), time.Now()
	err = c.start(ctx)
	f.metrics.started(began, err)
	if err != nil {
		remove, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
		defer cancel()
		return nil, startFailure(ctx, spec, errors.Join(err, c.Destroy(remove)))
	}
	return c, nil
}

func startFailure(ctx context.Context, spec container.Spec, err error) error {
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = errors.Join(ctx.Err(), err)
	}
	return fmt.Errorf("start container %s: %w", spec.Name, err)
}

// enter counts a call of Start, whose context also ends with the factory.
func (f *Factory) enter(ctx context.Context) (context.Context, func(), error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, nil, errClosed
	}
	f.starting.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(f.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
		f.starting.Done()
	}, nil
}

func (f *Factory) forget(c *Container) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.containers, c.key)
}

// all returns the containers that are not gone.
func (f *Factory) all() []*Container {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]*Container, 0, len(f.containers))
	for _, c := range f.containers {
		all = append(all, c)
	}
	return all
}

const (
	// closeTimeout bounds the removal of what is left.
	closeTimeout = time.Minute
	// removeParallelism bounds the removals at once.
	removeParallelism = 8
)

// Close implements container.Factory.
func (f *Factory) Close() error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.starting.Wait()

	var errs []error
	if f.api != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		errs = append(errs, inParallel(f.all(), func(c *Container) error {
			defer c.cancel() // also when the engine is away
			return c.Destroy(ctx)
		}))
	}
	f.running.Wait()
	if f.api != nil {
		errs = append(errs, f.api.Close())
	}
	if f.lock != nil {
		errs = append(errs, f.lock.Unlock())
	}
	return errors.Join(errs...)
}

// inParallel calls do for each, a few at a time.
func inParallel[T any](each []T, do func(T) error) error {
	errs := make([]error, len(each))
	tokens := make(chan struct{}, removeParallelism)
	var running sync.WaitGroup
	for i, e := range each {
		tokens <- struct{}{}
		running.Go(func() {
			errs[i] = do(e)
			<-tokens
		})
	}
	running.Wait()
	return errors.Join(errs...)
}
