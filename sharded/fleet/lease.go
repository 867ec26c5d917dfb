package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/manykeys"
)

// leasing are the calls of a corral.BatchLeaser: each goes to the shard that its key
// is on.
type leasing[K comparable, V any] struct{ fleet *Fleet[K, V] }

// LeaseLife is the least of the shards' own; zero if they give no leases.
func (l leasing[K, V]) LeaseLife() (life time.Duration) {
	for _, m := range l.fleet.placed.Load().layout.members {
		if m.leaser == nil {
			return 0
		}
		if own := m.leaser.LeaseLife(); life == 0 || own < life {
			life = own
		}
	}
	return life
}

// Acquire asks the key's shard for its lease. While the topology changes it asks as
// well where the key was: what is there it copies, under the lease of the key's new
// shard, and who loads there it waits for.
func (l leasing[K, V]) Acquire(ctx context.Context, key K, r corral.LeaseRequest[V]) (corral.Lease[V], error) {
	s, err := l.route(ctx, key)
	if err != nil {
		return corral.Lease[V]{}, err
	}
	if s.phase != PhaseSwitch {
		lease, err := s.at.acquire(ctx, key, r)
		if !refused(err) {
			return lease, err
		}
		leases, err := l.orLent(ctx, []K{key}, []corral.LeaseRequest[V]{r}, nil, err)
		return first(leases), manykeys.Of(err, key)
	}
	leases, err := l.fleet.acquireMoved(ctx, s, []K{key}, []corral.LeaseRequest[V]{r})
	leases, err = l.orLent(ctx, []K{key}, []corral.LeaseRequest[V]{r}, leases, err)
	return first(leases), manykeys.Of(err, key)
}

// route is that of the fleet to a shard that has to give leases.
func (l leasing[K, V]) route(ctx context.Context, key K) (site[K, V], error) {
	s, err := l.fleet.route(ctx, key)
	if err == nil {
		err = s.at.mustLease()
	}
	return s, err
}

// Renew renews the lease where it was got.
func (l leasing[K, V]) Renew(ctx context.Context, key K, token string) error {
	s, err := l.route(ctx, key)
	if err != nil {
		return err
	}
	if s.other == nil && !compound(token) {
		return s.at.renew(ctx, key, token)
	}
	if own, ok := lent(token); ok {
		return l.atLent(ctx, key, func(m *member[K, V]) error { return m.renew(ctx, key, own) })
	}
	return manykeys.Of(s.renewMoved(ctx, []K{key}, []string{token}), key)
}

// Fill fills the shard where the lease was got.
func (l leasing[K, V]) Fill(ctx context.Context, key K, token string, e *corral.Entry[V]) error {
	s, err := l.route(ctx, key)
	if err != nil {
		return err
	}
	e = endsBy(e, l.fleet.opts.MaxLife)
	if s.other == nil && !compound(token) {
		return s.at.fill(ctx, key, token, e)
	}
	if own, ok := lent(token); ok {
		return l.atLent(ctx, key, func(m *member[K, V]) error { return m.fill(ctx, key, own, l.fleet.shortLived(e)) })
	}
	return manykeys.Of(s.fillMoved(ctx, []K{key}, []string{token}, []*corral.Entry[V]{e}, l.fleet.windowEnd()), key)
}

// Release releases the lease where it was got.
func (l leasing[K, V]) Release(ctx context.Context, key K, token string) error {
	s, err := l.route(ctx, key)
	if err != nil {
		return err
	}
	if s.other == nil && !compound(token) {
		return s.at.release(ctx, key, token)
	}
	if own, ok := lent(token); ok {
		return l.atLent(ctx, key, func(m *member[K, V]) error { return m.release(ctx, key, own) })
	}
	return manykeys.Of(s.releaseMoved(ctx, []K{key}, []string{token}), key)
}

// Watch tells when the lease at the key's shard, or where the key was, may have ended.
func (l leasing[K, V]) Watch(key K) (ended <-chan struct{}, stop func()) {
	s, err := l.route(context.Background(), key)
	if err != nil {
		return nil, func() {}
	}
	if !s.at.healthy() {
		if m := l.fleet.gutterOf(context.Background(), key); m != nil && m.leaser != nil {
			return m.leaser.Watch(key)
		}
	}
	if s.phase != PhaseSwitch {
		return s.at.leaser.Watch(key)
	}
	return watchBoth(s.at, s.other, &s.by.waits, key)
}

