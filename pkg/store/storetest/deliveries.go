package storetest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// delivery is one to guest's trigger t that was accepted.
func delivery(id entity.ActivationID, received int64) *entity.Delivery {
	return &entity.Delivery{
		Trigger: "guest/t", ID: id, Outcome: entity.DeliveryAccepted, Received: received, Verify: entity.WebhookGitHub,
		SenderID: "72d3162e-cc78-11e3-81ab-4c9367dc0958", EventType: "push", Size: 12,
		Event: json.RawMessage(`{"body":` + exactNumbers + `,"odd":` + oddStrings + `}`),
	}
}

func refused(received int64) *entity.Delivery {
	return &entity.Delivery{
		Trigger: "guest/t", ID: entity.NewActivationID(), Outcome: entity.DeliveryRefused, Received: received,
		Verify: entity.WebhookSlack, Reason: "the signature does not match",
	}
}

func deliver(t *testing.T, s store.DeliveryStore, list ...*entity.Delivery) {
	t.Helper()
	for _, d := range list {
		stored, err := s.Record(context.Background(), d)
		require.NoError(t, err)
		require.True(t, stored)
	}
}

func listed(t *testing.T, s store.DeliveryStore, trigger entity.DocID) []*entity.Delivery {
	t.Helper()
	list, err := s.List(context.Background(), trigger, 0, 0)
	require.NoError(t, err)
	return list
}

func runDeliveries(t *testing.T, openAll func(t *testing.T) Stores) {
	ctx := context.Background()
	// open has the triggers t and u of guest.
	open := func(t *testing.T) (store.DeliveryStore, store.EntityStore) {
		s := openAll(t)
		put(t, s.Entities, trigger("guest", "t", 1), trigger("guest", "u", 1))
		return s.Deliveries, s.Entities
	}

	t.Run("RoundTrip", func(t *testing.T) {
		s, _ := open(t)
		want := delivery(entity.NewActivationID(), 1700000000000)
		want.ResendOf = entity.NewActivationID()
		deliver(t, s, want)
		got, err := s.Delivery(ctx, "guest/t", want.ID)
		require.NoError(t, err)
		require.Equal(t, want, got)
		list := listed(t, s, "guest/t")
		require.Len(t, list, 1)
		require.Nil(t, list[0].Event, "lists have no events")
		list[0].Event = want.Event
		require.Equal(t, want, list[0])
		no := refused(5)
		deliver(t, s, no)
		got, err = s.Delivery(ctx, "guest/t", no.ID)
		require.NoError(t, err)
		require.Equal(t, no, got)
	})

	t.Run("DeliveriesBelongToTheirTrigger", func(t *testing.T) {
		s, _ := open(t)
		mine, yours := delivery(entity.NewActivationID(), 1), delivery(entity.NewActivationID(), 2)
		yours.Trigger = "guest/u"
		deliver(t, s, mine, yours)
		require.Len(t, listed(t, s, "guest/u"), 1)
		_, err := s.Delivery(ctx, "guest/u", mine.ID)
		require.ErrorIs(t, err, store.ErrNotFound)
		require.Empty(t, listed(t, s, "guest/v"))
	})

	t.Run("TheFirstAcceptedStays", func(t *testing.T) {
		s, _ := open(t)
		first, again := delivery(entity.NewActivationID(), 1), delivery("", 2)
		again.ID = first.ID
		deliver(t, s, first)
		stored, err := s.Record(ctx, again)
		require.NoError(t, err)
		require.False(t, stored)
		got, err := s.Delivery(ctx, "guest/t", first.ID)
		require.NoError(t, err)
		require.EqualValues(t, 1, got.Received)
	})

	t.Run("WhatWasNotAcceptedIsReplaced", func(t *testing.T) {
		s, _ := open(t)
		first, again := delivery(entity.NewActivationID(), 1), delivery("", 2)
		again.ID, first.Outcome = first.ID, entity.DeliveryUnmatched
		deliver(t, s, first, again)
		list := listed(t, s, "guest/t")
		require.Len(t, list, 1)
		require.Equal(t, entity.DeliveryAccepted, list[0].Outcome)
	})

	t.Run("TheNewestAreKept", func(t *testing.T) {
		s, _ := open(t)
		var last *entity.Delivery
		for i := range store.MaxDeliveries + 5 {
			last = delivery(entity.NewActivationID(), int64(i))
			deliver(t, s, last)
		}
		for i := range store.MaxRefusedDeliveries + 5 {
			deliver(t, s, refused(int64(1000+i)))
		}
		list := listed(t, s, "guest/t")
		require.Len(t, list, store.MaxDeliveries+store.MaxRefusedDeliveries)
		require.EqualValues(t, 1000+store.MaxRefusedDeliveries+4, list[0].Received)
		require.EqualValues(t, 1005, list[store.MaxRefusedDeliveries-1].Received)
		require.Equal(t, last.ID, list[store.MaxRefusedDeliveries].ID)
		require.EqualValues(t, 5, list[len(list)-1].Received)
		page, err := s.List(ctx, "guest/t", store.MaxRefusedDeliveries, 3)
		require.NoError(t, err)
		require.Len(t, page, 3)
		require.Equal(t, last.ID, page[0].ID)
	})

	t.Run("TheyGoWithTheirTrigger", func(t *testing.T) {
		s, entities := open(t)
		d, other := delivery(entity.NewActivationID(), 1), delivery(entity.NewActivationID(), 1)
		other.Trigger = "guest/u"
		deliver(t, s, d, other)
		require.NoError(t, entities.Delete(ctx, get(t, entities, "guest/t")))
		require.Empty(t, listed(t, s, "guest/t"))
		require.Len(t, listed(t, s, "guest/u"), 1)
		stored, err := s.Record(ctx, delivery(entity.NewActivationID(), 2))
		require.NoError(t, err)
		require.False(t, stored, "its trigger does not exist")
		put(t, entities, trigger("guest", "t", 2))
		require.Empty(t, listed(t, s, "guest/t"), "a new trigger starts without")
	})

	t.Run("ExpireDeletesTheOldOnly", func(t *testing.T) {
		s, _ := open(t)
		for i := range int64(10) {
			deliver(t, s, delivery(entity.NewActivationID(), 100+i), refused(100+i))
		}
		for _, want := range []int{7, 3, 0} {
			n, err := s.Expire(ctx, time.UnixMilli(105), 7)
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		list := listed(t, s, "guest/t")
		require.Len(t, list, 10)
		require.EqualValues(t, 105, list[9].Received, "the time itself is not before")
	})
}
