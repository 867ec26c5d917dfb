package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	_ "modernc.org/sqlite"
)

// User is a row.
type User struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// store is the source: a SQLite database whose answers come late, as those of a
// busy or distant one do.
type store struct {
	db      *sql.DB
	delay   time.Duration
	queries atomic.Int64 // of single users
}

const schema = `
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO users
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 1000)
	SELECT i, 'user ' || i FROM n`

// openStore makes a database at path with users 1 to 1000.
func openStore(ctx context.Context, path string, delay time.Duration) (*store, error) {
	pragmas := url.Values{"_pragma": {"journal_mode(WAL)", "busy_timeout(5000)"}}
	db, err := sql.Open("sqlite", path+"?"+pragmas.Encode())
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("seeding %s: %w", path, err), db.Close())
	}
	return &store{db: db, delay: delay}, nil
}

// user is the load: it says ErrNotFound in the Loader's words, so that absence
// can be cached.
func (s *store) user(ctx context.Context, id int64) (User, error) {
	s.queries.Add(1)
	u := User{ID: id}
	err := s.db.QueryRowContext(ctx, "SELECT name FROM users WHERE id = ?", id).Scan(&u.Name)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("user %d: %w", id, corral.ErrNotFound)
	}
	if err := s.answer(ctx); err != nil {
		return User{}, err
	}
	return u, err
}

// put writes u. After an error it may have been written all the same.
func (s *store) put(ctx context.Context, u User) error {
	_, err := s.db.ExecContext(ctx,
		"INSERT INTO users (id, name) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name", u.ID, u.Name)
	if err != nil {
		return err
	}
	return s.answer(ctx)
}

// answer waits until the answer is there.
func (s *store) answer(ctx context.Context) error {
	timer := time.NewTimer(s.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
