package adaptertest

import (
	"context"
	"sync"
	"time"

	"github.com/corralcache/corral"
)

// listenClauses are about what other processes write.
func listenClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "processes",
			rule:  "What one process sets and deletes, the others find set and deleted.",
			why:   "Everything that is said of several processes is said of one store. Two that share nothing keep every other promise, each for itself.",
			cause: "A prefix, a database or an encoding that differs between two clients.",
			when:  func(cfg *Config[K, V]) bool { return cfg.Other != nil },
			check: checkProcesses[K, V],
		},
		{
			name:  "listen-begins",
			rule:  "Listen calls drop without a key first, as soon as it hears.",
			why:   "What was written before that was heard by nobody. Without the call, flights and near copies from then are taken for current until they end.",
			cause: "A subscription that is asked for and not waited for; the call made before it stands.",
			when:  listening[K, V],
			check: checkListenBegins[K, V],
		},
		{
			name:  "listen-others",
			rule:  "Once it has called drop without a key, Listen hears of each Set and Delete by other processes, and not of its own.",
			why:   "A key that is not heard is served as it was, here, for as long as its near copy lives. Hearing oneself drops what was just stored, and the next caller loads again.",
			cause: "An announcement that Delete makes and Set does not; one that is sent before the write; a process that does not know its own.",
			when:  func(cfg *Config[K, V]) bool { return cfg.Other != nil && listening(cfg) },
			check: checkListenOthers[K, V],
		},
	}
}

func listening[K comparable, V any](cfg *Config[K, V]) bool {
	return !cfg.seen.known || cfg.seen.listener
}

func checkProcesses[K comparable, V any](p *probe[K, V]) {
	other := p.other()
	e := p.entry(0)
	p.put(p.Key(0), e)
	p.wantStored(p.Key(0), e, "after Set")
	later := p.entry(1)
	p.must(call("Set", p.Key(0))+" in another process", p.writeBy(other, p.Key(0), later))
	p.wantStored(p.Key(0), later, "after Set in another process")
	p.remove(p.Key(0))
	p.wantStored(p.Key(0), nil, "after Delete")
	p.put(p.Key(0), e)
	p.must(call("Delete", p.Key(0))+" in another process", p.removeBy(other, p.Key(0)))
	p.wantStored(p.Key(0), nil, "after Delete in another process")
}

// heard is what a Listen told, as its drop saw it.
type heard[K comparable] struct {
	more chan struct{} // has room for one

	mu    sync.Mutex
	first []K       // guarded by mu; of the first call
	calls int       // guarded by mu
	all   int       // guarded by mu; calls without a key
	keys  map[K]int // guarded by mu
}

func (h *heard[K]) drop(keys ...K) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls++; h.calls == 1 {
		h.first = keys
	}
	if len(keys) == 0 {
		h.all++
	}
	for _, key := range keys {
		h.keys[key]++
	}
	select {
	case h.more <- struct{}{}:
	default:
	}
}

// is waits until what was heard is as wanted.
func (h *heard[K]) is(patience time.Duration, wanted func() bool) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		h.mu.Lock()
		ok := wanted()
		h.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-h.more:
		case <-timer.C:
			return false
		}
	}
}

// listen listens until stop is called, and has begun to when it returns.
func (p *probe[K, V]) listen() (h *heard[K], stop func()) {
	l, ok := p.cache.(corral.Listener[K])
	if !ok {
		return nil, func() {}
	}
	h = &heard[K]{more: make(chan struct{}, 1), keys: map[K]int{}}
	ctx, cancel := context.WithCancel(p.ctx)
	ended := make(chan error, 1)
	go func() { ended <- broken(func() { _ = l.Listen(ctx, h.drop) }) }()
	stop = func() {
		cancel()
		p.await("Listen, after its context ended,", p.soon(), func() { <-ended })
	}
	if !h.is(p.patience(), func() bool { return h.calls > 0 }) {
		stop()
		p.failf("Listen did not call drop within %v, want a call without a key when it begins to hear", p.patience())
	}
	return h, stop
}

func checkListenBegins[K comparable, V any](p *probe[K, V]) {
	h, stop := p.listen()
	if h == nil {
		return
	}
	defer stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.first) > 0 {
		p.failf("the first call of drop came with %s, want none", show(h.first))
	}
}

func checkListenOthers[K comparable, V any](p *probe[K, V]) {
	h, stop := p.listen()
	if h == nil {
		return
	}
	defer stop()
	own, others := p.Key(0), []K{p.Key(1), p.Key(2), p.Key(3)}
	p.put(own, p.entry(0))
	p.remove(own)
	for n, key := range others {
		p.must(call("Set", key)+" in another process", p.writeBy(p.other(), key, p.entry(n)))
		p.wantHeard(h, key, "Set")
	}
	for _, key := range others {
		h.forget(key)
		p.must(call("Delete", key)+" in another process", p.removeBy(p.other(), key))
		p.wantHeard(h, key, "Delete")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.keys[own] > 0 {
		p.failf("drop was called with %s, which only this process wrote", show(own))
	}
}

// forget makes the next write of key news.
func (h *heard[K]) forget(key K) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all, h.keys[key] = 1, 0
}

// wantHeard takes a call without a key for an answer too: any key may have been
// written.
func (p *probe[K, V]) wantHeard(h *heard[K], key K, what string) {
	if !h.is(p.patience(), func() bool { return h.keys[key] > 0 || h.all > 1 }) {
		p.failf("drop was not called with %s within %v of its %s in another process", show(key), p.patience(), what)
	}
}

// writeBy and removeBy are Set and Delete through any cache.
func (p *probe[K, V]) writeBy(through corral.Cache[K, V], key K, e *corral.Entry[V]) (err error) {
	p.await(call("Set", key), p.patience(), func() { err = through.Set(p.ctx, key, e) })
	if s, ok := through.(corral.Settler[K]); ok && err == nil {
		p.await(call("Settle", key), p.patience(), func() { err = s.Settle(p.ctx, key) })
	}
	return err
}

func (p *probe[K, V]) removeBy(through corral.Cache[K, V], key K) (err error) {
	p.await(call("Delete", key), p.patience(), func() { err = through.Delete(p.ctx, key) })
	return err
}
