package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/IBM/sarama"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

var _ bus.Journal = (*Bus)(nil)

// journals are what this process knows of the journals that it writes.
type journals struct {
	mu sync.Mutex
	by map[entity.ControllerID]*journal
}

// journal is a topic of entries: a message with a body begins the entry that its key
// names, one without ends it. What has ended is removed from the topic by compaction.
type journal struct {
	bus   *Bus
	topic string
	// loading is held while the topic is read for the first time.
	loading sync.Mutex

	mu sync.Mutex
	// open has the offsets of the entries that have begun, pending of those that begin
	// just now; nil until the topic is read.
	open    map[string]int64 // guarded by mu, as all below
	trimmed int64            // what was deleted is before it
	last    int64            // the highest offset that was appended
}

const (
	// pending is the offset of an entry whose append is under way.
	pending = -1
	// trimEvery is how many messages of ended entries may lie before the first that is
	// open until they are deleted: a start reads all that are there.
	trimEvery = 10_000
)

func entryKey(namespace entity.Path, id entity.ActivationID) string {
	return string(namespace) + "/" + string(id)
}

// journal returns the controller's, after its topic was read.
func (b *Bus) journal(ctx context.Context, controller entity.ControllerID) (*journal, error) {
	b.journals.mu.Lock()
	j := b.journals.by[controller]
	if j == nil {
		j = &journal{bus: b, topic: b.full(journalTopic(controller))}
		if b.journals.by == nil {
			b.journals.by = make(map[entity.ControllerID]*journal)
		}
		b.journals.by[controller] = j
	}
	b.journals.mu.Unlock()
	j.loading.Lock()
	defer j.loading.Unlock()
	j.mu.Lock()
	known := j.open != nil
	j.mu.Unlock()
	if known {
		return j, nil
	}
	if err := b.ensure(ctx, journalTopic(controller), latest); err != nil {
		return nil, err
	}
	offsets, err := j.unfinished(ctx)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.open = offsets
	return j, nil
}

// unfinished returns the keys that have begun and not ended, with the offsets of their
// entries.
func (j *journal) unfinished(ctx context.Context) (map[string]int64, error) {
	offsets := make(map[string]int64)
	err := j.scan(ctx, 0, func(m *sarama.ConsumerMessage) error {
		if m.Value == nil {
			delete(offsets, string(m.Key))
		} else {
			offsets[string(m.Key)] = m.Offset
		}
		return nil
	})
	return offsets, err
}

