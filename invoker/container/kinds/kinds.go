// Package kinds lets several factories share the kinds of actions between them, so
// that some kinds run in the invoker itself while the others run in an engine's
// containers.
package kinds

import (
	"context"
	"errors"
	"strings"

	"github.com/gowhisk/gowhisk/invoker/container"
)

// Router is a container.Factory that hands each kind to the factory of its family.
type Router struct {
	families map[string]container.Factory
	rest     container.Factory
}

var _ container.Factory = (*Router)(nil)

// Route returns a factory that starts the kinds of the given families, the part
// before the colon, with theirs, and all others with rest. Closing it closes all.
func Route(rest container.Factory, families map[string]container.Factory) *Router {
	return &Router{families: families, rest: rest}
}

// Start implements container.Factory.
func (r *Router) Start(ctx context.Context, spec container.Spec) (container.Container, error) {
	return r.factory(spec.Kind).Start(ctx, spec)
}

func (r *Router) factory(kind string) container.Factory {
	family, _, _ := strings.Cut(kind, ":")
	if f, ok := r.families[family]; ok {
		return f
	}
	return r.rest
}

// Sweep implements container.Factory.
func (r *Router) Sweep(ctx context.Context) error {
	return r.each(func(f container.Factory) error { return f.Sweep(ctx) })
}

// Close implements container.Factory.
func (r *Router) Close() error {
	return r.each(container.Factory.Close)
}

// each calls do for every factory, whatever happens with the others.
func (r *Router) each(do func(container.Factory) error) error {
	errs := []error{do(r.rest)}
	for _, f := range r.families {
		errs = append(errs, do(f))
	}
	return errors.Join(errs...)
}
