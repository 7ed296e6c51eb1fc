package identity

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func basic(uuid, key string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(uuid+":"+key))
}

var secret = strings.Repeat("k", entity.KeyLength)

func TestParseBasic(t *testing.T) {
	for name, header := range map[string]string{
		"well formed":              basic("u", secret),
		"scheme in any case":       "bAsIc " + basic("u", secret)[6:],
		"space around the value":   "Basic   " + basic("u", secret)[6:] + " ",
		"the uuid is opaque":       basic("not-a uuid", secret),
		"a colon inside the key":   basic("u", ":"+secret[1:]),
		"the longest there may be": basic(strings.Repeat("u", maxCredentials-entity.KeyLength-8), secret),
	} {
		key, ok := ParseBasic(header)
		require.True(t, ok, name)
		require.Len(t, key.Key, entity.KeyLength, name)
	}
	for name, header := range map[string]string{
		"nothing":           "",
		"only the scheme":   "Basic ",
		"another scheme":    "Bearer " + basic("u", secret)[6:],
		"no base64":         "Basic !!!!",
		"no padding":        strings.TrimRight(basic("uu", secret), "="),
		"no colon":          "Basic " + base64.StdEncoding.EncodeToString([]byte("u"+secret)),
		"no uuid":           basic("", secret),
		"a short key":       basic("u", secret[1:]),
		"a long key":        basic("u", secret+"k"),
		"far too long":      basic(strings.Repeat("u", 1000), secret),
		"two values in one": basic("u", secret) + ", " + basic("u", secret),
	} {
		_, ok := ParseBasic(header)
		require.False(t, ok, name)
	}
}

func FuzzParseBasic(f *testing.F) {
	for _, seed := range []string{"", "Basic", "Basic ", "basic eA==", basic("u", secret), basic("", ""), "Basic \x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		key, ok := ParseBasic(header)
		if !ok {
			require.Zero(t, key)
			return
		}
		require.NotEmpty(t, key.UUID)
		require.Len(t, key.Key, entity.KeyLength)
		again, ok := ParseBasic(basic(key.UUID, key.Key))
		require.True(t, ok)
		require.Equal(t, key, again)
	})
}

// subjects is a store of identities that counts who asks.
type subjects struct {
	mu    sync.Mutex
	known map[string]*entity.Identity // guarded by mu
	err   error                       // guarded by mu
	reads int                         // guarded by mu
}

func (s *subjects) IdentityByUUID(_ context.Context, uuid string) (*entity.Identity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.err != nil {
		return nil, s.err
	}
	if id := s.known[uuid]; id != nil {
		return id, nil
	}
	return nil, store.ErrNotFound
}

func (s *subjects) Identities(_ context.Context, namespace string, limit int) ([]*entity.Identity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	var list []*entity.Identity
	for _, id := range s.known {
		if id.Namespace == namespace && len(list) < limit {
			list = append(list, id)
		}
	}
	return list, s.err
}

func authenticator(t *testing.T, s Subjects) *Authenticator {
	a, err := New(s, time.Hour, 100)
	require.NoError(t, err)
	t.Cleanup(a.Close)
	return a
}

func TestAuthenticate(t *testing.T) {
	alice := &entity.Identity{Subject: "alice", Namespace: "ns", Key: entity.AuthKey{UUID: "u", Key: secret}}
	s := &subjects{known: map[string]*entity.Identity{"u": alice}}
	a := authenticator(t, s)

	for range 3 {
		id, err := a.Authenticate(t.Context(), basic("u", secret))
		require.NoError(t, err)
		require.Same(t, alice, id)
	}
	require.Equal(t, 1, s.reads, "identities are remembered")

	_, err := a.Authenticate(t.Context(), "")
	require.ErrorIs(t, err, ErrMissing)
	for _, header := range []string{"Basic x", basic("u", strings.Repeat("x", 64)), basic("v", secret)} {
		_, err := a.Authenticate(t.Context(), header)
		require.ErrorIs(t, err, ErrInvalid, header)
	}
}

