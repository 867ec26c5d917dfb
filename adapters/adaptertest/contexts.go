package adaptertest

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/corralcache/corral"
)

// contextClauses are about callers that do not wait.
func contextClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "ended-context",
			rule:  "A call whose context has ended returns soon and does not panic. If it returns nil all the same, it did what it says; and the calls after it work.",
			why:   "Requests are cancelled all the time. A hang costs a goroutine each; a Delete that returned nil and did nothing leaves the wrong value for everybody.",
			cause: "A wait without ctx.Done(); an early return of nil; a connection that is broken by the cancellation and given back to its pool.",
			check: checkEndedContext[K, V],
		},
		{
			name:  "stalled-store",
			rule:  "When the store does not answer, a call returns soon after its context ended, with an error.",
			why:   "The Loader gives every call a bound. If the adapter waits longer, so does each caller of the service.",
			cause: "A client that ignores the context's deadline (go-redis does, unless ContextTimeoutEnabled is set), retries without looking at it.",
			when:  func(cfg *Config[K, V]) bool { return cfg.Stall != nil },
			check: checkStalled[K, V],
		},
	}
}

// operation is one call of the cache.
type operation struct {
	name string
	run  func(ctx context.Context) error
}

// operations are all calls of the port for key, with the entry that they set.
func (p *probe[K, V]) operations(key K, e *corral.Entry[V]) []operation {
	ops := []operation{
		{call("Get", key), func(ctx context.Context) error { _, err := p.cache.Get(ctx, key); return err }},
		{call("Set", key), func(ctx context.Context) error { return p.cache.Set(ctx, key, e) }},
		{call("Delete", key), func(ctx context.Context) error { return p.cache.Delete(ctx, key) }},
	}
	if c, ok := p.cache.(corral.PlainCache[K, V]); ok {
		ops = append(ops,
			operation{call("GetValue", key), func(ctx context.Context) error { _, _, _, err := c.GetValue(ctx, key); return err }},
			operation{call("SetValue", key), func(ctx context.Context) error { return c.SetValue(ctx, key, e.Value, e.Keep) }})
	}
	if l, ok := leaser[K, V](p.cache); ok {
		token := rand.Text()
		ops = append(ops,
			operation{call("Acquire", key), func(ctx context.Context) error {
				_, err := l.Acquire(ctx, key, corral.LeaseRequest[V]{Token: token, Force: true})
				return err
			}},
			operation{call("Renew", key), func(ctx context.Context) error { return l.Renew(ctx, key, token) }},
			operation{call("Fill", key), func(ctx context.Context) error { return l.Fill(ctx, key, token, e) }},
			operation{call("Release", key), func(ctx context.Context) error { return l.Release(ctx, key, token) }})
	}
	both := []*corral.Entry[V]{e, e}
	ops = append(ops, p.batchOperations([]K{key, p.Key(1007)}, both)...)
	return append(ops, p.batchLeaseOperations([]K{key, p.Key(1007)}, both)...)
}

func checkEndedContext[K comparable, V any](p *probe[K, V]) {
	cancelled, cancel := context.WithCancel(p.ctx)
	cancel()
	late, cancel := context.WithDeadline(p.ctx, time.Now().Add(-time.Second))
	defer cancel()
	for n, ctx := range []context.Context{cancelled, late} {
		p.endedSet(ctx, p.Key(2*n), n)
		p.endedDelete(ctx, p.Key(2*n+1), n)
		for _, op := range p.operations(p.Key(9), p.entry(n)) {
			p.await(op.name+" with an ended context", p.soon(), func() { _ = op.run(ctx) })
		}
		p.endedSettle(ctx, p.Key(2*n))
	}
	for n := range 9 {
		e := p.entry(n)
		p.put(p.Key(n), e)
		p.want(p.Key(n), e, "after calls with an ended context")
	}
}

// endedSet sets and reads with an ended context. An error leaves open what
// happened.
func (p *probe[K, V]) endedSet(ctx context.Context, key K, n int) {
	var err error
	var got *corral.Entry[V]
	e := p.entry(n)
	p.await(call("Set", key)+" with an ended context", p.soon(), func() { err = p.cache.Set(ctx, key, e) })
	if err == nil {
		p.settle(key)
		p.want(key, e, "after a Set with an ended context that returned nil")
	}
	p.put(key, e)
	p.await(call("Get", key)+" with an ended context", p.soon(), func() { got, err = p.cache.Get(ctx, key) })
	switch {
	case err == nil && got == nil:
		p.failf("%s with an ended context missed without an error, and the entry is there", call("Get", key))
	case err == nil:
		if diff := p.differ(got, e); diff != "" {
			p.failf("%s with an ended context returned %s", call("Get", key), diff)
		}
	}
}

func (p *probe[K, V]) endedDelete(ctx context.Context, key K, n int) {
	var err error
	p.put(key, p.entry(n))
	p.await(call("Delete", key)+" with an ended context", p.soon(), func() { err = p.cache.Delete(ctx, key) })
	if err == nil {
		p.wantMiss(key, "after a Delete with an ended context that returned nil")
	}
}

func (p *probe[K, V]) endedSettle(ctx context.Context, key K) {
	if s, ok := p.cache.(corral.Settler[K]); ok {
		p.await(call("Settle", key)+" with an ended context", p.soon(), func() { _ = s.Settle(ctx, key) })
	}
}

func checkStalled[K comparable, V any](p *probe[K, V]) {
	p.put(p.Key(0), p.entry(0))
	p.Stall(p.t)
	const bound = 100 * time.Millisecond
	for _, op := range p.operations(p.Key(0), p.entry(1)) {
		ctx, cancel := context.WithTimeout(p.ctx, bound)
		var err error
		p.await(op.name+" with a context of 100ms, on a store that does not answer,", bound+p.soon(), func() { err = op.run(ctx) })
		cancel()
		if err == nil {
			p.failf("%s returned nil on a store that does not answer", op.name)
		}
	}
}

// soon is how long after the end of its context a call may return.
func (p *probe[K, V]) soon() time.Duration {
	if p.RealTime {
		return 2 * time.Second
	}
	return 100 * time.Millisecond
}
