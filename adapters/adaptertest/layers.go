package adaptertest

import (
	"slices"
	"time"

	"github.com/corralcache/corral"
)

// layerClauses are about caches that hold copies in front of a far one.
func layerClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "layers",
			rule:  "Layers returns two caches, always the same, of which near is not far.",
			why:   "The Loader looks into near in the goroutine of each caller. A round trip there is one for every call.",
			cause: "The layers the wrong way round; a wrapper made anew by each call.",
			when:  layered[K, V],
			check: checkLayers[K, V],
		},
		{
			name:  "near-copy",
			rule:  "What was read through far is found in near, as it was.",
			why:   "Without a copy every call is a round trip. A copy that lost its times is stale at once, or too late.",
			cause: "The far layer handed out bare, so that only Get of the whole cache fills near; a copy in an encoding of its own.",
			when:  layered[K, V],
			check: checkNearCopy[K, V],
		},
		{
			name:  "near-drop",
			rule:  "After Set or Delete of the layered cache, near has nothing older, and after Delete neither layer has anything.",
			why:   "A copy that is left is served to everybody here after the Delete has returned.",
			cause: "Only the far layer written; near dropped before far is written, and filled again from it in between.",
			when:  layered[K, V],
			check: checkNearDrop[K, V],
		},
		{
			name:  "near-keep",
			rule:  "A near copy lives no longer than what is left of the far entry's Keep.",
			why:   "A copy that starts a life of its own when it is made is served after the value's end.",
			cause: "A fixed life for copies; Keep counted from the copy and not from the load. A plain value's life is what GetValue said was left.",
			when:  layered[K, V],
			check: checkNearKeep[K, V],
		},
		{
			name:  "layer-batch",
			rule:  "If all caches inside are BatchCaches, both layers are. What GetMany of far read is found in near, and after SetMany or DeleteMany of the layered cache near has nothing older.",
			why:   "The Loader asks each layer for many keys. One that hides the ability costs a round trip for each key; one whose copies many keys pass by serves deleted values.",
			cause: "Get of the layers written out and the methods for many keys forgotten, or left to the caches inside.",
			when:  layered[K, V],
			check: checkLayerBatch[K, V],
		},
	}
}

func layered[K comparable, V any](cfg *Config[K, V]) bool { return !cfg.seen.known || cfg.seen.layered }

// layers returns nil and nil for a cache without.
func (p *probe[K, V]) layers() (near, back corral.Cache[K, V]) {
	l, ok := p.cache.(corral.Layered[K, V])
	if !ok {
		return nil, nil
	}
	near, back = l.Layers()
	if near == nil || back == nil {
		p.failf("Layers returned near %T and far %T, want two caches", near, back)
	}
	return near, back
}

func checkLayers[K comparable, V any](p *probe[K, V]) {
	near, back := p.layers()
	if near == nil {
		return
	}
	if far(near) {
		p.failf("near is %T, which is a far cache", near)
	}
	p.put(p.Key(0), p.entry(0))
	if again, backAgain := p.layers(); again != near || backAgain != back {
		p.failf("Layers returned other caches than before")
	}
}

func checkNearCopy[K comparable, V any](p *probe[K, V]) {
	near, back := p.layers()
	if near == nil {
		return
	}
	for n := range 20 {
		key, e := p.Key(n), p.entry(n)
		p.put(key, e)
		through := p.getBy(back, key)
		p.settle(key)
		p.settleBy(near, key)
		switch got := p.getBy(near, key); {
		case through == nil:
			p.failf("%s of far missed after Set, want the entry", call("Get", key))
		case got == nil:
			p.failf("%s of near missed after Get of far, want a copy", call("Get", key))
		default:
			if diff := p.differ(got, e); diff != "" {
				p.failf("%s of near returned %s", call("Get", key), diff)
			}
		}
	}
}

