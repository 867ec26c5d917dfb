package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

// probe is one sub-test's view of a fresh cache. Its calls fail the sub-test on
// an error, a panic and a call that does not return.
type probe[K comparable, V any] struct {
	*Config[K, V]
	t       *testing.T
	ctx     context.Context
	cache   corral.Cache[K, V]
	outside time.Time // an instant before the sub-test, from outside its bubble

	elsewhere corral.Cache[K, V] // what Config.Other returned; nil before it is needed
}

func newProbe[K comparable, V any](t *testing.T, cfg *Config[K, V]) *probe[K, V] {
	cache := able(cfg.New(t))
	if cache == nil {
		t.Fatal("adaptertest: Config.New returned nil")
	}
	cfg.seen.look(cache)
	return &probe[K, V]{Config: cfg, t: t, ctx: context.Background(), cache: cache}
}

func (p *probe[K, V]) failf(format string, args ...any) {
	panic(failure(fmt.Sprintf(format, args...)))
}

// await runs one call of the cache, for at most patience.
func (p *probe[K, V]) await(what string, patience time.Duration, call func()) {
	done := make(chan error, 1)
	go func() { done <- broken(call) }()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-done:
		if err != nil {
			p.failf("%s %v", what, err)
		}
	case <-timer.C:
		p.failf("%s did not return within %v", what, patience)
	}
}

// patience is how long a call may take that nothing limits.
func (p *probe[K, V]) patience() time.Duration {
	if p.RealTime {
		return 10 * time.Second
	}
	return time.Minute
}

func (p *probe[K, V]) get(key K) *corral.Entry[V] {
	var e *corral.Entry[V]
	var err error
	p.await(call("Get", key), p.patience(), func() { e, err = p.cache.Get(p.ctx, key) })
	p.must(call("Get", key), err)
	return e
}

// write sets without settling.
func (p *probe[K, V]) write(key K, e *corral.Entry[V]) {
	var err error
	p.await(call("Set", key), p.patience(), func() { err = p.cache.Set(p.ctx, key, e) })
	p.must(call("Set", key), err)
}

// settle fails if the entry was refused: Config.New makes a roomy cache.
func (p *probe[K, V]) settle(key K) { p.must(call("Settle", key), p.apply(key)) }

// apply waits until the last write of key is applied, with whatever outcome.
func (p *probe[K, V]) apply(key K) (err error) {
	if s, ok := p.cache.(corral.Settler[K]); ok {
		p.await(call("Settle", key), p.patience(), func() { err = s.Settle(p.ctx, key) })
	}
	return err
}

// discard sets an entry that must not stay. That may count as refused.
func (p *probe[K, V]) discard(key K, e *corral.Entry[V]) {
	p.write(key, e)
	if err := p.apply(key); !errors.Is(err, corral.ErrRefused) {
		p.must(call("Settle", key), err)
	}
}

// put sets and settles: from here on, the entry is there.
func (p *probe[K, V]) put(key K, e *corral.Entry[V]) {
	p.write(key, e)
	p.settle(key)
}

func (p *probe[K, V]) remove(key K) {
	var err error
	p.await(call("Delete", key), p.patience(), func() { err = p.cache.Delete(p.ctx, key) })
	p.must(call("Delete", key), err)
}

func (p *probe[K, V]) must(what string, err error) {
	if err != nil {
		p.failf("%s returned the error %q, want nil", what, err)
	}
}

// sleep moves the clocks on.
func (p *probe[K, V]) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	time.Sleep(d)
	if p.Advance != nil {
		p.Advance(d)
	}
}

func call(name string, key any) string { return fmt.Sprintf("%s(%s)", name, show(key)) }

// show is v on one line, cut where it would fill the screen.
func show(v any) string {
	text := []rune(fmt.Sprintf("%#v", v))
	if len(text) > 80 {
		return string(text[:80]) + "…"
	}
	return string(text)
}
