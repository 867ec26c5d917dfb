package scenario

import (
	"bytes"
	"context"
	"errors"

	"github.com/corralcache/corral/bench/internal/contender"
	"github.com/corralcache/corral/bench/internal/redisd"
)

// Wire returns how many bytes an entry of Corral's has on the server besides its
// value.
func Wire(s *redisd.Server) (int64, error) {
	if err := s.Empty(); err != nil {
		return 0, err
	}
	c, _ := contender.Named(ownRedis)
	f, err := c.Far(contender.FarOptions{Addr: s.Addr, Dial: new(redisd.Wire).Dial})
	if err != nil {
		return 0, err
	}
	defer f.Close()
	const size = 100
	if err := f.Put(context.Background(), "wire", bytes.Repeat([]byte("v"), size)); err != nil {
		return 0, err
	}
	keys, err := s.Keys()
	if err != nil {
		return 0, err
	}
	if len(keys) != 1 {
		return 0, errors.New("one entry is not one key")
	}
	n, err := s.Size(keys[0])
	return n - size, err
}