func checkNearDrop[K comparable, V any](p *probe[K, V]) {
	near, back := p.layers()
	if near == nil {
		return
	}
	for n := range 20 {
		key, later := p.Key(n), p.entry(20+n)
		p.put(key, p.entry(n))
		p.getBy(back, key)
		p.settleBy(near, key)
		p.put(key, later)
		if got := p.getBy(near, key); got != nil && p.differ(got, later) != "" {
			p.failf("%s of near after Set found the entry from before it: the value %s", call("Get", key), show(got.Value))
		}
		p.getBy(back, key)
		p.settleBy(near, key)
		p.remove(key)
		for name, layer := range map[string]corral.Cache[K, V]{"near": near, "far": back} {
			if got := p.getBy(layer, key); got != nil {
				p.failf("%s of %s after Delete found an entry with the value %s", call("Get", key), name, show(got.Value))
			}
		}
	}
}

func checkNearKeep[K comparable, V any](p *probe[K, V]) {
	near, back := p.layers()
	if near == nil {
		return
	}
	e := p.lasting(0, p.life())
	p.put(p.Key(0), e)
	end := time.Now().Add(p.life() + p.margin())
	p.sleep(p.life() / 2)
	p.getBy(back, p.Key(0))
	p.settleBy(near, p.Key(0))
	p.sleep(time.Until(end))
	if got := p.getBy(near, p.Key(0)); got != nil {
		p.failf("%s of near found the entry after its Keep of %v was over", call("Get", p.Key(0)), e.Keep)
	}
}

func checkLayerBatch[K comparable, V any](p *probe[K, V]) {
	near, back := p.layers()
	if near == nil {
		return
	}
	able := is[corral.BatchCache[K, V]]
	if all := p.Inner != nil && !slices.ContainsFunc(p.Inner(), func(c any) bool { return !able(c) }); all && !(able(near) && able(back)) {
		p.failf("the layers are a %T and a %T, which are not both BatchCaches, and all caches inside are", near, back)
	}
	b, far := p.batch(p.cache), p.batch(back)
	if b == nil || far == nil {
		return
	}
	keys, first, later := []K{p.Key(0), p.Key(1), p.Key(2)}, p.numbered(3, 0), p.numbered(3, 10)
	for n, key := range keys {
		p.must(call("Set", key), p.writeBy(p.processes()[len(p.processes())-1], key, first[n])) // another, if there is one
	}
	far.wantEntries(keys, first, "of far after Set")
	p.wantNear(near, keys, first, "after GetMany of far")
	b.set(keys, later)
	p.wantNoneOf(near, keys, first, "near after SetMany")
	far.wantEntries(keys, later, "of far after SetMany")
	p.wantNear(near, keys, later, "after GetMany of far")
	b.remove(keys)
	p.wantNoneOf(near, keys, later, "near after DeleteMany")
	p.wantNoneOf(back, keys, later, "far after DeleteMany")
}

// wantNear fails unless near has copies of the entries.
func (p *probe[K, V]) wantNear(near corral.Cache[K, V], keys []K, want []*corral.Entry[V], when string) {
	for n, key := range keys {
		p.settleBy(near, key)
		got := p.getBy(near, key)
		if got == nil {
			p.failf("%s of near %s missed, want a copy", call("Get", key), when)
		}
		if diff := p.differ(got, want[n]); diff != "" {
			p.failf("%s of near %s returned %s", call("Get", key), when, diff)
		}
	}
}

// wantNoneOf fails if a layer has one of the entries.
func (p *probe[K, V]) wantNoneOf(layer corral.Cache[K, V], keys []K, old []*corral.Entry[V], where string) {
	for n, key := range keys {
		if got := p.getBy(layer, key); got != nil && p.differ(got, old[n]) == "" {
			p.failf("%s of %s found the entry from before it, with the value %s", call("Get", key), where, show(got.Value))
		}
	}
}

func (p *probe[K, V]) getBy(through corral.Cache[K, V], key K) (e *corral.Entry[V]) {
	var err error
	p.await(call("Get", key), p.patience(), func() { e, err = through.Get(p.ctx, key) })
	p.must(call("Get", key), err)
	return e
}

func (p *probe[K, V]) settleBy(through corral.Cache[K, V], key K) {
	if s, ok := through.(corral.Settler[K]); ok {
		var err error
		p.await(call("Settle", key), p.patience(), func() { err = s.Settle(p.ctx, key) })
		p.must(call("Settle", key), err)
	}
}
