package api

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// sequenceParameter is the one parameter of a sequence. The server sets it
// (openwhisk-rest-api.md 11).
const sequenceParameter = "_actions"

// lookupsPerAction times the allowed length is how many packages and actions the
// check of one sequence looks up. The contract bounds the actions that a sequence
// comes down to, and not how deep sequences are nested around them.
const lookupsPerAction = 10

// resolveComponents puts the caller's namespace for "_" (openwhisk-rest-api.md 2.1).
func resolveComponents(exec *entity.Exec, namespace string) {
	for i, c := range exec.Components {
		exec.Components[i] = c.Resolve(namespace)
	}
}

// sequenceParameters are the parameters of a sequence, whatever a client sends.
func sequenceParameters(exec *entity.Exec) entity.Parameters {
	value := json.RawMessage{'['}
	for i, c := range exec.Components {
		if i > 0 {
			value = append(value, ',')
		}
		value = entity.AppendString(value, "/"+c.String())
	}
	return entity.Parameters{{Key: sequenceParameter, Value: append(value, ']')}}
}

// checkComponents checks that the caller may read the components of a sequence,
// which must be resolved (openwhisk-rest-api.md 3). A sequence with more different
// ones than are allowed is not stored in any case, so the rest need no check.
func (a *API) checkComponents(ctx context.Context, id *entity.Identity, exec *entity.Exec) error {
	return a.rights.CheckActions(ctx, id, entitle.Read, exec.Components, a.cfg.MaxSequenceLength)
}

// checkSequence checks the components of the sequence that a request wants stored,
// which must be resolved: their number, also when the sequences among them are
// inlined, that they exist, and that none leads back to the sequence
// (openwhisk-rest-api.md 11). An exec of another kind, or none, is fine. Writes at
// the same time can still make a cycle between them.
func (a *API) checkSequence(x *Exchange, exec *entity.Exec) error {
	if exec == nil || !exec.IsSequence() {
		return nil
	}
	if len(exec.Components) == 0 {
		return errSequenceEmpty
	}
	in := newInlining(a.catalog, x.Identity.Namespace, x.at.fqn(), a.cfg.MaxSequenceLength)
	_, err := in.count(x.Context(), exec.Components)
	if errors.Is(err, store.ErrNotFound) {
		return errSequenceMissing
	}
	return err
}

// inlining counts the actions that a sequence comes down to. It looks everything up
// once, and is for one check.
type inlining struct {
	catalog *catalog.Catalog
	// namespace is the caller's, which "_" in old documents stands for.
	namespace string
	// self is the sequence that nothing may lead back to.
	self entity.FQN
	// limit is how many actions are allowed.
	limit int
	// lookups are left. They also bound the recursion, which makes one a level.
	lookups int
	// packages maps the paths met to the paths of the packages behind them.
	packages map[entity.Path]entity.Path
	// counts has the actions that an action or sequence comes down to.
	counts map[entity.FQN]int
}

func newInlining(c *catalog.Catalog, namespace string, self entity.FQN, limit int) *inlining {
	return &inlining{
		catalog: c, namespace: namespace, self: self, limit: limit, lookups: limit * lookupsPerAction,
		packages: make(map[entity.Path]entity.Path), counts: make(map[entity.FQN]int),
	}
}

// count returns the number of actions of a list of components. Errors are answers;
// store.ErrNotFound, also for a package; catalog.ErrWrongType; or the store's.
func (in *inlining) count(ctx context.Context, components []entity.FQN) (int, error) {
	if len(components) > in.limit {
		return 0, errSequenceTooLong
	}
	// A list that names self is told so, even if it is too long as well.
	homes := make([]entity.FQN, len(components))
	for i, c := range components {
		home, err := in.home(ctx, c.Resolve(in.namespace))
		if err != nil {
			return 0, err
		}
		if home == in.self {
			return 0, errSequenceCycle
		}
		homes[i] = home
	}
	total := 0
	for _, home := range homes {
		n, err := in.countOne(ctx, home)
		if err != nil {
			return 0, err
		}
		if total += n; total > in.limit {
			return 0, errSequenceTooLong
		}
	}
	return total, nil
}

// countOne returns the number of actions of one component; errors as count.
func (in *inlining) countOne(ctx context.Context, home entity.FQN) (int, error) {
	if n, known := in.counts[home]; known {
		return n, nil
	}
	if err := in.lookUp(); err != nil {
		return 0, err
	}
	action, err := catalog.As[*entity.Action](in.catalog.Entity(ctx, home.ID()))
	if err != nil {
		return 0, err
	}
	n := 1
	if action.Exec.IsSequence() {
		in.counts[home] = in.limit + 1 // what leads back to it has no end
		if n, err = in.count(ctx, action.Exec.Components); err != nil {
			return 0, err
		}
	}
	in.counts[home] = n
	return n, nil
}

// home returns the address that an action is stored at: for one that is named
// through a binding, in the package behind it.
func (in *inlining) home(ctx context.Context, action entity.FQN) (entity.FQN, error) {
	if action.Path.Package() == "" {
		return action, nil
	}
	path, known := in.packages[action.Path]
	if !known {
		if err := in.lookUp(); err != nil {
			return entity.FQN{}, err
		}
		provider, err := in.catalog.Provider(ctx, action.Path)
		if err != nil {
			return entity.FQN{}, err
		}
		path = provider.Namespace.Join(string(provider.Name))
		in.packages[action.Path] = path
	}
	return entity.FQN{Path: path, Name: action.Name}, nil
}

// lookUp takes one of the lookups that are left.
func (in *inlining) lookUp() error {
	if in.lookups == 0 {
		return errSequenceTooLong
	}
	in.lookups--
	return nil
}