// scan reads the topic from an offset to its present end.
func (j *journal) scan(ctx context.Context, from int64, each func(*sarama.ConsumerMessage) error) error {
	cfg, err := j.bus.cfg.consumer(j.bus.clientID("journal"), j.bus.maxMessage)
	if err != nil {
		return err
	}
	client, err := j.bus.dial(ctx, cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err = j.bus.scan(ctx, client, j.topic, from, func(m *sarama.ConsumerMessage) {
		if ctx.Err() == nil {
			if err := each(m); err != nil {
				cancel(err)
			}
		}
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// Begin implements bus.Journal.
func (b *Bus) Begin(ctx context.Context, controller entity.ControllerID, e bus.Entry) error {
	if len(e.Body) > b.maxMessage {
		return fmt.Errorf("%w: the journal entry %s has %d bytes", bus.ErrTooLarge, e.ID, len(e.Body))
	}
	j, err := b.journal(ctx, controller)
	if err != nil {
		return err
	}
	key := entryKey(e.Namespace, e.ID)
	if !j.enter(key) {
		return fmt.Errorf("begin %s: %w", e.ID, bus.ErrDuplicate)
	}
	if e.Republished {
		record, err := b.recorded(ctx, e.Namespace, e.ID)
		if err == nil && record != nil {
			err = fmt.Errorf("begin %s: %w", e.ID, bus.ErrDuplicate)
		}
		if err != nil {
			j.forget(key)
			return err
		}
	}
	o, err := b.producer.append(ctx, j.topic, key, e.Body)
	if err != nil {
		j.forget(key)
		return fmt.Errorf("begin %s: %w", e.ID, err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.open[key] = o.offset
	j.last = max(j.last, o.offset)
	return nil
}

// enter reserves a key, unless it is open.
func (j *journal) enter(key string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, ok := j.open[key]; ok {
		return false
	}
	j.open[key] = pending
	return true
}

func (j *journal) forget(key string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.open, key)
}

// End implements bus.Journal: the record first, so that an end implies it.
func (b *Bus) End(ctx context.Context, controller entity.ControllerID, e bus.Entry, record *entity.Activation) error {
	j, err := b.journal(ctx, controller)
	if err != nil {
		return err
	}
	if record != nil {
		if err := b.record(ctx, []*entity.Activation{record}); err != nil {
			return err
		}
	}
	key := entryKey(e.Namespace, e.ID)
	j.mu.Lock()
	_, known := j.open[key]
	j.mu.Unlock()
	if !known {
		return nil
	}
	o, err := b.producer.append(ctx, j.topic, key, nil)
	if err != nil {
		return fmt.Errorf("end %s: %w", e.ID, err)
	}
	j.forget(key)
	j.trim(o.offset)
	return nil
}

// trim deletes what lies before the first open entry, now and then. It is a courtesy to
// the next start: what fails is done another time.
func (j *journal) trim(appended int64) {
	j.mu.Lock()
	j.last = max(j.last, appended)
	first := j.last
	for _, offset := range j.open {
		if offset == pending {
			j.mu.Unlock()
			return
		}
		first = min(first, offset)
	}
	due := first-j.trimmed >= trimEvery
	if due {
		j.trimmed = first
	}
	j.mu.Unlock()
	if !due {
		return
	}
	admin, err := sarama.NewClusterAdminFromClient(j.bus.admin)
	if err == nil {
		err = admin.DeleteRecords(j.topic, map[int32]int64{0: first})
	}
	if err != nil {
		j.bus.log.Debug("deleting ended entries of the journal failed", zap.String("topic", j.topic), zap.Error(err))
	}
}

// Unfinished implements bus.Journal. It reads the topic twice: what has ended is known
// at the end of the first time only.
func (b *Bus) Unfinished(ctx context.Context, controller entity.ControllerID, each func(bus.Entry) error) error {
	j, err := b.journal(ctx, controller)
	if err != nil {
		return err
	}
	offsets, err := j.unfinished(ctx)
	if err != nil || len(offsets) == 0 {
		return err
	}
	first := int64(-1)
	for _, offset := range offsets {
		if first < 0 || offset < first {
			first = offset
		}
	}
	return j.scan(ctx, first, func(m *sarama.ConsumerMessage) error {
		if offset, ok := offsets[string(m.Key)]; !ok || offset != m.Offset {
			return nil
		}
		namespace, id, ok := cutLast(string(m.Key))
		if !ok {
			b.log.Error("an entry of the journal has no key that could be read", zap.String("topic", j.topic), zap.Int64("offset", m.Offset))
			return nil
		}
		return each(bus.Entry{Namespace: entity.Path(namespace), ID: entity.ActivationID(id), Body: m.Value})
	})
}

func cutLast(key string) (namespace, id string, ok bool) {
	for i := len(key) - 1; i >= 0; i-- {
		if key[i] == '/' {
			return key[:i], key[i+1:], true
		}
	}
	return "", "", false
}

// HoldJournal makes this process the only one that may go on with what is in a
// controller's journal, until the function that it returns is called. lost is called
// if another process takes it over. The error is bus.ErrOwned if another one has it.
func (b *Bus) HoldJournal(ctx context.Context, controller entity.ControllerID, lost func(error)) (release func() error, err error) {
	k := &keeper{gone: lost}
	o, err := b.keep(ctx, controller, b.unique, k)
	if err != nil {
		return nil, err
	}
	return o.close, nil
}

// TakeJournal implements bus.Mover.
func (b *Bus) TakeJournal(ctx context.Context, dead, _ entity.ControllerID, work func(context.Context) error) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	k := &keeper{had: make(chan struct{}), gone: func(err error) { cancel(err) }}
	o, err := b.keep(ctx, dead, drainerPrefix+b.unique, k)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	select {
	case <-k.had:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	// What the dead controller began is not what this process knows of its journal, and
	// what it sent may wait in a queue.
	b.journals.mu.Lock()
	delete(b.journals.by, dead)
	b.journals.mu.Unlock()
	if _, err := b.lookAgain(ctx); err != nil {
		return err
	}
	if err := work(ctx); err != nil {
		return err
	}
	return context.Cause(ctx)
}

func (b *Bus) keep(ctx context.Context, controller entity.ControllerID, instance string, k *keeper) (*ownership, error) {
	if err := b.ensure(ctx, journalTopic(controller), latest); err != nil {
		return nil, err
	}
	return b.own(ctx, b.full(journalTopic(controller)), instance, k)
}

// keeper holds a topic that it reads by other means.
type keeper struct {
	had  chan struct{} // closed when the topic is owned; may be nil
	once sync.Once
	gone func(error)
}

func (k *keeper) acquired(*session) error {
	k.once.Do(func() {
		if k.had != nil {
			close(k.had)
		}
	})
	return nil
}

func (k *keeper) hold(s *session, _ <-chan *sarama.ConsumerMessage) { <-s.ctx.Done() }

func (k *keeper) lost(err error) { k.gone(err) }
