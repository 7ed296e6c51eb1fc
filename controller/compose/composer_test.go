package compose

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A fire whose rule is refused looks at the context to tell a refusal for good from
// one because of the stop, which the next life makes good.
func TestNobodyIsRefusedForAStopBeforeItShows(t *testing.T) {
	c := New(Config{MaxRunning: 1}, Deps{})
	stop := c.stop
	c.stop = func() {
		if c.mu.TryLock() { // others go on here
			c.mu.Unlock()
			if err := c.enter(false); err != nil {
				require.NoError(t, c.ctx.Err(), "it shows")
				t.Errorf("refused with %v", err)
			}
		}
		stop()
	}
	c.Close()
	require.Error(t, c.ctx.Err())
	require.ErrorContains(t, c.enter(false), "the controller is stopping")
}
