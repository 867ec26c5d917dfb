package adaptertest

import (
	"fmt"
	"time"

	"github.com/corralcache/corral"
)

// entryClauses are about what comes back.
func entryClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "miss",
			rule:  "Get of a key that is not there returns nil and nil.",
			why:   "An error makes every cold key look like an outage: it is counted, reported, and soon the cache is left alone. An entry is served as a value that nobody stored.",
			cause: "The store's own not-found error (redis.Nil, ErrCacheMiss) is passed on, or a zero value is wrapped into an entry without asking whether it was found.",
			check: checkMiss[K, V],
		},
		{
			name:  "set-then-get",
			rule:  "After Set returned nil (and Settle, if the cache has it), Get finds the entry with every field as it was.",
			why:   "A Set that is lost makes each caller load again. A TTL, LoadedAt or LoadTime that changed on the way moves the end of freshness, so that entries live too long or are loaded too often.",
			cause: "A field left out of the encoding; a duration cut to seconds; a store that buffers writes without a Settle method.",
			check: checkRoundTrip[K, V],
		},
		{
			name:  "monotonic-clock",
			rule:  "A cache of Granularity zero hands out LoadedAt with the monotonic clock that it came with.",
			why:   "Without it, a step of the wall clock makes every entry expire at once, or fresh again.",
			cause: "A time that was rounded, moved to another location with UTC, or rebuilt from its nanoseconds. A store of bytes cannot do better and says so with a Granularity.",
			when:  func(cfg *Config[K, V]) bool { return !cfg.Plain && cfg.Granularity == 0 },
			check: checkMonotonic[K, V],
		},
		{
			name:  "unknown-age",
			rule:  "An entry with a zero LoadedAt is kept for Keep from Set and comes back with a zero LoadedAt.",
			why:   "The zero time says that nobody knows how old the value is, so that it counts as stale. As a date it would be fresh, or be over before it was stored.",
			cause: "The zero time turned into nanoseconds since 1970, which overflows, or the age taken of it.",
			when:  whole[K, V],
			check: checkUnknownAge[K, V],
		},
		{
			name:  "absent",
			rule:  "An absent entry comes back as absent, replaces a value and is replaced by one. A cache of plain values deletes the key instead.",
			why:   "Without the flag, a key that the source does not have is served as a zero value; or the source is asked for it on every call.",
			cause: "Absent left out of the encoding, or stored as a reserved or a zero value.",
			check: checkAbsent[K, V],
		},
		{
			name:  "shared-entry",
			rule:  "Nobody writes to an entry after it was handed over: not to the one given to Set, not to one returned by Get.",
			why:   "Entries are shared by every caller without a lock. One that changes is a data race, and one caller sees another's value.",
			cause: "Fields normalised in place in Set; a buffer or a pooled entry used again by the next Get; []byte that points into the store's own memory.",
			check: checkShared[K, V],
		},
	}
}

func checkMiss[K comparable, V any](p *probe[K, V]) {
	p.wantMiss(p.Key(0), "of an empty cache")
	p.put(p.Key(1), p.entry(1))
	p.wantMiss(p.Key(0), "beside another key")
}

func checkRoundTrip[K comparable, V any](p *probe[K, V]) {
	entries := make([]*corral.Entry[V], 50)
	for n := range entries {
		entries[n] = p.entry(n)
		p.put(p.Key(n), entries[n])
		p.want(p.Key(n), entries[n], "right after Set")
	}
	p.sleep(1100 * time.Millisecond)
	for n, e := range entries {
		p.want(p.Key(n), e, "1.1s after Set")
	}
}

// checkMonotonic takes a time from outside the bubble: inside, there is no
// monotonic clock. The entry seems to come from the future.
func checkMonotonic[K comparable, V any](p *probe[K, V]) {
	e := p.entry(0)
	e.LoadedAt = p.outside
	p.put(p.Key(0), e)
	p.want(p.Key(0), e, "right after Set")
}

func checkUnknownAge[K comparable, V any](p *probe[K, V]) {
	e := p.lasting(1, p.life())
	e.LoadedAt = time.Time{}
	p.follow(p.Key(1), e, time.Now())
}

func checkAbsent[K comparable, V any](p *probe[K, V]) {
	key, absent, value := p.Key(0), p.absent(), p.entry(1)
	wantAbsent := func(when string) {
		if p.Plain {
			p.wantMiss(key, when)
		} else {
			p.want(key, absent, when)
		}
	}
	p.put(key, absent)
	wantAbsent("after Set of an absent entry")
	p.put(key, value)
	p.want(key, value, "after Set of a value over an absent entry")
	p.put(key, absent)
	wantAbsent("after Set of an absent entry over a value")
	p.remove(key)
	p.wantMiss(key, "after Delete of an absent entry")
}

func checkShared[K comparable, V any](p *probe[K, V]) {
	given := p.watch("that was given to Set", p.entry(0))
	p.put(p.Key(0), given.entry)
	given.unchanged("Set")
	got := p.get(p.Key(0))
	if got == nil {
		p.failf("%s right after Set missed, want the entry", call("Get", p.Key(0)))
	}
	held := p.watch("that Get returned", got)
	for n := range 10 {
		p.put(p.Key(n), p.entry(n+10))
		p.get(p.Key(n))
		given.unchanged(fmt.Sprintf("Set and Get of %s", show(p.Key(n))))
		held.unchanged(fmt.Sprintf("Set and Get of %s", show(p.Key(n))))
	}
	p.remove(p.Key(0))
	given.unchanged("Delete")
	held.unchanged("Delete")
}

// watched is an entry with the value of number 0 that nobody may write to.
type watched[K comparable, V any] struct {
	p      *probe[K, V]
	name   string
	entry  *corral.Entry[V]
	before corral.Entry[V]
}

// watch makes the value anew: a copy of the entry would share what the value
// points to.
func (p *probe[K, V]) watch(name string, e *corral.Entry[V]) *watched[K, V] {
	before := *e
	before.Value = p.Value(0)
	return &watched[K, V]{p, name, e, before}
}

func (w *watched[K, V]) unchanged(after string) {
	got, want := *w.entry, w.before
	same := w.p.Equal(got.Value, want.Value) && got.LoadedAt == want.LoadedAt && got.LoadTime == want.LoadTime &&
		got.TTL == want.TTL && got.Keep == want.Keep && got.Absent == want.Absent
	if !same {
		w.p.failf("after %s, the entry %s is %s, and was %s", after, w.name, show(got), show(want))
	}
}