// watchBoth sends to one channel what is sent to two. While somebody loads at the old
// shard, it is of no interest that a lease ends at the new one: whoever gets that
// there gives it back, and they would wake each other for ever.
func watchBoth[K comparable, V any](at, other *member[K, V], busy *waits[K], key K) (<-chan struct{}, func()) {
	atNew, stopNew := at.leaser.Watch(key)
	atOld, stopOld := other.leaser.Watch(key)
	both, over, done := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-atNew:
				if busy.has(key) {
					continue
				}
			case <-atOld:
			case <-over:
				return
			}
			select {
			case both <- struct{}{}:
			default:
			}
		}
	}()
	return both, func() {
		close(over)
		<-done
		stopNew()
		stopOld()
	}
}

// AcquireMany is AcquireMany of every shard that a key is on. Shards that give one
// lease at a time are asked by single calls, 16 at once; so it is with the other
// calls of many leases.
func (l leasing[K, V]) AcquireMany(ctx context.Context, keys []K, requests []corral.LeaseRequest[V]) ([]corral.Lease[V], error) {
	if err := manykeys.Fit("fleet", len(keys), "requests", len(requests)); err != nil {
		return nil, err
	}
	return scatter(ctx, l.fleet, keys, func(ctx context.Context, s site[K, V], p part[K]) ([]corral.Lease[V], error) {
		requests := those(requests, p.at)
		acquire := s.at.acquireMany
		if s.phase == PhaseSwitch {
			acquire = func(ctx context.Context, keys []K, requests []corral.LeaseRequest[V]) ([]corral.Lease[V], error) {
				return l.fleet.acquireMoved(ctx, s, keys, requests)
			}
		}
		leases, err := acquire(ctx, p.keys, requests)
		return l.orLent(ctx, p.keys, requests, leases, err)
	})
}

// RenewMany is RenewMany of every shard that a key is on.
func (l leasing[K, V]) RenewMany(ctx context.Context, keys []K, tokens []string) error {
	return l.withTokens(ctx, keys, tokens, func(ctx context.Context, s site[K, V], p part[K], tokens []string, _ bool) error {
		return s.renewMoved(ctx, p.keys, tokens)
	})
}

// FillMany is FillMany of every shard that a key is on.
func (l leasing[K, V]) FillMany(ctx context.Context, keys []K, tokens []string, entries []*corral.Entry[V]) error {
	if err := manykeys.Fit("fleet", len(keys), "entries", len(entries)); err != nil {
		return errors.Join(err, manykeys.Fit("fleet", len(keys), "tokens", len(tokens)))
	}
	window := l.fleet.windowEnd()
	return l.withTokens(ctx, keys, tokens, func(ctx context.Context, s site[K, V], p part[K], tokens []string, lent bool) error {
		entries := allEndBy(those(entries, p.at), l.fleet.opts.MaxLife)
		if lent {
			entries = l.fleet.allShortLived(entries)
		}
		return s.fillMoved(ctx, p.keys, tokens, entries, window)
	})
}

// ReleaseMany is ReleaseMany of every shard that a key is on.
func (l leasing[K, V]) ReleaseMany(ctx context.Context, keys []K, tokens []string) error {
	return l.withTokens(ctx, keys, tokens, func(ctx context.Context, s site[K, V], p part[K], tokens []string, _ bool) error {
		return s.releaseMoved(ctx, p.keys, tokens)
	})
}

func (l leasing[K, V]) withTokens(ctx context.Context, keys []K, tokens []string,
	call func(ctx context.Context, s site[K, V], p part[K], tokens []string, lent bool) error) error {
	if err := manykeys.Fit("fleet", len(keys), "tokens", len(tokens)); err != nil {
		return err
	}
	_, err := scatter(ctx, l.fleet, keys, func(ctx context.Context, s site[K, V], p part[K]) ([]struct{}, error) {
		if err := s.at.mustLease(); err != nil {
			return nil, err
		}
		return make([]struct{}, len(p.keys)), l.splitLent(ctx, s, p, those(tokens, p.at), call)
	})
	return err
}

// giveBack releases leases that nobody wants. Others wait for them, so they are released
// also when ctx has ended: then for releaseTimeout at the most, and in the background. Those
// that are not released end by themselves.
func (f *Fleet[K, V]) giveBack(ctx context.Context, release func(ctx context.Context) error) {
	if ctx.Err() == nil {
		_ = release(ctx)
		return
	}
	w := f.ward
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	w.probes.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer cancel()
		_, _ = bounded.Do(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, release(ctx) })
	})
}

func first[T any](all []T) (v T) {
	if len(all) > 0 {
		v = all[0]
	}
	return v
}
