package adaptertest

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/corralcache/corral"
)

const (
	workers  = 8
	versions = 40  // Sets of one key
	reads    = 400 // of one reader, over all keys
)

// concurrencyClauses are about calls at the same time. The race detector makes
// them sharper.
func concurrencyClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "concurrent-reads",
			rule:  "While one goroutine per key sets and deletes, no Get returns a value of another key, one from before a Set that had returned and settled, or one from before a Delete that had returned.",
			why:   "A value read after its delete is stored again, passed on or paid out. No later delete repairs that.",
			cause: "A buffer shared between calls; a near copy that a slow Get puts back after the Delete; a Delete that goes to one layer first and lets the other fill it again.",
			check: checkConcurrentReads[K, V],
		},
		{
			name:  "concurrent-writes",
			rule:  "Writers do not disturb each other: each Set that returned nil is found, and after the last Delete of a contended key returned, it is not.",
			why:   "A Set that is dropped because others were busy is a value that everybody loads again, under the highest load.",
			cause: "A store that drops contended Sets in silence: wait for it or try again; a TryLock; read, change and write without a lock.",
			check: checkConcurrentWrites[K, V],
		},
	}
}

// lane is a key with one writer. Its values are numbered from 1.
type lane[K comparable, V any] struct {
	key    K
	values []V
	issued atomic.Int64 // the value that may be there by now
	floor  atomic.Int64 // values up to this one are gone
}

func checkConcurrentReads[K comparable, V any](p *probe[K, V]) {
	lanes := make([]*lane[K, V], workers)
	for n := range lanes {
		lanes[n] = &lane[K, V]{key: p.Key(n)}
		for v := range versions + 1 {
			lanes[n].values = append(lanes[n].values, p.Value(1+n*(versions+1)+v))
		}
	}
	var work []func()
	for n := range workers {
		work = append(work, func() { p.drive(lanes[n]) }, func() { p.observe(lanes, n) })
	}
	p.together(work)
}

// drive sets and deletes one key and, being alone, knows what must be there.
func (p *probe[K, V]) drive(l *lane[K, V]) {
	for v := int64(1); v <= versions; v++ {
		e := p.entry(0)
		e.Value = l.values[v]
		l.issued.Store(v)
		p.must(call("Set", l.key), p.cache.Set(p.ctx, l.key, e))
		if v%4 != 1 { // else Delete follows the Set at once
			p.settleNow(l.key)
			l.floor.Store(v - 1)
			p.wantVersion(l, v)
		}
		if v%2 == 1 {
			p.must(call("Delete", l.key), p.cache.Delete(p.ctx, l.key))
			l.floor.Store(v)
			p.wantVersion(l, 0)
		}
	}
}

// wantVersion fails unless key holds value v, or nothing for 0. Only the writer
// of the key may ask.
func (p *probe[K, V]) wantVersion(l *lane[K, V], v int64) {
	e, err := p.cache.Get(p.ctx, l.key)
	p.must(call("Get", l.key), err)
	switch {
	case e == nil && v != 0:
		p.failf("%s missed right after Set by the only writer of the key", call("Get", l.key))
	case e != nil && v == 0:
		p.failf("%s returned the value %s right after Delete by the only writer of the key", call("Get", l.key), show(e.Value))
	case e != nil && !p.Equal(e.Value, l.values[v]):
		p.failf("%s returned the value %s right after Set of %s by the only writer of the key",
			call("Get", l.key), show(e.Value), show(l.values[v]))
	}
}

// observe reads every key in turn. The floor is read before the call and issued
// after it, so that what lies between was there at some instant of the call.
func (p *probe[K, V]) observe(lanes []*lane[K, V], first int) {
	for n := range reads {
		l := lanes[(first+n)%len(lanes)]
		floor := l.floor.Load()
		value, ok := p.read(l.key)
		if !ok {
			runtime.Gosched()
			continue
		}
		if !p.among(l.values[floor+1:l.issued.Load()+1], value) {
			p.failf("%s returned the value %s, %s", call("Get", l.key), show(value), p.origin(lanes, l, value))
		}
	}
}

// read goes through GetValue where that is how the Loader reads.
func (p *probe[K, V]) read(key K) (V, bool) {
	if c, ok := p.cache.(corral.PlainCache[K, V]); ok && p.Plain {
		v, _, ok, err := c.GetValue(p.ctx, key)
		p.must(call("GetValue", key), err)
		return v, ok
	}
	e, err := p.cache.Get(p.ctx, key)
	p.must(call("Get", key), err)
	if e == nil {
		return *new(V), false
	}
	return e.Value, true
}

func (p *probe[K, V]) among(values []V, v V) bool {
	for _, other := range values {
		if p.Equal(v, other) {
			return true
		}
	}
	return false
}

func (p *probe[K, V]) origin(lanes []*lane[K, V], own *lane[K, V], v V) string {
	for _, l := range lanes {
		switch {
		case !p.among(l.values, v):
		case l == own:
			return "which a Delete or a later Set had removed before the call began"
		default:
			return "which belongs to the key " + show(l.key)
		}
	}
	return "which was never set"
}

func checkConcurrentWrites[K comparable, V any](p *probe[K, V]) {
	const each = 50
	shared := p.Key(0)
	var work []func()
	for w := range workers {
		work = append(work, func() {
			for n := range each {
				own := 1 + w*each + n
				p.must(call("Set", p.Key(own)), p.cache.Set(p.ctx, p.Key(own), p.entry(own)))
				p.must(call("Set", shared), p.cache.Set(p.ctx, shared, p.entry(own)))
				if n%8 == 7 {
					p.must(call("Delete", shared), p.cache.Delete(p.ctx, shared))
				}
			}
		})
	}
	p.together(work)
	for own := 1; own <= workers*each; own++ {
		p.settle(p.Key(own))
		p.wantValueOf(p.Key(own), own, fmt.Sprintf("after Set beside %d other writers", workers-1))
	}
	p.remove(shared)
	p.wantMiss(shared, "after the Delete that followed all writers")
	last := p.entry(0)
	p.put(shared, last)
	p.want(shared, last, "after the Set that followed all writers")
}

// settleNow is settle for goroutines of the suite, where await would cost one
// more for each call.
func (p *probe[K, V]) settleNow(key K) {
	if s, ok := p.cache.(corral.Settler[K]); ok {
		p.must(call("Settle", key), s.Settle(p.ctx, key))
	}
}

// together runs all work at once and fails with the first failure.
func (p *probe[K, V]) together(work []func()) {
	failures := make(chan error, len(work))
	p.await("concurrent calls", p.patience(), func() {
		var wg sync.WaitGroup
		for _, f := range work {
			wg.Go(func() {
				if err := broken(f); err != nil {
					failures <- err
				}
			})
		}
		wg.Wait()
	})
	select {
	case err := <-failures:
		p.failf("%v", err)
	default:
	}
}
