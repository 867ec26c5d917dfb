package stampede

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/corralcache/corral"
)

// The show does not begin if -redis leads nowhere.
func TestRedisUnreachable(t *testing.T) {
	refused := errors.New("connection refused")
	var out bytes.Buffer
	s := &show{options: options{redis: "here:1"}, out: &out, open: openPipe,
		openRedis: func(string) (corral.Cache[string, Row], func(), error) { return nil, nil, refused },
	}
	if err := s.run(t.Context()); !errors.Is(err, refused) || !strings.Contains(err.Error(), "-redis here:1") {
		t.Errorf("error %v, want one that names -redis here:1", err)
	}
	if out.Len() > 0 {
		t.Errorf("the show began:\n%s", out.String())
	}
}

// With -redis, the Loader's cache is the one at its address.
func TestRedisCache(t *testing.T) {
	opened, closed := "", false
	s := &show{options: options{redis: "here:1"},
		openRedis: func(address string) (corral.Cache[string, Row], func(), error) {
			cache, closing, err := openRistretto()
			opened = address
			return cache, func() { closed = true; closing() }, err
		},
	}
	set, err := s.performer("Corral").make(func(context.Context, string) (Row, error) { return Row{Version: 3}, nil })
	if err != nil {
		t.Fatal(err)
	}
	if v, err := set.get(t.Context(), "key"); v.Version != 3 || err != nil {
		t.Errorf("get = %+v, %v", v, err)
	}
	if loads, err := set.stop(t.Context()); loads != 1 || err != nil {
		t.Errorf("stop = %d, %v", loads, err)
	}
	if opened != "here:1" || !closed {
		t.Errorf("opened %q, closed %v", opened, closed)
	}
}
