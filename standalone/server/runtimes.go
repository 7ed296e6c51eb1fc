package server

import (
	"errors"
	"fmt"
	"time"

	"github.com/gowhisk/gowhisk/invoker/container/engine"
	"github.com/gowhisk/gowhisk/invoker/pool"
	invoker "github.com/gowhisk/gowhisk/invoker/service"
	"github.com/gowhisk/gowhisk/pkg/entity"
	pkgruntimes "github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/runtimes"
)

// errNoRuntime: there is nothing that actions could be written in.
var errNoRuntime = errors.New("neither Node.js nor Python was found: install one of them, or put its directory on the PATH")

// localManifest is the operator's manifest as it is, else the built-in one with the
// interpreters of this machine as their families' defaults where actions run in
// them, with the stem cells that the configuration wants.
func localManifest(m *pkgruntimes.Manifest, e *engine.Engine, cfg Config) (*pkgruntimes.Manifest, error) {
	cells, err := cfg.stemCells()
	if err != nil {
		return nil, err
	}
	if cfg.Manifest != "" && cells == nil {
		return m, nil
	}
	m = m.WithoutStemCells()
	defaults := e.Kinds
	if cfg.Manifest == "" && e.Interpreters != nil {
		if m, defaults, err = withLocalDefaults(m, e.Interpreters); err != nil {
			return nil, err
		}
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

// withLocalDefaults returns m with this machine's versions as defaults, and the
// kinds that they serve of the languages that everybody has.
func withLocalDefaults(m *pkgruntimes.Manifest, found []runtimes.Interpreter) (*pkgruntimes.Manifest, []string, error) {
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
		return nil, nil, errNoRuntime
	}
	return m, defaults, nil
}

// poolConfig is the container pool's for cfg and the stem cells of m.
func poolConfig(cfg Config, m *pkgruntimes.Manifest, startCost time.Duration) pool.Config {
	c := pool.DefaultConfig(entity.Megabytes(cfg.Memory))
	c.PauseGrace, c.IdleTimeout = cfg.PauseGrace, cfg.IdleTimeout
	c.MaxParallelStarts, c.StemCellRate = cfg.ParallelStart, cfg.StemCellRate
	c.MaxParallelUserStarts = 2 * cfg.ParallelStart
	c.StartCostGuess = startCost
	c.StemCells = invoker.StemCells(m, cfg.MaxConcurrency)
	return c
}
