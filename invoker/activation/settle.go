package activation

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Settler ends activations: the record is stored and the message settled, again
// and again until the store takes it, and then the controller is told. Settling
// happens beside the container, which serves the next activation meanwhile; at
// most Parallel settlements are under way, and further ones wait: a slow store is
// back pressure, not loss.
type Settler struct {
	queue     bus.Queue
	completer bus.Completer
	invoker   entity.InvokerID
	retry     time.Duration
	log       *zap.Logger

	slots   chan struct{}
	pending sync.WaitGroup
	ctx     context.Context
	stop    context.CancelFunc
}

// Parallel bounds the settlements under way at once.
const Parallel = 256

// NewSettler returns a settler for the queue of one invoker. Close ends it.
func NewSettler(queue bus.Queue, completer bus.Completer, invoker entity.InvokerID, retry time.Duration, log *zap.Logger) *Settler {
	ctx, stop := context.WithCancel(context.Background())
	return &Settler{queue: queue, completer: completer, invoker: invoker, retry: retry, log: log,
		slots: make(chan struct{}, Parallel), ctx: ctx, stop: stop}
}

// Answer tells a waiting client's controller the result, ahead of the record.
func (s *Settler) Answer(m *bus.ActivationMessage, record *entity.Activation) {
	if m.Blocking {
		s.complete(m, record, bus.ResultReady)
	}
}

// Settle ends the delivery with its record, and completes it with kind when both
// are durable. Records of namespaces that keep none are dropped.
func (s *Settler) Settle(d bus.Delivery, record *entity.Activation, kind bus.CompletionKind) {
	select {
	case s.slots <- struct{}{}:
	case <-s.ctx.Done():
		return // the message stays claimed: the next start records it
	}
	s.pending.Go(func() {
		defer func() { <-s.slots }()
		m := d.Message
		stored := record
		if !m.User.Limits.StoresActivations() {
			stored = nil
		}
		if s.untilDone("settling an activation", m, func() error { return s.queue.Settle(s.ctx, d, stored) }) {
			s.complete(m, record, kind)
		}
	})
}

// Release gives a message back that certainly has not run.
func (s *Settler) Release(d bus.Delivery) {
	s.untilDone("handing an activation back", d.Message, func() error {
		return s.queue.Release(s.ctx, []bus.Delivery{d})
	})
}

// untilDone repeats f with growing pauses. It gives up only when the settler is closed.
func (s *Settler) untilDone(what string, m *bus.ActivationMessage, f func() error) bool {
	for pause := s.retry; ; pause = min(pause*2, 5*time.Second) {
		err := f()
		if err == nil {
			return true
		}
		if s.ctx.Err() != nil {
			return false
		}
		s.log.Error(what+" failed; trying again", zap.String("transid", m.Transid.ID),
			zap.String("namespace", m.User.Namespace), zap.String("activationId", string(m.ActivationID)),
			zap.Duration("pause", pause), zap.Error(err))
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
			return false
		}
	}
}

func (s *Settler) complete(m *bus.ActivationMessage, record *entity.Activation, kind bus.CompletionKind) {
	c := &bus.Completion{
		Kind: kind, Transid: m.Transid, ActivationID: m.ActivationID, Invoker: s.invoker,
		IsSystemError: record.Response.StatusCode == entity.StatusWhiskError,
	}
	if m.Blocking && kind != bus.SlotFree {
		c.Record = record
	}
	if err := s.completer.Complete(s.ctx, m.Controller, c); err != nil && s.ctx.Err() == nil {
		// The record is durable; whoever waits finds it in the store.
		s.log.Warn("telling the controller failed", zap.String("transid", m.Transid.ID),
			zap.String("activationId", string(m.ActivationID)), zap.Error(err))
	}
}

// Close waits until everything under way is settled, or ctx ends, and then stops.
func (s *Settler) Close(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		s.pending.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.stop()
	<-done
	return err
}

// FetchFailure is the outcome of an activation whose action could not be read
// (openwhisk-invoker.md 1.3).
func FetchFailure(err error) entity.Response {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return entity.ErrorResponse(entity.StatusApplicationError, "Action could not be found or may have been deleted.")
	case errors.Is(err, entity.ErrUnreadable):
		return entity.ErrorResponse(entity.StatusWhiskError, "Action version is not compatible and cannot be invoked.")
	}
	return entity.ErrorResponse(entity.StatusWhiskError, "Action could not be fetched.")
}
