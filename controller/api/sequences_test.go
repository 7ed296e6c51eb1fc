package api

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// shelf is a store of entities that counts how often it is read.
type shelf struct {
	store.EntityStore
	entities map[entity.DocID]entity.Entity
	reads    int
}

func (s *shelf) Entity(_ context.Context, id entity.DocID) (entity.Entity, error) {
	s.reads++
	if e, ok := s.entities[id]; ok {
		return e, nil
	}
	return nil, store.ErrNotFound
}

// put stores an action of the namespace "ns", a sequence if it has components.
func (s *shelf) put(name entity.Name, components []entity.FQN) {
	action := &entity.Action{Header: entity.Header{Namespace: "ns", Name: name}, Exec: entity.Exec{Kind: "nodejs:20"}}
	if components != nil {
		action.Exec = entity.Exec{Kind: entity.KindSequence, Components: components}
	}
	s.entities[action.ID()] = action
}

// inliningOf returns the check of self over the shelf, past all caches.
func inliningOf(t require.TestingT, s *shelf, self entity.FQN, limit int) (*inlining, func()) {
	c, err := catalog.New(s, 10_000, time.Minute)
	require.NoError(t, err)
	return newInlining(c, "ns", self, limit), c.Close
}

func action(format string, args ...any) entity.FQN {
	return entity.FQN{Path: "ns", Name: entity.Name(fmt.Sprintf(format, args...))}
}

// However wide and deep sequences are nested, a check ends after so many reads.
func TestInliningReadsLittle(t *testing.T) {
	const limit, deep = 50, 5000
	s := &shelf{entities: map[entity.DocID]entity.Entity{}}
	s.put("a", nil)
	s.put("chain0", []entity.FQN{action("a")})
	s.put("wide0", []entity.FQN{})
	for i := 1; i < deep; i++ {
		s.put(action("chain%d", i).Name, []entity.FQN{action("chain%d", i-1)})
		wide := make([]entity.FQN, limit) // of nothing, 50 to the power of i times
		for k := range wide {
			wide[k] = action("wide%d", i-1)
		}
		s.put(action("wide%d", i).Name, wide)
	}
	for _, top := range []entity.FQN{action("chain%d", deep-1), action("wide%d", deep-1)} {
		s.reads = 0
		in, done := inliningOf(t, s, action("self"), limit)
		_, err := in.count(t.Context(), []entity.FQN{top})
		done()
		require.Equal(t, errSequenceTooLong, err, top)
		require.Equal(t, limit*lookupsPerAction, s.reads, top)
	}
}

// Whatever is written, what was accepted has an end and is no longer than allowed.
func TestAcceptedSequencesEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 6
		s := &shelf{entities: map[entity.DocID]entity.Entity{}}
		names := rapid.IntRange(0, 7)
		for range rapid.IntRange(1, 25).Draw(t, "writes") {
			self := action("x%d", names.Draw(t, "self"))
			components := make([]entity.FQN, rapid.IntRange(0, 3).Draw(t, "length"))
			for i := range components {
				components[i] = action("x%d", names.Draw(t, "component"))
			}
			if len(components) == 0 {
				s.put(self.Name, nil)
				continue
			}
			in, done := inliningOf(t, s, self, limit)
			n, err := in.count(t.Context(), components)
			done()
			if err == nil {
				s.put(self.Name, components)
				require.Equal(t, atoms(t, s, self, 0), n)
				require.LessOrEqual(t, n, limit)
			}
		}
	})
}

// atoms counts the actions below one, by the definition; it must have an end.
func atoms(t require.TestingT, s *shelf, at entity.FQN, depth int) int {
	require.Less(t, depth, 9, "a cycle")
	e, ok := s.entities[at.ID()]
	require.True(t, ok, at)
	exec := e.(*entity.Action).Exec
	if !exec.IsSequence() {
		return 1
	}
	n := 0
	for _, c := range exec.Components {
		n += atoms(t, s, c, depth+1)
	}
	return n
}
