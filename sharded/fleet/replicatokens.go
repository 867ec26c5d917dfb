package fleet

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/manykeys"
)

// sealedMark begins the token of leases at replicas of a group: it names each, so that
// they are found again whatever is out by then. A token without it is that of a lease of
// a shard that had no replicas yet, or of an attempt whose answer got lost.
const sealedMark = "corral.group:"

// sealed returns the token of leases.
func sealed[K comparable, V any](held []holding[K, V]) string {
	b := []byte(sealedMark)
	for _, h := range held {
		for _, text := range []string{h.at.shard.ID, h.token} {
			b = strconv.AppendInt(b, int64(len(text)), 10)
			b = append(b, ':')
			b = append(b, text...)
		}
	}
	return string(b)
}

// asked reports whether anybody looks at what is stored at the replica.
func (m *replica[K, V]) asked() bool { return m.read || m.was }

// unsealed returns the leases of a token, as far as it is of use to store there: what
// nobody looks at would be found by who takes the replica back. Of any other token it is
// one at each replica, and named is false.
func (r *replicas[K, V]) unsealed(token string) (held []holding[K, V], named bool) {
	rest, named := strings.CutPrefix(token, sealedMark)
	if !named {
		for i := range r.all {
			if r.all[i].asked() {
				held = append(held, holding[K, V]{&r.all[i], token})
			}
		}
		return held, false
	}
	for rest != "" {
		var texts [2]string
		for i := range texts {
			length, after, _ := strings.Cut(rest, ":")
			n, err := strconv.Atoi(length)
			if err != nil || n < 0 || n > len(after) {
				return nil, true
			}
			texts[i], rest = after[:n], after[n:]
		}
		for i := range r.all {
			if m := &r.all[i]; m.shard.ID == texts[0] && m.asked() {
				held = append(held, holding[K, V]{m, texts[1]})
			}
		}
	}
	return held, true
}

// Renew is RenewMany of one key.
func (r *replicas[K, V]) Renew(ctx context.Context, key K, token string) error {
	return manykeys.Of(r.RenewMany(ctx, []K{key}, []string{token}), key)
}

// Fill is FillMany of one key.
func (r *replicas[K, V]) Fill(ctx context.Context, key K, token string, e *corral.Entry[V]) error {
	return manykeys.Of(r.FillMany(ctx, []K{key}, []string{token}, []*corral.Entry[V]{e}), key)
}

// Release is ReleaseMany of one key.
func (r *replicas[K, V]) Release(ctx context.Context, key K, token string) error {
	return manykeys.Of(r.ReleaseMany(ctx, []K{key}, []string{token}), key)
}

// RenewMany renews each lease where it is held. One that a write has ended at the first
// of the replicas is lost: it is about to end at the others.
func (r *replicas[K, V]) RenewMany(ctx context.Context, keys []K, tokens []string) error {
	return r.withHeld(keys, tokens, func(m *replica[K, V], keys []K, tokens []string, _ []int) error {
		return m.renewSome(ctx, keys, tokens)
	}, nil, func(_ int, named bool) bool { return named })
}

// ReleaseMany releases each lease where it is held.
func (r *replicas[K, V]) ReleaseMany(ctx context.Context, keys []K, tokens []string) error {
	err := r.withHeld(keys, tokens, func(m *replica[K, V], keys []K, tokens []string, _ []int) error {
		return m.releaseSome(ctx, keys, tokens)
	}, nil, func(int, bool) bool { return false })
	return manykeys.Each(keys, func(i int) error {
		if err := manykeys.Of(err, keys[i]); !errors.Is(err, corral.ErrLeaseLost) { // of a replica that left
			return err
		}
		return nil
	})
}

