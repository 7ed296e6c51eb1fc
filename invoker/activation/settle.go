package activation

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

const (
	// maxUnsettled bounds the activations that wait for their settlement; further
	// ones make their containers wait: a slow store is back pressure, not loss.
	maxUnsettled = 512
	// maxBatch bounds how many are settled at once.
	maxBatch = 256
	// linger is how long a settlement waits for others to share its transaction.
	// Nobody waits for it, unless it is urgent: the client has its answer and the container its next
	// activation. At a thousand calls a second it saves most of the store's work,
	// and keeps that work out of the way of the next call's accept.
	linger = 5 * time.Millisecond
)

// Settler ends activations: the record is stored and the message settled, again
// and again until the store takes it, and then the controller is told. One
// goroutine settles what has come meanwhile together, beside the containers,
// which serve the next activations. Safe for concurrent use.
type Settler struct {
	queue     bus.Queue
	completer bus.Completer
	invoker   entity.InvokerID
	retry     time.Duration
	log       *zap.Logger
	events    bus.Events // nil sends none

	ended chan ending
	// closing is closed when nothing more comes, stopped when the goroutine is over.
	closing, stopped chan struct{}
	ctx              context.Context
	giveUp           context.CancelFunc
}

// ending is an activation on its way into the store.
type ending struct {
	delivery bus.Delivery
	// record is what the controller is told; stored says whether it is kept.
	record *entity.Activation
	stored bool
	kind   bus.CompletionKind
}

// isUrgent: a sequence or composition waits for the record of its component.
func (e *ending) isUrgent() bool { return e.delivery.Message.Cause != "" }

func (e *ending) settlement() bus.Settlement {
	s := bus.Settlement{Delivery: e.delivery}
	if e.stored {
		s.Record = e.record
	}
	return s
}

// NewSettler returns a settler for the queue of one invoker. Close ends it.
func NewSettler(queue bus.Queue, completer bus.Completer, invoker entity.InvokerID, retry time.Duration, log *zap.Logger) *Settler {
	s := &Settler{
		queue: queue, completer: completer, invoker: invoker, retry: retry, log: log,
		ended: make(chan ending, maxUnsettled), closing: make(chan struct{}), stopped: make(chan struct{}),
	}
	s.ctx, s.giveUp = context.WithCancel(context.Background())
	go s.run()
	return s
}

// Answer tells a waiting client's controller the result, ahead of the record.
func (s *Settler) Answer(m *bus.ActivationMessage, record *entity.Activation) {
	if m.Blocking {
		s.complete(m, record, bus.ResultReady)
	}
}

// Settle ends the delivery with its record, and completes it with kind when both
// are durable. Records of namespaces that keep none are dropped. It waits while
// too many are on their way.
func (s *Settler) Settle(d bus.Delivery, record *entity.Activation, kind bus.CompletionKind) {
	select {
	case s.ended <- ending{delivery: d, record: record, stored: d.Message.User.Limits.StoresActivations(), kind: kind}:
	case <-s.ctx.Done(): // the message stays claimed: the next start records it
	}
}

// Release gives a message back that certainly has not run.
func (s *Settler) Release(d bus.Delivery) {
	for pause := s.retry; ; pause = longer(pause) {
		err := s.queue.Release(s.ctx, []bus.Delivery{d})
		if err == nil || s.ctx.Err() != nil {
			return
		}
		s.log.Error("handing an activation back failed; trying again", zap.Int64("offset", d.Offset), zap.Error(err))
		s.pause(pause)
	}
}

// run settles until the settler is closed and everything is settled, or until it
// is to give up.
func (s *Settler) run() {
	defer close(s.stopped)
	var batch []ending
	for {
		batch = s.gather(batch[:0])
		if len(batch) == 0 {
			return
		}
		s.settle(batch)
		clear(batch) // lets go of the records
	}
}

// gather waits for an ending and takes those that come soon after it, until one is
// urgent. It returns none when there will be none.
func (s *Settler) gather(batch []ending) []ending {
	select {
	case e := <-s.ended:
		batch = append(batch, e)
	case <-s.ctx.Done():
		return nil
	case <-s.closing:
		select {
		case e := <-s.ended:
			batch = append(batch, e)
		default:
			return nil
		}
	}
	over := time.NewTimer(linger)
	defer over.Stop()
	for len(batch) < maxBatch && !batch[len(batch)-1].isUrgent() {
		select {
		case e := <-s.ended:
			batch = append(batch, e)
		case <-over.C:
			return batch
		case <-s.ctx.Done():
			return batch
		}
	}
	return batch
}

// settle settles a batch, together if that works and else one by one, so that one
// that the store refuses keeps no other waiting.
func (s *Settler) settle(batch []ending) {
	together := make([]bus.Settlement, len(batch))
	for i := range batch {
		together[i] = batch[i].settlement()
	}
	if err := s.queue.Settle(s.ctx, together...); err == nil {
		for i := range batch {
			s.tell(&batch[i])
		}
		return
	}
	left := batch
	for pause := s.retry; len(left) > 0 && s.ctx.Err() == nil; pause = longer(pause) {
		if left = s.settleEach(left, pause); len(left) > 0 {
			s.pause(pause)
		}
	}
}

// settleEach tries each of the endings once and returns those that failed.
func (s *Settler) settleEach(batch []ending, pause time.Duration) (failed []ending) {
	for i := range batch {
		e := &batch[i]
		err := s.queue.Settle(s.ctx, e.settlement())
		if err == nil {
			s.tell(e)
			continue
		}
		failed = append(failed, *e)
		if m := e.delivery.Message; s.ctx.Err() == nil {
			s.log.Error("settling an activation failed; trying again", zap.String("transid", m.Transid.ID),
				zap.String("namespace", m.User.Namespace), zap.String("activationId", string(m.ActivationID)),
				zap.Duration("pause", pause), zap.Error(err))
		}
	}
	return failed
}

func (s *Settler) tell(e *ending) {
	s.complete(e.delivery.Message, e.record, e.kind)
	s.report(e.delivery.Message, e.record)
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

func longer(pause time.Duration) time.Duration { return min(pause*2, 5*time.Second) }

// pause waits, unless the settler gives up.
func (s *Settler) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
	}
}

// Close waits until everything is settled, or ctx ends, and then stops. Nothing
// may be given to the settler any more.
func (s *Settler) Close(ctx context.Context) error {
	close(s.closing)
	var err error
	select {
	case <-s.stopped:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.giveUp()
	<-s.stopped
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
