package adaptertest

import (
	"context"
	"math"
	"time"

	"github.com/corralcache/corral"
)

// glanceClauses are about a cache that tells of an entry without looking at it.
func glanceClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{{
		name:  "glance",
		rule:  "Glance finds what Get finds. Its Value, if any, is the entry's, and it is quiet at most until the entry's Quiet has passed since LoadedAt.",
		why:   "The Loader serves what is quiet and looks no further: past that instant a value would be served that is due for its refresh, stale or absent.",
		cause: "A Glance inherited from a cache inside, while Get is not; the instant kept for an entry that was replaced; Quiet taken from when the entry was set.",
		when:  func(cfg *Config[K, V]) bool { return !cfg.Plain && !cfg.RealTime },
		check: checkGlance[K, V],
	}}
}

func checkGlance[K comparable, V any](p *probe[K, V]) {
	glancer, ok := p.cache.(corral.Glancer[K, V])
	if !ok {
		return
	}
	key := p.Key(0)
	glance := func(want *corral.Entry[V], when string) (quiet bool) {
		g, err := glancer.Glance(context.Background(), key)
		value, given := g.Value.(V)
		switch {
		case err != nil:
			p.failf("%s %s returned the error %v", call("Glance", key), when, err)
		case want == nil && (g.Entry != nil || g.Value != nil || g.Quiet):
			p.failf("%s %s found something, want a miss", call("Glance", key), when)
		case want == nil:
		case g.Entry == nil:
			p.failf("%s %s missed, want the entry", call("Glance", key), when)
		case p.differ(g.Entry, want) != "":
			p.failf("%s %s returned %s", call("Glance", key), when, p.differ(g.Entry, want))
		case g.Value != nil && (!given || !p.Equal(value, want.Value)):
			p.failf("%s %s returned the value %s beside the entry, whose is %s", call("Glance", key), when, show(g.Value), show(want.Value))
		}
		return g.Quiet
	}
	loud := func(e *corral.Entry[V], when string) {
		p.put(key, e)
		if glance(e, when) {
			p.failf("%s %s is quiet, and Entry.Quiet is %v", call("Glance", key), when, e.Quiet())
		}
	}
	glance(nil, "of an empty cache")
	loud(p.absent(), "of an absent entry")
	unknown := p.entry(1)
	unknown.LoadedAt = time.Time{}
	loud(unknown, "of an entry of unknown age")
	stale := p.entry(2)
	stale.LoadedAt = stale.LoadedAt.Add(-stale.Quiet())
	stale.Keep = math.MaxInt64
	loud(stale, "of an entry whose Quiet has passed")
	e := p.entry(3)
	e.Keep = math.MaxInt64
	p.put(key, e)
	glance(e, "after Set")
	time.Sleep(e.Quiet() - time.Since(e.LoadedAt))
	if glance(e, "at the end of its Quiet") {
		p.failf("%s is quiet %v after LoadedAt, and Entry.Quiet is %v", call("Glance", key), time.Since(e.LoadedAt), e.Quiet())
	}
	p.remove(key)
	glance(nil, "after Delete")
}