func TestUnknownKeysAreNotRemembered(t *testing.T) {
	s := &subjects{known: map[string]*entity.Identity{}}
	a := authenticator(t, s)
	_, err := a.Authenticate(t.Context(), basic("u", secret))
	require.ErrorIs(t, err, ErrInvalid)
	s.known["u"] = &entity.Identity{Namespace: "ns", Key: entity.AuthKey{UUID: "u", Key: secret}}
	_, err = a.Authenticate(t.Context(), basic("u", secret))
	require.NoError(t, err)
}

func TestForgetMakesChangesSeen(t *testing.T) {
	s := &subjects{known: map[string]*entity.Identity{"u": {Namespace: "ns", Key: entity.AuthKey{UUID: "u", Key: secret}}}}
	a := authenticator(t, s)
	_, err := a.Authenticate(t.Context(), basic("u", secret))
	require.NoError(t, err)
	delete(s.known, "u")
	a.Forget()
	_, err = a.Authenticate(t.Context(), basic("u", secret))
	require.ErrorIs(t, err, ErrInvalid)
}

// heldSubjects are read, and come when they may.
type heldSubjects struct {
	Subjects
	read, proceed chan struct{}
}

func (s *heldSubjects) IdentityByUUID(ctx context.Context, uuid string) (*entity.Identity, error) {
	id, err := s.Subjects.IdentityByUUID(ctx, uuid)
	s.read <- struct{}{}
	<-s.proceed
	return id, err
}

func TestWhatWasReadBeforeAForgetIsNotRemembered(t *testing.T) {
	known := &subjects{known: map[string]*entity.Identity{"u": {Namespace: "ns", Key: entity.AuthKey{UUID: "u", Key: secret}}}}
	s := &heldSubjects{known, make(chan struct{}), make(chan struct{})}
	a := authenticator(t, s)
	first, second := make(chan error), make(chan error)
	authenticate := func(answer chan error) {
		_, err := a.Authenticate(context.Background(), basic("u", secret))
		answer <- err
	}
	go authenticate(first)
	<-s.read
	delete(known.known, "u") // the key was revoked
	a.Forget()
	close(s.proceed)
	require.NoError(t, <-first, "it asked before")
	go authenticate(second)
	<-s.read
	require.ErrorIs(t, <-second, ErrInvalid)
}

func TestAFailingStoreIsNotTheClientsFault(t *testing.T) {
	broken := errors.New("disk on fire")
	a := authenticator(t, &subjects{err: broken})
	_, err := a.Authenticate(t.Context(), basic("u", secret))
	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, ErrInvalid)
}

// slowSubjects answers once the gate opens, if the look-up is still wanted.
type slowSubjects struct {
	entered, gate chan struct{}
	once          sync.Once
}

func (s *slowSubjects) IdentityByUUID(ctx context.Context, uuid string) (*entity.Identity, error) {
	s.once.Do(func() { close(s.entered) })
	select {
	case <-s.gate:
		return &entity.Identity{Key: entity.AuthKey{UUID: uuid, Key: secret}}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *slowSubjects) Identities(ctx context.Context, namespace string, _ int) ([]*entity.Identity, error) {
	id, err := s.IdentityByUUID(ctx, namespace)
	return []*entity.Identity{id}, err
}

func TestAClientThatLeavesDoesNotSpoilTheLookupOfOthers(t *testing.T) {
	s := &slowSubjects{entered: make(chan struct{}), gate: make(chan struct{})}
	a := authenticator(t, s)
	leaving, leave := context.WithCancel(t.Context())
	var both sync.WaitGroup
	both.Go(func() { _, _ = a.Authenticate(leaving, basic("u", secret)) })
	<-s.entered
	both.Go(func() {
		_, err := a.Authenticate(t.Context(), basic("u", secret))
		if err != nil {
			t.Errorf("who stayed was refused: %v", err)
		}
	})
	leave()
	close(s.gate)
	both.Wait()
}
