package bustest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// entry is one of guest's, with a body that is easily damaged.
func entry() bus.Entry {
	return bus.Entry{Namespace: "guest", ID: entity.NewActivationID(), Body: []byte(`{"n":1e400,"s":"\u0000<€>"}`)}
}

// recordOf is the record of an entry.
func recordOf(e bus.Entry) *entity.Activation {
	m := Message()
	m.ActivationID = e.ID
	return Record(m)
}

// Unfinished returns what a controller has begun and not ended.
func Unfinished(t testing.TB, j bus.Journal, controller entity.ControllerID) []bus.Entry {
	t.Helper()
	var found []bus.Entry
	require.NoError(t, j.Unfinished(t.Context(), controller, func(e bus.Entry) error {
		found = append(found, e)
		return nil
	}))
	return found
}

func runJournal(t *testing.T, open func(t *testing.T) Bus) {
	unfinished := func(t *testing.T, j bus.Journal, controller entity.ControllerID) []bus.Entry {
		t.Helper()
		return Unfinished(t, j, controller)
	}

	t.Run("WhatBeganIsFoundByTheNextLife", func(t *testing.T) {
		b := open(t)
		var begun []bus.Entry
		for range 5 {
			e := entry()
			begun = append(begun, e)
			require.NoError(t, b.Begin(deadline(t), "0", e))
		}
		require.Equal(t, begun, unfinished(t, b, "0"))
		b = b.Reopen()
		require.Equal(t, begun, unfinished(t, b, "0"), "oldest first")
		require.Equal(t, begun, unfinished(t, b, "0"), "looking changes nothing")
		require.Empty(t, unfinished(t, b, "1"), "another controller's")
	})

	t.Run("ManyAreReadOneByOne", func(t *testing.T) {
		b := open(t)
		var begun []bus.Entry
		for range 100 {
			e := entry()
			begun = append(begun, e)
			require.NoError(t, b.Begin(deadline(t), "0", e))
		}
		require.Equal(t, begun, unfinished(t, b, "0"))
		enough, n := errors.New("enough"), 0
		err := b.Unfinished(deadline(t), "0", func(e bus.Entry) error {
			// Whoever reads may end what is read.
			if err := b.End(deadline(t), "0", e, nil); err != nil {
				return err
			}
			if n++; n == 60 {
				return enough
			}
			return nil
		})
		require.ErrorIs(t, err, enough)
		require.Equal(t, begun[60:], unfinished(t, b, "0"))
	})

	t.Run("EndStoresTheRecordAndForgetsTheEntry", func(t *testing.T) {
		b := open(t)
		e, other := entry(), entry()
		require.NoError(t, b.Begin(deadline(t), "0", e))
		require.NoError(t, b.Begin(deadline(t), "0", other))
		r := recordOf(e)
		for range 2 {
			require.NoError(t, b.End(deadline(t), "0", bus.Entry{Namespace: e.Namespace, ID: e.ID}, r))
		}
		got, err := b.Activations.Activation(deadline(t), "guest", e.ID)
		require.NoError(t, err)
		require.Equal(t, string(r.AppendJSON(nil, true)), string(got.AppendJSON(nil, true)))
		require.Equal(t, []bus.Entry{other}, unfinished(t, b.Reopen(), "0"))
	})

	t.Run("TheFirstRecordStays", func(t *testing.T) {
		b := open(t)
		e := entry()
		require.NoError(t, b.Begin(deadline(t), "0", e))
		first, second := recordOf(e), recordOf(e)
		second.Response = entity.ErrorResponse(entity.StatusWhiskError, "late")
		_, err := b.Activations.Record(deadline(t), first)
		require.NoError(t, err)
		require.NoError(t, b.End(deadline(t), "0", e, second))
		got, err := b.Activations.Activation(deadline(t), "guest", e.ID)
		require.NoError(t, err)
		require.Equal(t, first.Response, got.Response)
		require.Empty(t, unfinished(t, b, "0"))
	})

	t.Run("EndWithoutARecord", func(t *testing.T) {
		b := open(t)
		e := entry()
		require.NoError(t, b.Begin(deadline(t), "0", e))
		require.NoError(t, b.End(deadline(t), "0", e, nil))
		require.Empty(t, unfinished(t, b, "0"))
		_, err := b.Activations.Activation(deadline(t), "guest", e.ID)
		require.ErrorIs(t, err, store.ErrNotFound)
	})

	t.Run("WhatWasAcceptedIsNotAcceptedAgain", func(t *testing.T) {
		b := open(t)
		e := entry()
		require.NoError(t, b.Begin(deadline(t), "0", e))
		require.ErrorIs(t, b.Begin(deadline(t), "0", e), bus.ErrDuplicate)
		b = b.Reopen()
		require.ErrorIs(t, b.Begin(deadline(t), "0", e), bus.ErrDuplicate)
		require.NoError(t, b.End(deadline(t), "0", e, recordOf(e)))
		e.Republished = true
		require.ErrorIs(t, b.Begin(deadline(t), "0", e), bus.ErrDuplicate)
		elsewhere := e
		elsewhere.Namespace = "other"
		require.NoError(t, b.Begin(deadline(t), "0", elsewhere))
	})

	t.Run("OneOfManyWins", func(t *testing.T) {
		b := open(t)
		e := entry()
		var won atomic.Int64
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				err := b.Begin(deadline(t), "0", e)
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, bus.ErrDuplicate) {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		require.EqualValues(t, 1, won.Load())
		require.Len(t, unfinished(t, b, "0"), 1)
	})

	t.Run("ManyAtOnce", func(t *testing.T) {
		b := open(t)
		var callers sync.WaitGroup
		var mu sync.Mutex
		var left []string
		for i := range 8 {
			callers.Go(func() {
				for j := range 20 {
					e := entry()
					err := b.Begin(deadline(t), "0", e)
					if err == nil && j%2 == 0 {
						err = b.End(deadline(t), "0", e, recordOf(e))
					} else {
						mu.Lock()
						left = append(left, string(e.ID))
						mu.Unlock()
					}
					if err != nil {
						t.Error(fmt.Errorf("caller %d: %w", i, err))
					}
				}
			})
		}
		callers.Wait()
		var found []string
		for _, e := range unfinished(t, b.Reopen(), "0") {
			found = append(found, string(e.ID))
		}
		slices.Sort(left)
		slices.Sort(found)
		require.Equal(t, left, found)
	})
}

