package adaptertest

import (
	"context"
	"time"

	"github.com/corralcache/corral"
)

// abilityClauses are about the optional interfaces and about what is left of a
// cache after its end.
func abilityClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "far",
			rule:  "Far always says the same. A cache that is not far answers Get without waiting for anything.",
			why:   "The Loader asks once. It reads a near cache in the goroutine of each caller, so that a far one that does not say so gets a round trip from every one of them, and a herd when it is slow.",
			cause: "Far computed from the state of a connection; the method missing on an adapter over a network, or hidden by a wrapper.",
			check: checkFar[K, V],
		},
		{
			name:  "settle",
			rule:  "After Settle returned nil, the last Set of the key is found. Settle of a key without a Set returns nil.",
			why:   "The Loader keeps a load open until Settle returns, and nobody loads again meanwhile. If it returns too early, the next callers miss and load.",
			cause: "A Settle that waits for another buffer or for a fixed time; the interface implemented because it was there.",
			check: checkSettle[K, V],
		},
		{
			name:  "check",
			rule:  "Check of a cache that works returns nil, each time.",
			why:   "corral.New returns its error: the service does not start.",
			cause: "A check that asks the store, which may be down when the service starts, or an option that is fine when left out.",
			check: checkCheck[K, V],
		},
		{
			name:  "listen",
			rule:  "Listen returns soon after its context ended.",
			why:   "Loader.Close waits for it.",
			cause: "A read on a subscription without a context.",
			check: checkListen[K, V],
		},
		{
			name:  "goroutines",
			rule:  "When what New opened is closed, no goroutine of the adapter is left.",
			why:   "A goroutine per call or per cache that nobody ends is a leak that shows in production after weeks.",
			cause: "A goroutine for each write; a ticker without an end; a call left running after its context ended.",
			when:  func(cfg *Config[K, V]) bool { return !cfg.RealTime },
			check: checkGoroutines[K, V],
			leaks: true,
		},
	}
}

func checkFar[K comparable, V any](p *probe[K, V]) {
	first := far(p.cache)
	p.put(p.Key(0), p.entry(0))
	for n := range 3 {
		start := time.Now()
		p.get(p.Key(n))
		if took := time.Since(start); took > 0 && !first && !p.RealTime {
			p.failf("%s waited %v: that is a far cache, and %T has no method Far that returns true", call("Get", p.Key(n)), took, p.cache)
		}
		if now := far(p.cache); now != first {
			p.failf("Far returned %v, and %v before", now, first)
		}
	}
}

func far(cache any) bool {
	f, ok := cache.(corral.Far)
	return ok && f.Far()
}

func checkSettle[K comparable, V any](p *probe[K, V]) {
	p.settle(p.Key(0))
	for n := range many {
		e := p.entry(n)
		p.put(p.Key(n), e)
		p.want(p.Key(n), e, "after Set and Settle")
		p.settle(p.Key(n))
	}
	p.remove(p.Key(0))
	p.settle(p.Key(0))
	p.wantMiss(p.Key(0), "after Delete and Settle")
}

func checkCheck[K comparable, V any](p *probe[K, V]) {
	c, ok := p.cache.(corral.Checker)
	if !ok {
		return
	}
	for range 2 {
		p.must("Check", c.Check())
	}
}

func checkListen[K comparable, V any](p *probe[K, V]) {
	l, ok := p.cache.(corral.Listener[K])
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(p.ctx)
	ended := make(chan error, 1)
	go func() { ended <- broken(func() { _ = l.Listen(ctx, func(...K) {}) }) }()
	p.put(p.Key(0), p.entry(0))
	p.sleep(p.pause())
	p.remove(p.Key(0))
	cancel()
	p.await("Listen, after its context ended,", p.soon(), func() {
		if err := <-ended; err != nil {
			p.failf("%v", err)
		}
	})
}

func checkGoroutines[K comparable, V any](p *probe[K, V]) {
	ended, cancel := context.WithCancel(p.ctx)
	cancel()
	for n := range 50 {
		p.put(p.Key(n), p.entry(n))
		p.get(p.Key(n))
		p.remove(p.Key(n))
		for _, op := range p.operations(p.Key(n), p.entry(n)) {
			p.await(op.name+" with an ended context", p.soon(), func() { _ = op.run(ended) })
		}
	}
}
