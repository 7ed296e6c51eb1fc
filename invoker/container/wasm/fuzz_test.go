package wasm

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
)

// FuzzInstrument: whatever is uploaded is refused with words, or rewritten to a
// module that is as valid as it was.
func FuzzInstrument(f *testing.F) {
	for _, m := range []assembly{printer(`{"ok":true}`), starting(forever), renumbering(), growing()} {
		f.Add(m.bytes())
	}
	ctx := context.Background()
	config := wazero.NewRuntimeConfigInterpreter().WithDebugInfoEnabled(false)
	f.Fuzz(func(t *testing.T, binary []byte) {
		body, err := json.Marshal(map[string]any{"value": map[string]any{"code": base64.StdEncoding.EncodeToString(binary)}})
		require.NoError(t, err)
		if u, err := parseUpload(body); err == nil {
			require.LessOrEqual(t, len(u.binary), maxModule)
			if bytes.Equal(u.binary, binary) {
				_, _ = instrument(u.binary)
			}
		}
		m, err := instrument(binary)
		if err != nil {
			require.ErrorAs(t, err, new(badModule))
			return
		}
		runtime := wazero.NewRuntimeWithConfig(ctx, config)
		defer runtime.Close(ctx)
		_, before := runtime.CompileModule(ctx, binary)
		_, after := runtime.CompileModule(ctx, m.code)
		if before == nil {
			require.NoError(t, after)
			again, err := instrument(m.code)
			require.NoError(t, err)
			require.Equal(t, m.memory, again.memory)
		}
	})
}

// FuzzRun: modules that are valid by chance do no harm.
func FuzzRun(f *testing.F) {
	for _, m := range []assembly{printer(`{"ok":true}`), starting(forever), renumbering(), growing(), starting(calls(0))} {
		f.Add(m.bytes())
	}
	factory := openIn(f, f.TempDir())
	f.Fuzz(func(t *testing.T, binary []byte) {
		m, err := instrument(binary)
		if err != nil {
			return
		}
		p, err := load(context.Background(), m, t.TempDir())
		if err != nil {
			require.ErrorAs(t, err, new(badModule))
			return
		}
		defer p.close()
		entry, err := p.entry("main")
		if err != nil {
			return
		}
		c := start(t, factory, 1).(*Container)
		c.action = &action{program: p, entry: entry}
		_, _ = c.Call(within(t, 20*time.Millisecond), "/run", emptyRun, 1<<20)
		require.NoError(t, c.Destroy(within(t, patience)))
	})
}
