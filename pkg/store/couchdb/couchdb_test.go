package couchdb

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store/storetest"
	"github.com/gowhisk/gowhisk/test/harness"
)

// urlVariable names a real CouchDB to run the tests on as well, with
// http://user:password@host:port.
const urlVariable = "COUCHDB_URL"

// servers are the databases' servers that the tests run on.
func servers(t *testing.T) map[string]Config {
	t.Helper()
	all := map[string]Config{"Protocol": {URL: harness.StartCouchDB(t).URL()}}
	if real := os.Getenv(urlVariable); real != "" {
		cfg := Config{URL: real}
		if scheme, rest, ok := strings.Cut(real, "://"); ok && strings.Contains(rest, "@") {
			credentials, host, _ := strings.Cut(rest, "@")
			user, password, _ := strings.Cut(credentials, ":")
			file := t.TempDir() + "/password"
			require.NoError(t, os.WriteFile(file, []byte(password), 0o600))
			cfg = Config{URL: scheme + "://" + host, User: user, PasswordFile: file}
		}
		all["Real"] = cfg
	}
	return all
}

// fresh opens databases of their own on a server.
func fresh(t *testing.T, cfg Config) *DB {
	t.Helper()
	cfg.Prefix = "t" + string(entity.NewActivationID())[:10] + "_"
	_, err := Init(t.Context(), cfg)
	require.NoError(t, err)
	db, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.Background()
		for _, d := range db.databases() {
			_ = db.client.DestroyDB(ctx, d.Name()) // the server's memory is gone with it
		}
		require.NoError(t, db.Close())
	})
	return db
}

func stores(db *DB) storetest.Stores {
	return storetest.Stores{Entities: db.Entities(), Activations: db.Activations(), Subjects: db.Subjects(), Deliveries: db.Deliveries()}
}

func TestStores(t *testing.T) {
	for name, cfg := range servers(t) {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Stores { return stores(fresh(t, cfg)) })
		})
	}
}
