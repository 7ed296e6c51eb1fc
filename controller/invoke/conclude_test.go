package invoke

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// A client that calls one after the other has one invocation under way, however
// late the record of the previous one is stored.
func TestAResultConcludesBeforeItIsHeard(t *testing.T) {
	f := newFlights()
	fl := &flight{id: entity.NewActivationID(), result: make(chan *entity.Activation, 1)}
	f.add(fl)
	concluded := 0
	conclude := func(fl *flight) {
		require.Empty(t, fl.result, "nobody has heard of the result")
		concluded++
	}
	require.Nil(t, f.complete(&bus.Completion{Kind: bus.ResultReady, ActivationID: fl.id, Record: &entity.Activation{}}, conclude))
	require.Len(t, fl.result, 1)
	require.Same(t, fl, f.complete(&bus.Completion{Kind: bus.SlotFree, ActivationID: fl.id}, conclude))
	require.Equal(t, 1, concluded, "the end of the slot does not count again")
	require.Nil(t, f.complete(&bus.Completion{Kind: bus.SlotFree, ActivationID: fl.id}, conclude))
}
