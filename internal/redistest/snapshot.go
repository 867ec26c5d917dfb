package redistest

import (
	"context"
	"os"
	"path/filepath"
)

// Snapshot returns what the server holds, as it would write it to its disk.
func (s *Server) Snapshot() []byte {
	s.t.Helper()
	s.Do("SAVE")
	at := s.Do("CONFIG", "GET", "dir").(map[any]any)
	rdb, err := os.ReadFile(filepath.Join(at["dir"].(string), "dump.rdb"))
	if err != nil {
		s.t.Fatal(err)
	}
	return rdb
}

// RestartWith starts the server again, at the address that it had, with what it held
// when rdb was made.
func (s *Server) RestartWith(rdb []byte) {
	s.t.Helper()
	s.Kill()
	was := s.setup
	defer func() { s.setup = was }()
	s.setup = func(dir, addr string) ([]string, error) {
		if err := os.WriteFile(filepath.Join(dir, "dump.rdb"), rdb, 0o600); err != nil {
			return nil, err
		}
		return was(dir, addr)
	}
	if err := Until(context.Background(), func(context.Context) error { return s.run() }); err != nil {
		s.t.Fatal(err)
	}
}
