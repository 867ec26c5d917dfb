package adaptertest

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/corralcache/corral"
)

func checkBatchAgrees[K comparable, V any](p *probe[K, V]) {
	b := p.batch(p.cache)
	if b == nil {
		return
	}
	const keys = 40
	for round := range 25 {
		draw := rand.New(rand.NewPCG(1, uint64(round)))
		some := func() (picked []K, entries []*corral.Entry[V]) {
			for _, n := range draw.Perm(keys)[:draw.IntN(keys)] {
				picked, entries = append(picked, p.Key(n)), append(entries, p.entry(draw.IntN(1000)))
			}
			return picked, entries
		}
		b.set(some())
		gone, _ := some()
		b.remove(gone)
		for _, n := range draw.Perm(keys)[:8] {
			p.remove(p.Key(n))
		}
		for _, n := range draw.Perm(keys)[:8] {
			p.put(p.Key(n), p.entry(draw.IntN(1000)))
		}
		asked, _ := some()
		b.wantAsGet(asked, "after random writes")
	}
}

const batchSize = 12 // of one worker's keys

// row is the keys of one worker, with the values that it stores in each round.
type row[K comparable, V any] struct {
	keys   []K
	values [][]V // by round
}

func checkBatchConcurrent[K comparable, V any](p *probe[K, V]) {
	if p.batch(p.cache) == nil {
		return
	}
	const rounds = 8
	rows := make([]row[K, V], workers)
	for w := range rows {
		for n := range batchSize {
			rows[w].keys = append(rows[w].keys, p.Key(w*batchSize+n))
		}
		for r := range rounds {
			var values []V
			for n := range batchSize {
				values = append(values, p.Value((r*workers+w)*batchSize+n))
			}
			rows[w].values = append(rows[w].values, values)
		}
	}
	var work []func()
	for w := range rows {
		work = append(work, func() { p.driveRow(rows, w) }, func() { p.observeRows(rows, w) })
	}
	p.together(work)
}

// driveRow writes one row and, being alone, knows what must be there.
func (p *probe[K, V]) driveRow(rows []row[K, V], w int) {
	c, own := p.cache.(corral.BatchCache[K, V]), rows[w]
	for r, values := range own.values {
		entries := make([]*corral.Entry[V], batchSize)
		for n := range entries {
			entries[n] = p.entry(0)
			entries[n].Value = values[n]
		}
		p.must("SetMany", c.SetMany(p.ctx, own.keys, entries))
		if r%3 != 1 { // else DeleteMany follows at once
			for _, key := range own.keys {
				p.settleNow(key)
			}
			p.wantRow(c, own.keys, values)
		}
		if r%3 > 0 {
			p.must("DeleteMany", c.DeleteMany(p.ctx, own.keys))
			p.wantRow(c, own.keys, nil)
		}
	}
}

// wantRow fails unless the keys hold the values, or nothing.
func (p *probe[K, V]) wantRow(c corral.BatchCache[K, V], keys []K, values []V) {
	entries, err := c.GetMany(p.ctx, keys)
	p.must("GetMany", err)
	for n, e := range entries {
		switch {
		case e == nil && values != nil:
			p.failf("GetMany missed %s right after SetMany by the only writer of the key", show(keys[n]))
		case e != nil && values == nil:
			p.failf("GetMany found %s right after DeleteMany by the only writer of the key", show(keys[n]))
		case e != nil && !p.Equal(e.Value, values[n]):
			p.failf("GetMany returned for %s the value %s right after SetMany of %s by the only writer of the key",
				show(keys[n]), show(e.Value), show(values[n]))
		}
	}
}

// observeRows reads what several workers write, in one call.
func (p *probe[K, V]) observeRows(rows []row[K, V], first int) {
	c := p.cache.(corral.BatchCache[K, V])
	for range 20 {
		a, b := rows[first], rows[(first+1)%len(rows)]
		keys := append(a.keys[:batchSize:batchSize], b.keys...)
		entries, err := c.GetMany(p.ctx, keys)
		p.must("GetMany", err)
		for n, e := range entries {
			own := a
			if n >= batchSize {
				own = b
			}
			if e != nil && !p.ever(own, n%batchSize, e.Value) {
				p.failf("GetMany returned for %s the value %s, which was never stored under it", show(keys[n]), show(e.Value))
			}
		}
	}
}

func (p *probe[K, V]) ever(r row[K, V], n int, v V) bool {
	for _, values := range r.values {
		if p.Equal(values[n], v) {
			return true
		}
	}
	return false
}

func checkBatchEnded[K comparable, V any](p *probe[K, V]) {
	b := p.batch(p.cache)
	if b == nil {
		return
	}
	cancelled, cancel := context.WithCancel(p.ctx)
	cancel()
	late, cancel := context.WithDeadline(p.ctx, time.Now().Add(-time.Second))
	defer cancel()
	var keys []K
	for n := range 10 {
		keys = append(keys, p.Key(n))
	}
	for round, ctx := range []context.Context{cancelled, late} {
		b.endedSet(ctx, keys, p.numbered(10, 10*round))
		b.endedGet(ctx, keys, p.numbered(10, 20+round))
		b.endedRemove(ctx, keys)
	}
	entries := p.numbered(10, 40)
	b.set(keys, entries)
	b.wantEntries(keys, entries, "after calls with an ended context")
}

func (p *probe[K, V]) numbered(n, first int) []*corral.Entry[V] {
	entries := make([]*corral.Entry[V], n)
	for i := range entries {
		entries[i] = p.entry(first + i)
	}
	return entries
}

func (b *batch[K, V]) endedSet(ctx context.Context, keys []K, entries []*corral.Entry[V]) {
	var err error
	b.p.await("SetMany with an ended context", b.p.soon(), func() { err = b.cache.SetMany(ctx, keys, entries) })
	for n, key := range keys {
		if of(err, key) == nil {
			b.p.settle(key)
			b.p.want(key, entries[n], "after a SetMany with an ended context that returned no error for it")
		}
	}
}

func (b *batch[K, V]) endedGet(ctx context.Context, keys []K, entries []*corral.Entry[V]) {
	var err error
	var got []*corral.Entry[V]
	b.set(keys, entries)
	b.p.await("GetMany with an ended context", b.p.soon(), func() { got, err = b.cache.GetMany(ctx, keys) })
	for n, key := range keys {
		switch {
		case of(err, key) != nil:
		case n >= len(got) || got[n] == nil:
			b.p.failf("GetMany with an ended context missed %s without an error for it, and the entry is there", show(key))
		case b.p.differ(got[n], entries[n]) != "":
			b.p.failf("GetMany with an ended context returned for %s %s", show(key), b.p.differ(got[n], entries[n]))
		}
	}
}

func (b *batch[K, V]) endedRemove(ctx context.Context, keys []K) {
	var err error
	b.p.await("DeleteMany with an ended context", b.p.soon(), func() { err = b.cache.DeleteMany(ctx, keys) })
	for _, key := range keys {
		if of(err, key) == nil {
			b.p.wantMiss(key, "after a DeleteMany with an ended context that returned no error for it")
		}
	}
}
