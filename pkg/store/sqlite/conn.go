package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	driverpkg "modernc.org/sqlite"
)

// conn is one connection with its prepared statements. It has one user at a time.
//
// It speaks to the driver without database/sql between: the pool, the
// reflection and the locks of that package cost more than a small statement
// (BenchmarkRecord).
type conn struct {
	raw        rawConn
	statements map[string]statement
	// args is reused by every statement: the driver copies what it binds.
	args []driver.NamedValue
}

// rawConn is what the driver's connections can do.
type rawConn interface {
	driver.Conn
	driver.ConnPrepareContext
}

type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// connect opens a connection to the data source and runs the pragmas.
func connect(source string, pragmas ...string) (*conn, error) {
	connector, err := driverpkg.NewConnector(source)
	if err != nil {
		return nil, err
	}
	opened, err := connector.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	raw, ok := opened.(rawConn)
	if !ok {
		_ = opened.Close()
		return nil, fmt.Errorf("the SQLite driver's %T cannot prepare statements", opened)
	}
	c := &conn{raw: raw, statements: make(map[string]statement)}
	for _, p := range pragmas {
		if err := c.run("PRAGMA " + p); err != nil {
			c.close()
			return nil, fmt.Errorf("PRAGMA %s: %w", p, err)
		}
	}
	return c, nil
}

func (c *conn) close() {
	for _, s := range c.statements {
		_ = s.Close()
	}
	_ = c.raw.Close()
}

// prepare returns the statement for query, made once per connection. Queries
// are constants of this program, so the set is small.
func (c *conn) prepare(query string) (statement, error) {
	if s, ok := c.statements[query]; ok {
		return s, nil
	}
	prepared, err := c.raw.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", firstWords(query), err)
	}
	s, ok := prepared.(statement)
	if !ok {
		_ = prepared.Close()
		return nil, fmt.Errorf("the SQLite driver's %T lacks contexts", prepared)
	}
	c.statements[query] = s
	return s, nil
}

// run executes one statement that is not worth keeping.
func (c *conn) run(query string) error {
	s, err := c.raw.PrepareContext(context.Background(), query)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.(driver.StmtExecContext).ExecContext(context.Background(), nil)
	return err
}

// exec runs a statement and returns how many rows it changed; that number means
// something for INSERT, UPDATE and DELETE only.
func (c *conn) exec(query string, args ...any) (int64, error) {
	result, err := c.execute(query, args)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// insert runs an INSERT and returns how many rows it made, and the key of the last.
func (c *conn) insert(query string, args ...any) (rows, key int64, err error) {
	result, err := c.execute(query, args)
	if err != nil {
		return 0, 0, err
	}
	if rows, err = result.RowsAffected(); err != nil {
		return 0, 0, err
	}
	key, err = result.LastInsertId()
	return rows, key, err
}

func (c *conn) execute(query string, args []any) (driver.Result, error) {
	s, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(context.Background(), c.bind(args))
}

// query runs a statement and calls each for every row. A context that can end
// costs a goroutine, so point look-ups pass one that cannot.
func (c *conn) query(ctx context.Context, query string, each func(*Row) error, args ...any) (err error) {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, c.bind(args))
	if err != nil {
		return err
	}
	defer func() {
		if e := rows.Close(); err == nil {
			err = e
		}
	}()
	row := Row{columns: make([]driver.Value, len(rows.Columns()))}
	for {
		if err := rows.Next(row.columns); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := each(&row); err != nil {
			return err
		}
		// The driver interrupts the search for the first row only.
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (c *conn) bind(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		switch v := a.(type) {
		case int:
			a = int64(v)
		case *int64:
			a = nil
			if v != nil {
				a = *v
			}
		}
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

// Row is the current row of a query. Its values are the caller's to keep.
type Row struct{ columns []driver.Value }

// Int64 returns an integer column; NULL is 0.
func (r *Row) Int64(i int) int64 {
	n, _ := r.columns[i].(int64)
	return n
}

// OptionalInt64 returns an integer column; NULL is nil.
func (r *Row) OptionalInt64(i int) *int64 {
	if n, ok := r.columns[i].(int64); ok {
		return &n
	}
	return nil
}

// String returns a text or blob column; NULL is "".
func (r *Row) String(i int) string {
	switch v := r.columns[i].(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// Bytes returns a blob or text column; NULL and the empty blob are nil.
func (r *Row) Bytes(i int) []byte {
	switch v := r.columns[i].(type) {
	case []byte:
		return v
	case string:
		return []byte(v)
	}
	return nil
}

// IsNull reports whether the column is NULL.
func (r *Row) IsNull(i int) bool { return r.columns[i] == nil }

const busyTimeout = 5 * time.Second

// firstWords shortens a query for error messages.
func firstWords(query string) string {
	words := strings.Fields(query)
	return strings.Join(words[:min(len(words), 6)], " ")
}
