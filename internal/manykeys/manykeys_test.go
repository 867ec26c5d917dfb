package manykeys_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/manykeys"
)

var errBroken = errors.New("broken")

func TestOf(t *testing.T) {
	named := &corral.KeyErrors[string]{Errors: map[string]error{"a": errBroken}}
	joined := errors.Join(named, errors.New("the connection broke"))
	wrapped := fmt.Errorf("store: %w", named)
	for _, c := range []struct {
		name      string
		err       error
		a, b      error
		ofSomeWas bool
	}{
		{"none", nil, nil, nil, true},
		{"of all", errBroken, errBroken, errBroken, false},
		{"of one", named, errBroken, nil, true},
		{"joined with another", joined, errBroken, joined, false},
		{"wrapped", wrapped, errBroken, wrapped, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a, b := manykeys.Of(c.err, "a"), manykeys.Of(c.err, "b"); a != c.a || b != c.b {
				t.Errorf("of a %v and of b %v, want %v and %v", a, b, c.a, c.b)
			}
			if some := manykeys.Partial[string](c.err); some != c.ofSomeWas {
				t.Errorf("Partial is %v", some)
			}
		})
	}
}

func TestInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := make([]int, 40)
		for i := range keys {
			keys[i] = i
		}
		exited := errors.New("exited")
		var running, most atomic.Int64
		err := manykeys.InTurns(keys, "the store", exited, func(i int) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			time.Sleep(time.Second)
			switch i {
			case 1:
				return errBroken
			case 2:
				panic("boom")
			case 3:
				runtime.Goexit()
			}
			return nil
		})
		var failed *corral.KeyErrors[int]
		if !errors.As(err, &failed) || len(failed.Errors) != 3 || failed.Errors[1] != errBroken || failed.Errors[3] != exited {
			t.Errorf("err = %v", err)
		}
		if most.Load() != 16 {
			t.Errorf("%d at once, want 16", most.Load())
		}
	})
}

func TestFit(t *testing.T) {
	if err := manykeys.Fit("pkg", 2, "entries", 2); err != nil {
		t.Error(err)
	}
	if err := manykeys.Fit("pkg", 2, "entries", 3); err == nil || err.Error() != "pkg: 3 entries for 2 keys: want as many" {
		t.Errorf("err = %v", err)
	}
}