// FillMany stores each entry where its leases are held, at the key's holder first. If a
// lease is lost there, it is stored nowhere.
func (r *replicas[K, V]) FillMany(ctx context.Context, keys []K, tokens []string, entries []*corral.Entry[V]) error {
	if err := manykeys.Fit("fleet", len(keys), "entries", len(entries)); err != nil {
		return err
	}
	lost := make([]bool, len(keys))
	return r.withHeld(keys, tokens, func(m *replica[K, V], keys []K, tokens []string, at []int) error {
		var to, back part[K]
		var fill []*corral.Entry[V]
		var with [2][]string
		for j, i := range at {
			if lost[i] {
				back.keys, with[1] = append(back.keys, keys[j]), append(with[1], tokens[j])
				continue
			}
			e := entries[i]
			if !m.read {
				e = endsAt(e, r.window)
			}
			to.keys, with[0], fill = append(to.keys, keys[j]), append(with[0], tokens[j]), append(fill, e)
		}
		var errs []error
		if len(back.keys) > 0 {
			_ = m.releaseSome(ctx, back.keys, with[1]) // they end by themselves
			errs = append(errs, manykeys.Each(back.keys, func(int) error { return corral.ErrLeaseLost }))
		}
		if len(to.keys) > 0 {
			errs = append(errs, manykeys.Join(to.keys, m.fillSome(ctx, to.keys, with[0], fill)))
		}
		return manykeys.Join(keys, errs...)
	}, lost, func(i int, named bool) bool { return !named && entries[i] == nil }) // a replica that holds nothing says so of any token
}

// withHeld makes a call for each lease that tokens stand for, and returns of each key
// what its leases came to together: nil if one went well and, where all of them count,
// none is lost.
func (r *replicas[K, V]) withHeld(keys []K, tokens []string, call func(m *replica[K, V], keys []K, tokens []string, at []int) error,
	lost []bool, all func(i int, named bool) bool) error {
	if err := manykeys.Fit("fleet", len(keys), "tokens", len(tokens)); err != nil {
		return err
	}
	held, named := make([][]holding[K, V], len(keys)), make([]bool, len(keys))
	for i, token := range tokens {
		held[i], named[i] = r.unsealed(token)
	}
	well, errs := make([]bool, len(keys)), make([]error, len(keys))
	eachHeld(keys, held, call, func(h holding[K, V], i int, err error) {
		switch {
		case err == nil:
			well[i] = true
			return
		case !errors.Is(err, corral.ErrLeaseLost):
			if errs[i] == nil {
				errs[i] = err
			}
		case named[i] || all(i, false):
			errs[i] = corral.ErrLeaseLost
			if lost != nil {
				lost[i] = named[i] && !well[i]
			}
		}
	})
	return manykeys.Each(keys, func(i int) error {
		switch {
		case well[i] && !(all(i, named[i]) && errors.Is(errs[i], corral.ErrLeaseLost)):
			return nil
		case !well[i] && errs[i] == nil:
			return corral.ErrLeaseLost
		}
		return errs[i]
	})
}

// Watch tells when the lease of key may have ended where this process reads, or at the
// key's holder.
func (r *replicas[K, V]) Watch(key K) (ended <-chan struct{}, stop func()) {
	w, err := r.way(key)
	if err != nil || len(w.steps) == 0 {
		return nil, func() {}
	}
	here, there := w.steps[0], w.steps[len(w.steps)-1]
	if here == there {
		return here.leaser.Watch(key)
	}
	return watchBoth(here.member, there.member, &r.waits, key)
}

func (m *member[K, V]) getSome(ctx context.Context, keys []K) ([]*corral.Entry[V], error) {
	if len(keys) > 1 {
		return m.getMany(ctx, whole, keys)
	}
	e, err := m.get(ctx, whole, keys[0])
	return []*corral.Entry[V]{e}, manykeys.Each(keys, func(int) error { return err })
}

func (m *member[K, V]) acquireSome(ctx context.Context, keys []K, asks []corral.LeaseRequest[V]) ([]corral.Lease[V], error) {
	if len(keys) > 1 {
		return m.acquireMany(ctx, keys, asks)
	}
	l, err := m.acquire(ctx, keys[0], asks[0])
	return []corral.Lease[V]{l}, manykeys.Each(keys, func(int) error { return err })
}

func (m *member[K, V]) renewSome(ctx context.Context, keys []K, tokens []string) error {
	if len(keys) > 1 {
		return m.renewMany(ctx, keys, tokens)
	}
	return m.renew(ctx, keys[0], tokens[0])
}

func (m *member[K, V]) fillSome(ctx context.Context, keys []K, tokens []string, entries []*corral.Entry[V]) error {
	if len(keys) > 1 {
		return m.fillMany(ctx, keys, tokens, entries)
	}
	return m.fill(ctx, keys[0], tokens[0], entries[0])
}

func (m *member[K, V]) releaseSome(ctx context.Context, keys []K, tokens []string) error {
	if len(keys) > 1 {
		return m.releaseMany(ctx, keys, tokens)
	}
	return m.release(ctx, keys[0], tokens[0])
}
