package redisfleet_test

import (
	"testing"
	"time"

	"github.com/corralcache/corral/redisadapter/redisfleet"
	"github.com/corralcache/corral/sharded/fleet"
)

// Pins count what was done by them, and what came of it.
func TestPins_Stats(t *testing.T) {
	m, _, client := mini(t)
	p := pins(t, client, redisfleet.PinOptions[string]{Life: time.Minute})
	get := func(key string) {
		_, _, err := p.Get(t.Context(), key)
		must(t, err)
	}
	getOrPin := func(key, shard string) {
		_, _, err := p.GetOrPin(t.Context(), key, shard)
		must(t, err)
	}
	tryPin := func(key, old, new string) {
		_, _, err := p.TryPin(t.Context(), key, old, new)
		must(t, err)
	}
	unpin := func(key, old string) {
		_, err := p.Unpin(t.Context(), key, old)
		must(t, err)
	}
	get("k")              // a miss
	getOrPin("k", "a")    // a miss, and a pin
	getOrPin("k", "b")    // a hit
	get("k")              // a hit
	tryPin("k", "a", "b") // moved
	tryPin("k", "a", "c") // too late
	tryPin("k", "b", "b") // its life begins anew
	tryPin("l", "", "a")  // a pin
	unpin("k", "a")       // it is not there
	unpin("k", "b")
	want := fleet.PinStats{Hits: 2, Misses: 2, Pinned: 2, Moved: 1, Unpinned: 1}
	if got := p.Stats(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	m.SetError("down")
	if _, _, err := p.Get(t.Context(), "k"); err == nil || p.Stats() != want {
		t.Errorf("error %v; a call that fails counts: %+v", err, p.Stats())
	}
	m.SetError("")
}
