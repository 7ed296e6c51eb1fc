package entitle

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

var errStore = errors.New("the store is down")

// documents maps ids to what the store says about them.
type documents map[entity.DocID]any

func (d documents) Entity(_ context.Context, id entity.DocID) (entity.Entity, error) {
	switch found := d[id].(type) {
	case entity.Entity:
		return found, nil
	case error:
		return nil, found
	}
	return nil, store.ErrNotFound
}

func bindingOf(namespace entity.Path, name entity.Name) *entity.Package {
	return &entity.Package{Binding: &entity.PackageRef{Namespace: namespace, Name: name}, Header: entity.Header{Publish: true}}
}

// The table of openwhisk-rest-api.md section 3, for a caller who owns "ns".
func TestRights(t *testing.T) {
	rights := NewRights(documents{
		"ns/p":            &entity.Package{},
		"ns/x":            &entity.Action{},
		"ns/broken":       fmt.Errorf("read: %w", entity.ErrUnreadable),
		"ns/down":         errStore,
		"ns/b":            bindingOf("other", "public"),
		"ns/b-private":    bindingOf("other", "private"),
		"ns/b-gone":       bindingOf("other", "gone"),
		"ns/b-own-gone":   bindingOf("ns", "gone"),
		"ns/b-action":     bindingOf("other", "x"),
		"ns/b-self":       bindingOf("ns", "b-self"),
		"ns/b-chain":      bindingOf("other", "b"),
		"other/public":    &entity.Package{Header: entity.Header{Publish: true}},
		"other/private":   &entity.Package{},
		"other/b":         bindingOf("ns", "p"),
		"other/b-ours":    bindingOf("other", "public"),
		"other/x":         &entity.Action{},
		"other/broken":    fmt.Errorf("read: %w", entity.ErrUnreadable),
		"other/down":      errStore,
		"ns/b-other-down": bindingOf("other", "down"),
	})
	caller := &entity.Identity{Namespace: "ns"}
	denied := func(resource string) error { return &DeniedError{[]string{resource}} }

	for _, c := range []struct {
		right    Right
		resource Resource
		want     error
	}{
		{Read, Resource{Collection: Actions, Namespace: "ns"}, nil},
		{Read, Resource{Collection: Actions, Namespace: "other"}, denied("other")},
		{Read, Resource{Collection: Triggers, Namespace: "other"}, denied("other")},
		{Read, Resource{Collection: Limits, Namespace: "other"}, denied("other")},
		{Read, Resource{Collection: Activations, Namespace: "other"}, denied("other")},
		{Read, Resource{Collection: Packages, Namespace: "other"}, nil},
		{Activate, Resource{Collection: Actions, Namespace: "ns", Name: "a"}, nil},
		{Activate, Resource{Collection: Actions, Namespace: "other", Name: "a"}, denied("other/a")},
		{Put, Resource{Collection: Rules, Namespace: "other", Name: "a"}, denied("other/a")},

		{Put, Resource{Collection: Packages, Namespace: "ns", Name: "gone"}, nil},
		{Put, Resource{Collection: Packages, Namespace: "other", Name: "public"}, denied("other/public")},
		{Delete, Resource{Collection: Packages, Namespace: "other", Name: "public"}, denied("other/public")},
		{Read, Resource{Collection: Packages, Namespace: "ns", Name: "p"}, nil},
		{Read, Resource{Collection: Packages, Namespace: "other", Name: "public"}, nil},
		{Read, Resource{Collection: Packages, Namespace: "other", Name: "private"}, denied("other/private")},
		{Read, Resource{Collection: Packages, Namespace: "ns", Name: "gone"}, &MissingError{"ns/gone"}},
		{Read, Resource{Collection: Packages, Namespace: "other", Name: "gone"}, denied("other/gone")},
		{Read, Resource{Collection: Packages, Namespace: "ns", Name: "x"}, catalog.ErrWrongType},
		{Read, Resource{Collection: Packages, Namespace: "other", Name: "x"}, denied("other/x")},
		{Read, Resource{Collection: Packages, Namespace: "ns", Name: "broken"}, entity.ErrUnreadable},
		{Read, Resource{Collection: Packages, Namespace: "other", Name: "broken"}, denied("other/broken")},
		{Read, Resource{Collection: Packages, Namespace: "ns", Name: "down"}, errStore},
		{Read, Resource{Collection: Packages, Namespace: "other", Name: "down"}, errStore},

		{Read, Resource{Collection: Packages, Namespace: "ns", Name: "b"}, nil},
		{Read, Resource{Collection: Packages, Namespace: "other", Name: "b-ours"}, denied("other/b-ours")},
		{Read, Resource{Collection: Packages, Namespace: "ns", Name: "b-private"}, denied("ns/b-private")},
		{Read, Resource{Collection: Packages, Namespace: "ns", Name: "b-gone"}, denied("ns/b-gone")},
		{Read, Resource{Collection: Packages, Namespace: "ns", Name: "b-own-gone"}, store.ErrNotFound},
		{Read, Resource{Collection: Packages, Namespace: "ns", Name: "b-action"}, denied("ns/b-action")},
		{Read, Resource{Collection: Packages, Namespace: "ns", Name: "b-self"}, &CircularError{"ns/b-self"}},
		{Read, Resource{Collection: Packages, Namespace: "ns", Name: "b-chain"}, denied("ns/b-chain")},
		{Read, Resource{Collection: Packages, Namespace: "ns", Name: "b-other-down"}, errStore},

		{Read, Resource{Collection: Actions, Namespace: "other", Package: "public", Name: "a"}, nil},
		{Activate, Resource{Collection: Actions, Namespace: "other", Package: "public", Name: "a"}, nil},
		{Activate, Resource{Collection: Actions, Namespace: "other", Package: "private", Name: "a"}, denied("other/private")},
		{Activate, Resource{Collection: Actions, Namespace: "ns", Package: "b", Name: "a"}, nil},
		{Put, Resource{Collection: Actions, Namespace: "other", Package: "public", Name: "a"}, denied("other/public/a")},
		{Delete, Resource{Collection: Actions, Namespace: "other", Package: "public", Name: "a"}, denied("other/public/a")},
		{Put, Resource{Collection: Actions, Namespace: "ns", Package: "gone", Name: "a"}, nil},
		{Read, Resource{Collection: Actions, Namespace: "other", Package: "public"}, nil},
	} {
		err := rights.Check(t.Context(), caller, c.right, c.resource)
		what := fmt.Sprint(c.right, " ", c.resource.Collection, " ", c.resource)
		var wantDenied *DeniedError
		switch {
		case c.want == nil:
			require.NoError(t, err, what)
		case errors.As(c.want, &wantDenied):
			require.Equal(t, c.want, err, what)
		default:
			if !errors.Is(err, c.want) {
				require.Equal(t, c.want, err, what)
			}
		}
	}
}

func TestDeniedNamesResourcesOnceAndSorted(t *testing.T) {
	require.Equal(t, &DeniedError{[]string{"a/x", "b/y"}}, Denied("b/y", "a/x", "b/y"))
}

func TestCheckKind(t *testing.T) {
	all := &entity.Identity{}
	one := &entity.Identity{Limits: entity.UserLimits{AllowedKinds: []string{"python:3.11"}}}
	require.NoError(t, CheckKind(all, nil, "nodejs:20"))
	require.NoError(t, CheckKind(one, nil, "python:3.11"))
	require.Equal(t, &KindDeniedError{"nodejs:20"}, CheckKind(one, nil, "nodejs:20"))
	require.NoError(t, CheckKind(one, []string{"nodejs:20"}, "nodejs:20"))
	require.Equal(t, &KindDeniedError{"sequence"}, CheckKind(all, []string{"nodejs:20"}, "sequence"))
}
