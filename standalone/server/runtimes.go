package server

import (
	"errors"
	"fmt"
	"time"

	"github.com/gowhisk/gowhisk/invoker/pool"
	invoker "github.com/gowhisk/gowhisk/invoker/service"
	"github.com/gowhisk/gowhisk/pkg/entity"
	pkgruntimes "github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/runtimes"
)

// errNoRuntime: there is nothing that actions could be written in.
var errNoRuntime = errors.New("neither Node.js nor Python was found: install one of them, or put its directory on the PATH")

// localManifest is the built-in manifest with the interpreters of this machine as
// their families' defaults, and with the stem cells that the configuration wants.
func localManifest(found []runtimes.Interpreter, cfg Config) (*pkgruntimes.Manifest, error) {
	m := pkgruntimes.Default().WithoutStemCells()
	var defaults []string
	for _, family := range []string{"nodejs", "python"} {
		for _, i := range found {
			if i.Family != family {
				continue
			}
			// A version that the manifest does not know serves its nearest kind.
			if changed, err := m.WithDefault(i.Kind); err == nil {
				m = changed
				defaults = append(defaults, i.Kind)
				break
			}
		}
	}
	if len(defaults) == 0 {
		return nil, errNoRuntime
	}
	cells, err := cfg.stemCells()
	if err != nil {
		return nil, err
	}
	if cells == nil {
		for _, kind := range defaults {
			cells = append(cells, stemCell{kind: kind, count: 1, memory: 256})
		}
	}
	for _, c := range cells {
		m, err = m.WithStemCells(c.kind, pkgruntimes.StemCell{InitialCount: c.count, Memory: entity.Megabytes(c.memory)})
		if err != nil {
			return nil, fmt.Errorf("--stem-cells %s: %w", c.kind, err)
		}
	}
	return m, nil
}

// poolConfig is the container pool's for cfg and the stem cells of m.
func poolConfig(cfg Config, m *pkgruntimes.Manifest) pool.Config {
	c := pool.DefaultConfig(entity.Megabytes(cfg.Memory))
	c.PauseGrace, c.IdleTimeout = cfg.PauseGrace, cfg.IdleTimeout
	c.MaxParallelStarts, c.StemCellRate = cfg.ParallelStart, cfg.StemCellRate
	c.MaxParallelUserStarts = 2 * cfg.ParallelStart
	// A process starts in a fraction of the time that a container engine needs.
	c.StartCostGuess = 80 * time.Millisecond
	c.StemCells = invoker.StemCells(m, cfg.MaxConcurrency)
	return c
}
