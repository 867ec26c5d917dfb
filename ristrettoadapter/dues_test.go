package ristrettoadapter

import (
	"maps"
	"math/rand/v2"
	"testing"
)

// dues against a plain map, which is looked through for each tick.
func TestDuesAgainstMap(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var d dues[int]
		want := map[int]int64{}
		for now := int64(0); now < 400; now += rnd.Int64N(3) {
			for range rnd.IntN(10) {
				key := rnd.IntN(40)
				if rnd.IntN(4) == 0 {
					d.forget(key)
					delete(want, key)
					continue
				}
				at := now + 1 + rnd.Int64N(1+rnd.Int64N(100))
				d.watch(key, at)
				want[key] = at
			}
			takeAll(t, &d, want, now, rnd)
			if !maps.Equal(d.at, want) {
				t.Fatalf("seed %d, tick %d: %v, want %v", seed, now, d.at, want)
			}
			if limit := 2*len(d.at) + 65; d.count > limit {
				t.Fatalf("seed %d, tick %d: %d listings for %d keys", seed, now, d.count, len(d.at))
			}
		}
	}
}

// takeAll takes what is due, forgets two of three keys and postpones the rest.
func takeAll(t *testing.T, d *dues[int], want map[int]int64, now int64, rnd *rand.Rand) {
	t.Helper()
	before := maps.Clone(want)
	for _, key := range d.take(now) {
		_, ok := want[key]
		if at := before[key]; at > now {
			t.Fatalf("tick %d: key %d was taken, due at %d", now, key, at)
		}
		if rnd.IntN(3) == 0 && ok {
			d.postpone(key, now)
			want[key] = now + 1
			continue
		}
		d.forget(key)
		delete(want, key)
	}
	for key, at := range want {
		if at <= now {
			t.Fatalf("tick %d: key %d was not taken, due at %d", now, key, at)
		}
	}
	d.shrink()
	if at, ok := d.next(); ok && at <= now || !ok && len(want) > 0 {
		t.Fatalf("tick %d: the next tick is %d, %v, of %v", now, at, ok, want)
	}
}

// A key that gets a new entry every second, each kept for an hour, has one
// valid listing and a bounded number of void ones.
func TestDuesOfAHotKey(t *testing.T) {
	var d dues[string]
	for now := range int64(10_000) {
		d.watch("hot", now+3600)
		if due := d.take(now); len(due) != 0 {
			t.Fatalf("tick %d: %v is due", now, due)
		}
		if d.count > 67 {
			t.Fatalf("tick %d: %d listings for one key", now, d.count)
		}
	}
}

func TestDuesGiveMemoryBack(t *testing.T) {
	var d dues[int]
	for key := range 100_000 {
		d.watch(key, 1)
	}
	for _, key := range d.take(1) {
		d.forget(key)
	}
	d.shrink()
	if d.at != nil || d.listed != nil || d.crowded() {
		t.Error("maps are kept for no key")
	}
}