// runRepublish checks what Publish does with a message whose fate is not known.
func runRepublish(t *testing.T, open func(t *testing.T) Bus) {
	again := func(m *bus.ActivationMessage) *bus.ActivationMessage {
		copied := *m
		copied.Republished = true
		return &copied
	}
	t.Run("WhatNeverCameIsAccepted", func(t *testing.T) {
		b := open(t)
		q := queue(t, b, 0)
		m := again(Message())
		require.NoError(t, b.Publish(deadline(t), 0, m))
		requireMessages(t, []*bus.ActivationMessage{m}, claim(t, q, 1))
	})
	t.Run("WhatCameBeforeIsNot", func(t *testing.T) {
		b := open(t)
		if !b.RefusesDuplicates {
			return // its invokers look for themselves
		}
		q := queue(t, b, 0)
		m := publish(t, b, 0, 1)[0]
		require.ErrorIs(t, b.Publish(deadline(t), 0, again(m)), bus.ErrDuplicate, "accepted")
		d := claim(t, q, 1)[0]
		require.ErrorIs(t, b.Publish(deadline(t), 0, again(m)), bus.ErrDuplicate, "claimed")
		require.NoError(t, q.Settle(deadline(t), bus.Settlement{Delivery: d, Record: Record(m)}))
		require.ErrorIs(t, b.Publish(deadline(t), 0, again(m)), bus.ErrDuplicate, "settled")
		requireBacklog(t, q, 0)
	})
}
