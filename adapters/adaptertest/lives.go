package adaptertest

import (
	"math"
	"time"

	"github.com/corralcache/corral"
)

// lifeClauses are about how long an entry is kept.
func lifeClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "keep",
			rule:  "An entry is found until its Keep is over, however short or long, and is then let go: at once, or within Config.Linger.",
			why:   "An entry that goes early is loaded more often than its TTL says, and cannot be served stale when the source fails. One that never goes fills the store, or is served after its end.",
			cause: "A life cut to whole seconds; a life that becomes zero, which many stores read as for ever; TTL taken for Keep; half a second raised to a default.",
			check: checkKeep[K, V],
		},
		{
			name:  "keep-from-load",
			rule:  "Keep counts from LoadedAt. An entry whose Keep is over when it is set is no error, replaces what was there, and is let go like any other.",
			why:   "A value that is copied from one cache to another starts a new life each time, and outlives its end.",
			cause: "Keep given to the store as it is, without the age taken off; a life of zero or below given to a store that reads it as for ever.",
			check: checkKeepFromLoad[K, V],
		},
		{
			name:  "huge-keep",
			rule:  "The longest Keep there is, 292 years, is kept and is no error.",
			why:   "Sums of huge durations overflow to times long past: the entry is gone at once, and every call loads.",
			cause: "now + Keep without a bound; a life in a unit that the server's integer cannot hold.",
			check: checkHugeKeep[K, V],
		},
	}
}

func checkKeep[K comparable, V any](p *probe[K, V]) {
	for n, keep := range p.lives() {
		e := p.lasting(n, keep)
		p.follow(p.Key(n), e, e.LoadedAt)
	}
}

func checkKeepFromLoad[K comparable, V any](p *probe[K, V]) {
	e := p.lasting(1, 2*p.life())
	e.LoadedAt = e.LoadedAt.Add(-p.life())
	p.follow(p.Key(1), e, e.LoadedAt)

	p.put(p.Key(2), p.entry(2))
	over := p.lasting(3, p.life())
	over.LoadedAt = over.LoadedAt.Add(-p.life() - p.margin())
	p.discard(p.Key(2), over)
	if got := p.get(p.Key(2)); got != nil && (p.Linger == 0 || p.differ(got, over) != "") {
		p.failf("%s after Set of an entry whose Keep is over found an entry with the value %s", call("Get", p.Key(2)), show(got.Value))
	}
	p.sleep(p.pause() + p.Linger)
	p.wantMiss(p.Key(2), "some time after Set of an entry whose Keep is over")
}

func checkHugeKeep[K comparable, V any](p *probe[K, V]) {
	e := p.lasting(1, math.MaxInt64)
	p.put(p.Key(1), e)
	p.wantValueOf(p.Key(1), 1, "right after Set with Keep MaxInt64")
	p.sleep(p.life())
	p.wantValueOf(p.Key(1), 1, "some time after Set with Keep MaxInt64")
}

// lives are the lengths of Keep to try. In a bubble an hour is nothing; stores
// with a ticker make days of it expensive.
func (p *probe[K, V]) lives() []time.Duration {
	if p.RealTime {
		return []time.Duration{p.life(), p.life() * 3 / 2}
	}
	return []time.Duration{
		1, time.Millisecond, 2 * time.Millisecond, 500 * time.Millisecond, 999 * time.Millisecond,
		1500 * time.Millisecond, time.Minute, time.Hour,
	}
}

// life is an ordinary length of Keep.
func (p *probe[K, V]) life() time.Duration {
	if p.RealTime {
		return max(200*time.Millisecond, 4*p.Granularity)
	}
	return 10*time.Second + 500*time.Millisecond
}

// margin is how long after its end an entry must be gone.
func (p *probe[K, V]) margin() time.Duration {
	if p.RealTime {
		return p.Granularity + p.Linger + 100*time.Millisecond
	}
	return p.Granularity + p.Linger + 1
}

// follow sets an entry and watches it until its Keep, counted from start, is
// over.
func (p *probe[K, V]) follow(key K, e *corral.Entry[V], start time.Time) {
	p.put(key, e)
	last := start.Add(e.Keep - p.Granularity - 1)
	for _, at := range []time.Time{time.Now(), start.Add(e.Keep / 2), last} {
		p.sleep(time.Until(at))
		got := p.get(key)
		if age := time.Since(start); got == nil && age < e.Keep-p.Granularity {
			p.failf("%s missed %v after the load, want the entry: its Keep is %v", call("Get", key), age, e.Keep)
		}
		if got == nil {
			continue
		}
		if diff := p.differ(got, e); diff != "" {
			p.failf("%s returned %s", call("Get", key), diff)
		}
	}
	p.sleep(time.Until(start.Add(e.Keep + p.margin())))
	if got := p.get(key); got != nil {
		p.failf("%s found the entry %v after the load, want a miss: its Keep is %v, Config.Linger %v",
			call("Get", key), time.Since(start), e.Keep, p.Linger)
	}
}
