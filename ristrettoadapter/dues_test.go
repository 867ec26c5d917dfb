package ristrettoadapter

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// model is dues as its keys would have it: each with the tick that its latest entry
// is over in.
type model map[int]int64

// dues against a plain map: a key is looked at in its tick or up to a 64th of the
// way before it, then listed again, and never later.
func TestDuesAgainstMap(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var d dues[int]
		want := model{}
		for now := int64(0); now < 2000; now += rnd.Int64N(3) {
			for range rnd.IntN(10) {
				key := rnd.IntN(40)
				if rnd.IntN(4) == 0 {
					d.forget(key)
					delete(want, key)
					continue
				}
				at := now + 1 + rnd.Int64N(1+rnd.Int64N(1000))
				if _, ok := want[key]; ok {
					d.forget(key)
				}
				d.list(key, now, at)
				want[key] = at
			}
			want.sweep(t, &d, now)
			if d.voided() {
				all := d.takeAll()
				thin(all, func(key int) bool { _, ok := want[key]; return ok })
				d.putBack(all)
				if d.count > len(want) {
					t.Fatalf("seed %d, tick %d: %d listings for %d keys after a look through", seed, now, d.count, len(want))
				}
			}
			if limit := 2*len(want) + least; d.count > 2*limit {
				t.Fatalf("seed %d, tick %d: %d listings for %d keys", seed, now, d.count, len(want))
			}
		}
	}
}

// sweep takes what is due, drops the keys that are over and lists the others again.
func (want model) sweep(t *testing.T, d *dues[int], now int64) {
	t.Helper()
	again := map[int]int64{}
	for _, key := range d.take(now) {
		switch at, ok := want[key]; {
		case !ok:
		case at > now:
			again[key] = at
		default:
			delete(want, key)
		}
	}
	for key, at := range again {
		d.list(key, now, at)
	}
	for key, at := range want {
		if at <= now {
			t.Fatalf("tick %d: key %d was not taken, due at %d", now, key, at)
		}
	}
	if at, ok := d.next(); ok && at <= now || !ok && len(want) > 0 {
		t.Fatalf("tick %d: the next tick is %d, %v, of %v", now, at, ok, want)
	}
}

// A look through keeps of each key the soonest listing, which leads to the others.
func TestDuesThin(t *testing.T) {
	var d dues[string]
	for at, keys := range map[int64][]string{3: {"a", "b", "a"}, 5: {"a", "c", "gone"}, 7: {"gone", "b"}} {
		for _, key := range keys {
			d.list(key, 0, at)
		}
	}
	all := d.takeAll()
	thin(all, func(key string) bool { return key != "gone" })
	d.list("later", 0, 5)
	d.putBack(all)
	for at, want := range [][]string{3: {"a", "b"}, 5: {"c", "later"}, 7: nil} {
		if due := slices.Sorted(slices.Values(d.take(int64(at)))); !slices.Equal(due, want) {
			t.Errorf("in tick %d are due %v, want %v", at, due, want)
		}
	}
	if d.count != 0 || d.listed != nil {
		t.Errorf("%d listings are left, want none", d.count)
	}
}

// Keys whose ends are spread over a day do not take a list each.
func TestDuesFarAway(t *testing.T) {
	const day = 24 * 60 * 60
	var d dues[int]
	for key := range day {
		d.list(key, 0, int64(key))
	}
	if lists := len(d.listed); lists > 1000 {
		t.Errorf("%d lists for the ends of a day", lists)
	}
	for now := range int64(day) {
		for _, key := range d.take(now) {
			if early := int64(key) - now; early < 0 || early > int64(key)/64 {
				t.Fatalf("key %d is looked at in tick %d", key, now)
			}
		}
	}
}

func TestDuesGiveMemoryBack(t *testing.T) {
	var d dues[int]
	for key := range 100_000 {
		d.list(key, 0, 1)
	}
	if due := d.take(1); len(due) != 100_000 {
		t.Fatalf("%d keys are due", len(due))
	}
	if d.listed != nil || d.crowded() {
		t.Error("maps are kept for no key")
	}
}

// Those that are looked at for all are of every age: the latest are there for certain,
// also in a cache that has evicted everything before them.
func TestDuesSample(t *testing.T) {
	const keys, n = 10_000, 64
	var d dues[int]
	for key := range keys {
		d.list(key, 0, int64(100_000+key/(keys/2))) // in one tick or two
	}
	sample := d.sample(n)
	if len(sample) > n || len(sample) < n/2 {
		t.Fatalf("%d keys of %d, want up to %d", len(sample), keys, n)
	}
	slices.Sort(sample)
	for i, key := range sample {
		if i > 0 && key == sample[i-1] {
			t.Errorf("key %d is looked at twice", key)
		}
		if part := keys / len(sample); key < (i-1)*part || key > (i+2)*part {
			t.Errorf("the sample is not spread over the keys: %v", sample)
			break
		}
	}
}
