// Package runtimes is the runtimes manifest: which kinds of actions the platform
// runs, from which images, and how many stem cells stand ready for each.
//
// A Manifest is immutable once made and safe for concurrent use. Parse reads
// OpenWhisk's manifest format (openwhisk-invoker.md section 8), so an existing
// RUNTIMES_MANIFEST works as it is; Default is the one built in.
package runtimes

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Kinds that an action may have without being a runtime of the manifest.
const (
	Sequence = "sequence"
	Blackbox = "blackbox"
)

const defaultSuffix = ":default"

// resolvableFamily: only these families have a `<family>:default`.
var resolvableFamily = regexp.MustCompile(`^[a-z0-9]+$`)

// Runtime is one kind of action that the platform can run.
type Runtime struct {
	// Family groups the versions of one language, such as "nodejs".
	Family string
	// Kind is what an action's document holds, such as "nodejs:20".
	Kind string
	// Default: the version that `<family>:default` stands for.
	Default bool
	// Deprecated kinds can be read and deleted, not updated or invoked.
	Deprecated bool
	Image      entity.Image
	// Attached: the code of actions is stored as an attachment.
	Attached bool
	// RequireMain: an action must name its entry point.
	RequireMain bool
	// SentinelledLogs: the runtime marks the end of each activation's logs.
	SentinelledLogs bool
	StemCells       []StemCell
}

// CheckNotDeprecated returns a *DeprecatedError for a deprecated runtime.
func (r Runtime) CheckNotDeprecated() error {
	if r.Deprecated {
		return &DeprecatedError{Kind: r.Kind}
	}
	return nil
}

// CheckNotDeprecated returns a *DeprecatedError if the kind, as it is stored, is
// deprecated: its actions may be neither written nor invoked (openwhisk-rest-api.md
// 8.2). A kind that left the manifest is for the invoker to refuse.
func (m *Manifest) CheckNotDeprecated(kind string) error {
	return m.byKind[kind].CheckNotDeprecated()
}

// StemCell says how many started but unassigned containers of a runtime are kept
// for one memory size (openwhisk-invoker.md 2.9).
type StemCell struct {
	// InitialCount is kept from the start, at least 1.
	InitialCount int
	Memory       entity.Megabytes
	// Reactive is nil when the count never changes.
	Reactive *Reactive
}

// Reactive makes the number of stem cells follow the number of cold starts.
type Reactive struct {
	MinCount, MaxCount int
	// TTL is how long a stem cell lives, from its creation.
	TTL time.Duration
	// Increment stem cells are wanted for each full Threshold of cold starts.
	Threshold, Increment int
}

// Manifest is a set of runtimes.
type Manifest struct {
	// families keeps each family's versions in the order of the document.
	families   map[string][]Runtime
	blackboxes []entity.Image
	byKind     map[string]Runtime
	validKinds []string
}

// Kinds returns every kind an action may have, sorted, with Sequence and Blackbox.
func (m *Manifest) Kinds() []string { return slices.Clone(m.validKinds) }

// Runtimes returns all runtimes, sorted by family, then in the manifest's order.
func (m *Manifest) Runtimes() []Runtime {
	var all []Runtime
	for _, family := range sortedKeys(m.families) {
		all = append(all, m.families[family]...)
	}
	return all
}

// Resolve returns the runtime of a kind as a client wrote it: surrounding space
// and case do not matter, and `<family>:default` is the family's default. Any
// other kind is an *UnknownKindError, also Sequence and Blackbox, which have no
// runtime: callers treat them first.
func (m *Manifest) Resolve(kind string) (Runtime, error) {
	name := Normalise(kind)
	if r, ok := m.byKind[name]; ok {
		return r, nil
	}
	if family, isDefault := cutDefault(name); isDefault && resolvableFamily.MatchString(family) {
		for _, r := range m.families[family] {
			if r.Default {
				return r, nil
			}
		}
	}
	return Runtime{}, &UnknownKindError{Kind: name, Valid: m.validKinds}
}

// IsManagedImage reports whether a blackbox action's image is one of the
// manifest's blackboxes: such images are trusted, never pulled, and write log
// sentinels. A missing tag equals "latest"; an image with a digest is never one
// of them, for a digest can name any content.
func (m *Manifest) IsManagedImage(image entity.Image) bool {
	return slices.ContainsFunc(m.blackboxes, image.Equal)
}

// Blackboxes returns the managed images of blackbox actions.
func (m *Manifest) Blackboxes() []entity.Image { return slices.Clone(m.blackboxes) }

// WithDefault returns a copy in which kind is the default of its family.
func (m *Manifest) WithDefault(kind string) (*Manifest, error) {
	chosen, err := m.Resolve(kind)
	if err != nil {
		return nil, err
	}
	return m.mapped(func(r *Runtime) {
		if r.Family == chosen.Family {
			r.Default = r.Kind == chosen.Kind
		}
	}), nil
}

// WithStemCells returns a copy in which kind has exactly these stem cells, or
// none.
func (m *Manifest) WithStemCells(kind string, cells ...StemCell) (*Manifest, error) {
	chosen, err := m.Resolve(kind)
	if err != nil {
		return nil, err
	}
	for i, cell := range cells {
		if err := cell.validate(); err != nil {
			return nil, fmt.Errorf("stem cell %d of %s: %w", i, chosen.Kind, err)
		}
	}
	return m.mapped(func(r *Runtime) {
		if r.Kind == chosen.Kind {
			r.StemCells = slices.Clone(cells)
		}
	}), nil
}

// WithoutStemCells returns a copy without any stem cells.
func (m *Manifest) WithoutStemCells() *Manifest {
	return m.mapped(func(r *Runtime) { r.StemCells = nil })
}

// mapped returns a copy of m with change applied to every runtime.
func (m *Manifest) mapped(change func(*Runtime)) *Manifest {
	families := make(map[string][]Runtime, len(m.families))
	for name, versions := range m.families {
		copied := slices.Clone(versions)
		for i := range copied {
			change(&copied[i])
		}
		families[name] = copied
	}
	return newManifest(families, m.blackboxes)
}

// newManifest indexes families, which have been validated.
func newManifest(families map[string][]Runtime, blackboxes []entity.Image) *Manifest {
	m := &Manifest{families: families, blackboxes: blackboxes, byKind: make(map[string]Runtime)}
	m.validKinds = []string{Sequence, Blackbox}
	for _, versions := range families {
		for _, r := range versions {
			m.byKind[r.Kind] = r
			m.validKinds = append(m.validKinds, r.Kind)
		}
	}
	slices.Sort(m.validKinds)
	return m
}

//go:embed runtimes.json
var defaultManifest []byte

// Default returns the manifest that is built in. It has every kind that OpenWhisk
// ships; where there is no image of exactly that version, the nearest one's is named.
var Default = sync.OnceValue(func() *Manifest {
	m, err := Parse(defaultManifest)
	if err != nil {
		panic(fmt.Sprintf("the built-in runtimes manifest is broken: %v", err))
	}
	return m
})
