package encryption_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/gowhisk/gowhisk/pkg/encryption"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
	"github.com/gowhisk/gowhisk/pkg/store/storetest"
)

func openDB(t *testing.T) *sqlite.DB {
	db, err := sqlite.Open(t.Context(), sqlite.Options{InMemory: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// documents are all entities of a database.
type documents struct {
	store.EntityStore
	*sqlite.DB
}

// TestConformance: a store behind a ring that does not encrypt is a store like others.
func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Stores {
		db := openDB(t)
		return storetest.Stores{
			Entities: encryption.Entities(db.Entities(), ring(t, "off", key128)), Activations: db.Activations(), Subjects: db.Subjects(), Deliveries: db.Deliveries(),
		}
	})
}

const odd = `{"n":[1e400,0.10,-0],"s":"\u00e9\/ <&>","":null}`

func head(name string) entity.Header {
	return entity.Header{Namespace: "ns", Name: entity.Name(name), Version: entity.FirstVersion, Updated: 7, Annotations: entity.Parameters{{Key: "a", Value: json.RawMessage(`1`)}}}
}

func parameters() entity.Parameters {
	return entity.Parameters{{Key: "k", Value: json.RawMessage(odd)}, {Key: "i", Value: json.RawMessage(`"init"`), Init: true}}
}

func action(name string, exec entity.Exec) *entity.Action {
	return &entity.Action{Header: head(name), Exec: exec, Parameters: parameters(), Limits: entity.DefaultLimitRanges().Std()}
}

// everything is one entity of each kind.
func everything() []entity.Entity {
	code := "function main() {}"
	return []entity.Entity{
		action("action", entity.Exec{Kind: "nodejs:20", Code: &code, Digest: "d"}),
		action("sequence", entity.Exec{Kind: entity.KindSequence, Components: []entity.FQN{{Path: "ns", Name: "action"}}}),
		&entity.Package{Header: head("package"), Parameters: parameters()},
		&entity.Package{Header: head("binding"), Parameters: parameters(), Binding: &entity.PackageRef{Namespace: "ns", Name: "package"}},
		&entity.Trigger{Header: head("trigger"), Parameters: parameters()},
		&entity.Rule{Header: head("rule"), Trigger: entity.FQN{Path: "ns", Name: "trigger"}, Action: entity.FQN{Path: "ns", Name: "action"}},
	}
}

func parametersOf(e entity.Entity) entity.Parameters {
	switch e := e.(type) {
	case *entity.Action:
		return e.Parameters
	case *entity.Package:
		return e.Parameters
	case *entity.Trigger:
		return e.Parameters
	}
	return nil
}

func TestEntitiesAreEncryptedOnTheWayIn(t *testing.T) {
	db, k := openDB(t), ring(t, key256)
	s := encryption.Entities(db.Entities(), k)
	for _, e := range everything() {
		name := string(e.Head().Name)
		for range 2 { // created, then updated at its revision
			before := entity.AppendDocument(nil, e)
			require.NoError(t, s.Put(t.Context(), e), name)
			require.Equal(t, string(before), string(entity.AppendDocument(nil, e)), "%s is shown as it was sent", name)
		}
		stored, err := s.Entity(t.Context(), e.Head().ID())
		require.NoError(t, err)
		require.Equal(t, e.Head().Revision, stored.Head().Revision)
		require.Equal(t, e.Head().Annotations, stored.Head().Annotations)
		isLocked := name == "action" || name == "package" || name == "binding"
		for i, p := range parametersOf(stored) {
			require.Equal(t, isLocked, p.Encryption == "aes-256", name)
			require.Equal(t, parameters()[i].Init, p.Init)
		}
		require.Equal(t, parametersOf(e), k.Unlock(parametersOf(stored)), name)
	}
	code, err := s.Code(t.Context(), action("action", entity.Exec{Kind: "nodejs:20"}))
	require.NoError(t, err)
	require.Equal(t, "function main() {}", code)
}

// rotate reencrypts all and returns what was rewritten.
func rotate(t *testing.T, k *encryption.Keyring, d encryption.Documents) encryption.Progress {
	t.Helper()
	p, err := k.Reencrypt(t.Context(), d, nil)
	require.NoError(t, err)
	return p
}

func TestReencrypt(t *testing.T) {
	db := openDB(t)
	d := documents{db.Entities(), db}
	for _, e := range everything() {
		require.NoError(t, d.Put(t.Context(), e))
	}
	sealed := &entity.Trigger{Header: head("hook")}
	scheme, text := ring(t, key128).Seal([]byte(`"hook"`))
	sealed.Annotations = append(sealed.Annotations, entity.Parameter{Key: "webhook", Value: entity.AppendString(nil, text), Encryption: scheme})
	require.NoError(t, d.Put(t.Context(), sealed))

	forms := func() map[string]string {
		found := map[string]string{}
		for _, e := range append(everything(), sealed) {
			stored, err := d.Entity(t.Context(), e.Head().ID())
			require.NoError(t, err)
			require.Equal(t, entity.FirstVersion, stored.Head().Version)
			require.EqualValues(t, 7, stored.Head().Updated)
			list := parametersOf(stored)
			if e == entity.Entity(sealed) {
				list = stored.Head().Annotations[1:]
			}
			for _, p := range list {
				found[string(e.Head().Name)] = p.Encryption
			}
		}
		return found
	}
	all := func(scheme string) map[string]string {
		return map[string]string{"action": scheme, "package": scheme, "binding": scheme, "hook": scheme, "sequence": "", "trigger": ""}
	}
	for _, step := range []struct {
		name      string
		keys      *encryption.Keyring
		rewritten int
		form      string
	}{
		{"encrypt all", ring(t, key128), 3, "aes-128"},
		{"again", ring(t, key128), 0, "aes-128"},
		{"new key", ring(t, key256, key128), 4, "aes-256"},
		{"older key removed", ring(t, key256), 0, "aes-256"},
		{"decrypt all", ring(t, "off", key256), 4, ""},
		{"again", ring(t, "off", key256), 0, ""},
	} {
		p := rotate(t, step.keys, d)
		require.Equal(t, encryption.Progress{Read: 7, Rewritten: step.rewritten}, p, step.name)
		require.Equal(t, all(step.form), forms(), step.name)
	}
	for _, e := range everything() {
		stored, err := d.Entity(t.Context(), e.Head().ID())
		require.NoError(t, err)
		require.Equal(t, parametersOf(e), parametersOf(stored), e.Head().Name)
	}
}

func TestReencryptTellsWhatItCannotOpen(t *testing.T) {
	db := openDB(t)
	d := documents{db.Entities(), db}
	for name, k := range map[string]*encryption.Keyring{"lost": ring(t, newKey(t, encryption.AES256)), "kept": ring(t, key128)} {
		a := action(name, entity.Exec{Kind: "nodejs:20"})
		a.Parameters = k.Lock(a.Parameters[:1])
		// Nobody can have encrypted this: it is not worth a word.
		a.Parameters = append(a.Parameters, entity.Parameter{Key: "junk", Value: json.RawMessage(`{"x":1}`), Encryption: "aes-128"})
		require.NoError(t, d.Put(t.Context(), a))
	}
	p := rotate(t, ring(t, key256, key128), d)
	require.Equal(t, encryption.Progress{Read: 2, Rewritten: 1, Failed: []encryption.Failure{{ID: "ns/lost", Name: "k", Err: encryption.ErrNoKey}}}, p)
}

// TestReencryptBesideWriters: nobody's write is lost, and nobody is left out.
func TestReencryptBesideWriters(t *testing.T) {
	db, k := openDB(t), ring(t, key256)
	d := documents{db.Entities(), db}
	const actions = 600 // more than a page
	for i := range actions {
		require.NoError(t, d.Put(t.Context(), action(fmt.Sprintf("a%d", i), entity.Exec{Kind: "nodejs:20"})))
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	locked := encryption.Entities(db.Entities(), k)
	var writes [4]int
	var g errgroup.Group
	for w := range writes {
		g.Go(func() error {
			for i := w; ctx.Err() == nil; i = (i + len(writes)) % actions {
				e, err := locked.Entity(context.Background(), entity.DocID(fmt.Sprintf("ns/a%d", i)))
				if err != nil {
					return err
				}
				e.Head().Version = e.Head().Version.Next()
				if err := locked.Put(context.Background(), e); err == nil {
					writes[w]++
				} else if !isConflict(err) {
					return err
				}
			}
			return nil
		})
	}
	p := rotate(t, k, d)
	stop()
	require.NoError(t, g.Wait())
	require.Equal(t, actions, p.Read)
	require.Empty(t, p.Failed)
	total := 0
	for i := range actions {
		e, err := d.Entity(t.Context(), entity.DocID(fmt.Sprintf("ns/a%d", i)))
		require.NoError(t, err)
		require.Equal(t, "aes-256", parametersOf(e)[0].Encryption)
		require.Equal(t, parameters(), k.Unlock(parametersOf(e)))
		total += int(e.Head().Version.Patch - entity.FirstVersion.Patch)
	}
	require.Equal(t, writes[0]+writes[1]+writes[2]+writes[3], total, "versions that writers counted")
	require.Zero(t, rotate(t, k, d).Rewritten)
}

func isConflict(err error) bool { return errors.Is(err, store.ErrConflict) }
