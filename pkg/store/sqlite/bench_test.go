package sqlite_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

// kilobyte is a record of about 1 KB.
func kilobyte(start int64) *entity.Activation {
	duration := int64(3)
	return &entity.Activation{
		Namespace: "guest", Name: "hello", Version: entity.FirstVersion, Subject: "guest", ActivationID: entity.NewActivationID(),
		Start: start, End: start + 3, Duration: &duration,
		Response: entity.Response{Result: json.RawMessage(`{"payload":"` + strings.Repeat("x", 500) + `"}`)},
		Logs:     []string{"2026-01-01T00:00:00.000000000Z     stdout: hello"},
		Annotations: entity.Parameters{
			{Key: "path", Value: json.RawMessage(`"guest/hello"`)}, {Key: "kind", Value: json.RawMessage(`"nodejs:20"`)},
			{Key: "limits", Value: json.RawMessage(`{"timeout":60000,"memory":256,"logs":10,"concurrency":1}`)},
		},
	}
}

// BenchmarkRecord: durable records of 1 KB.
func BenchmarkRecord(b *testing.B) {
	for _, synchronous := range []sqlite.Synchronous{sqlite.Normal, sqlite.Full} {
		for _, writers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/writers=%d", synchronous, writers), func(b *testing.B) {
				s := open(b, sqlite.Options{Synchronous: synchronous}).Activations()
				b.ReportAllocs()
				b.ResetTimer()
				var g errgroup.Group
				for w := range writers {
					g.Go(func() error {
						for i := w; i < b.N; i += writers {
							if _, err := s.Record(context.Background(), kilobyte(int64(i))); err != nil {
								return err
							}
						}
						return nil
					})
				}
				require.NoError(b, g.Wait())
			})
		}
	}
}

// BenchmarkListPage: a page of 30 out of 100,000 records; what is skipped is
// passed in an index.
func BenchmarkListPage(b *testing.B) {
	const records = 100_000
	s := open(b, sqlite.Options{}).Activations()
	var g errgroup.Group
	for w := range 64 {
		g.Go(func() error {
			for i := w; i < records; i += 64 {
				if _, err := s.Record(context.Background(), kilobyte(int64(i))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(b, g.Wait())
	for _, name := range []string{"", "hello"} {
		for _, skip := range []int{0, 90_000} {
			b.Run(fmt.Sprintf("name=%s/skip=%d", name, skip), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					list, err := s.List(context.Background(), store.ActivationQuery{Namespace: "guest", Name: name, Skip: skip, Limit: 30})
					require.NoError(b, err)
					require.Len(b, list, 30)
				}
			})
		}
	}
}

// BenchmarkIdentity: what authentication reads when no cache knows the key.
func BenchmarkIdentity(b *testing.B) {
	s := open(b, sqlite.Options{}).Subjects()
	key := entity.NewAuthKey()
	require.NoError(b, s.PutSubject(context.Background(), &entity.Subject{Name: "alice", Namespaces: []entity.SubjectNamespace{{Name: "alice", AuthKey: key}}}))
	b.ReportAllocs()
	for b.Loop() {
		_, err := s.IdentityByUUID(context.Background(), key.UUID)
		require.NoError(b, err)
	}
}
