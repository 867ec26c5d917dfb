package corral_test

import (
	"errors"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// The record that there is no value is stored like a value, and is described
// like one.
func TestResultOfAnAbsentKey(t *testing.T) {
	opts := corral.Options{TTL: time.Minute, AbsentTTL: 10 * time.Second}
	forgets := corral.Options{TTL: time.Minute}
	cases := []struct {
		name   string
		loader func(t *testing.T) *corral.Loader[string, int]
		want   []string
	}{
		{"near", func(t *testing.T) *corral.Loader[string, int] { return memLoader(t, opts) },
			[]string{"corral; fwd=uri-miss; stored; ttl=10", "corral; hit; ttl=9"}},
		{"far", func(t *testing.T) *corral.Loader[string, int] { return newLoader[string, int](t, newFar(), opts) },
			[]string{"corral; fwd=uri-miss; stored; ttl=10", "corral; hit; ttl=9"}},
		{"AbsentTTL zero", func(t *testing.T) *corral.Loader[string, int] { return memLoader(t, forgets) },
			[]string{"corral; fwd=uri-miss", "corral; fwd=uri-miss"}},
		{"bare values cannot say it", func(t *testing.T) *corral.Loader[string, int] {
			return newLoader[string, int](t, memadapter.Plain[string, int](), opts)
		}, []string{"corral; fwd=uri-miss", "corral; fwd=uri-miss"}},
	}
	for _, tc := range cases {
		bubble(t, tc.name, func(t *testing.T) {
			l := tc.loader(t)
			var s source
			s.fail(corral.ErrNotFound)
			for _, want := range tc.want {
				r, err := l.Lookup(t.Context(), "k", s.load)
				if got := r.CacheStatus(); got != want || !errors.Is(err, corral.ErrNotFound) {
					t.Errorf("got %q, %v; want %q, ErrNotFound", got, err, want)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
}

func TestResultOfACallWithoutAValue(t *testing.T) {
	bubble(t, "a load that failed", func(t *testing.T) {
		l := memLoader(t, corral.Options{TTL: time.Minute})
		var s source
		s.fail(errSource)
		r, _ := l.Lookup(t.Context(), "k", s.load)
		if got, want := r.CacheStatus(), "corral; fwd=uri-miss"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if times := l.Stats().LoadTimes; times.Counts[0] != 1 {
			t.Errorf("LoadTimes are %v, want the failed load among them", times)
		}
	})
}
