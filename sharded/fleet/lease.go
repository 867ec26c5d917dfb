package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/manykeys"
)

// leasing are the calls of a corral.BatchLeaser: each goes to the shard that its key
// is on.
type leasing[K comparable, V any] struct{ fleet *Fleet[K, V] }

// LeaseLife is the least of the shards' own; zero if they give no leases.
func (l leasing[K, V]) LeaseLife() (life time.Duration) {
	for _, m := range l.fleet.layout.members {
		if m.leaser == nil {
			return 0
		}
		if own := m.leaser.LeaseLife(); life == 0 || own < life {
			life = own
		}
	}
	return life
}

// route is that of the fleet to a shard that has to give leases.
func (l leasing[K, V]) route(ctx context.Context, key K) (*member[K, V], error) {
	m, err := l.fleet.route(ctx, key)
	if err == nil {
		err = m.mustLease()
	}
	return m, err
}

func (m *member[K, V]) mustLease() error {
	if m.leaser == nil {
		return &AbilityError{Shard: m.shard.ID, Ability: leaserOn}
	}
	return nil
}

const leaserOn = "Leaser whose leases are on"

// Acquire asks the key's shard for its lease.
func (l leasing[K, V]) Acquire(ctx context.Context, key K, r corral.LeaseRequest[V]) (corral.Lease[V], error) {
	m, err := l.route(ctx, key)
	if err != nil {
		return corral.Lease[V]{}, err
	}
	return m.leaser.Acquire(ctx, key, r)
}

// Renew renews the lease at the key's shard.
func (l leasing[K, V]) Renew(ctx context.Context, key K, token string) error {
	m, err := l.route(ctx, key)
	if err != nil {
		return err
	}
	return m.leaser.Renew(ctx, key, token)
}

// Fill fills the key's shard.
func (l leasing[K, V]) Fill(ctx context.Context, key K, token string, e *corral.Entry[V]) error {
	m, err := l.route(ctx, key)
	if err != nil {
		return err
	}
	return m.leaser.Fill(ctx, key, token, e)
}

// Release releases the lease at the key's shard.
func (l leasing[K, V]) Release(ctx context.Context, key K, token string) error {
	m, err := l.route(ctx, key)
	if err != nil {
		return err
	}
	return m.leaser.Release(ctx, key, token)
}

// Watch tells when the lease at the key's shard may have ended.
func (l leasing[K, V]) Watch(key K) (ended <-chan struct{}, stop func()) {
	m, err := l.route(context.Background(), key)
	if err != nil {
		return nil, func() {}
	}
	return m.leaser.Watch(key)
}

// AcquireMany is AcquireMany of every shard that a key is on. Shards that give one
// lease at a time are asked by single calls, 16 at once; so it is with the other
// calls of many leases.
func (l leasing[K, V]) AcquireMany(ctx context.Context, keys []K, requests []corral.LeaseRequest[V]) ([]corral.Lease[V], error) {
	if err := manykeys.Fit("fleet", len(keys), "requests", len(requests)); err != nil {
		return nil, err
	}
	return scatter(ctx, l.fleet, keys, func(ctx context.Context, m *member[K, V], p part[K]) ([]corral.Lease[V], error) {
		requests := those(requests, p.at)
		switch {
		case m.leaser == nil:
			return nil, m.mustLease()
		case m.leaserMany != nil:
			return m.leaserMany.AcquireMany(ctx, p.keys, requests)
		}
		leases := make([]corral.Lease[V], len(p.keys))
		return leases, manykeys.InTurns(p.keys, "the shard", errExited, func(i int) (err error) {
			leases[i], err = m.leaser.Acquire(ctx, p.keys[i], requests[i])
			return err
		})
	})
}

// RenewMany is RenewMany of every shard that a key is on.
func (l leasing[K, V]) RenewMany(ctx context.Context, keys []K, tokens []string) error {
	return l.withTokens(ctx, keys, tokens, func(ctx context.Context, m *member[K, V], p part[K], tokens []string) error {
		if m.leaserMany != nil {
			return m.leaserMany.RenewMany(ctx, p.keys, tokens)
		}
		return manykeys.InTurns(p.keys, "the shard", errExited, func(i int) error { return m.leaser.Renew(ctx, p.keys[i], tokens[i]) })
	})
}

// FillMany is FillMany of every shard that a key is on.
func (l leasing[K, V]) FillMany(ctx context.Context, keys []K, tokens []string, entries []*corral.Entry[V]) error {
	if err := manykeys.Fit("fleet", len(keys), "entries", len(entries)); err != nil {
		return errors.Join(err, manykeys.Fit("fleet", len(keys), "tokens", len(tokens)))
	}
	return l.withTokens(ctx, keys, tokens, func(ctx context.Context, m *member[K, V], p part[K], tokens []string) error {
		entries := those(entries, p.at)
		if m.leaserMany != nil {
			return m.leaserMany.FillMany(ctx, p.keys, tokens, entries)
		}
		return manykeys.InTurns(p.keys, "the shard", errExited, func(i int) error { return m.leaser.Fill(ctx, p.keys[i], tokens[i], entries[i]) })
	})
}

// ReleaseMany is ReleaseMany of every shard that a key is on.
func (l leasing[K, V]) ReleaseMany(ctx context.Context, keys []K, tokens []string) error {
	return l.withTokens(ctx, keys, tokens, func(ctx context.Context, m *member[K, V], p part[K], tokens []string) error {
		if m.leaserMany != nil {
			return m.leaserMany.ReleaseMany(ctx, p.keys, tokens)
		}
		return manykeys.InTurns(p.keys, "the shard", errExited, func(i int) error { return m.leaser.Release(ctx, p.keys[i], tokens[i]) })
	})
}

func (l leasing[K, V]) withTokens(ctx context.Context, keys []K, tokens []string,
	call func(ctx context.Context, m *member[K, V], p part[K], tokens []string) error) error {
	if err := manykeys.Fit("fleet", len(keys), "tokens", len(tokens)); err != nil {
		return err
	}
	return each(ctx, l.fleet, keys, func(ctx context.Context, m *member[K, V], p part[K]) error {
		if err := m.mustLease(); err != nil {
			return err
		}
		return call(ctx, m, p, those(tokens, p.at))
	})
}
