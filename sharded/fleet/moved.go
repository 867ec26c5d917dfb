package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/manykeys"
)

// A lease of a key that moves is two: one at its new shard, under which what is
// copied or loaded is stored, and one at its old shard, so that nobody loads by the
// old topology at the same time. A compound token names both. A bare one is that of
// a single lease: of the old shard until the change closes, for it was got before the
// switch, else of the shard that the key is on.
const tokenMark = "corral.fleet:"

func compound(token string) bool { return strings.HasPrefix(token, tokenMark) }

func join(newer, older string) string {
	return fmt.Sprintf("%s%d:%s%s", tokenMark, len(newer), newer, older)
}

// tokens takes a token apart. Either part may be empty.
func (s site[K, V]) tokens(token string) (at, other string) {
	newer, older := "", ""
	if rest, ok := strings.CutPrefix(token, tokenMark); ok {
		var n int
		if length, both, ok := strings.Cut(rest, ":"); ok {
			if _, err := fmt.Sscan(length, &n); err == nil && n >= 0 && n <= len(both) {
				newer, older = both[:n], both[n:]
			}
		}
	} else if older = token; s.other == nil || s.phase == PhaseClose {
		return token, ""
	}
	if s.phase == PhasePrepare { // at is the old owner
		return older, newer
	}
	return newer, older
}

// acquireMoved asks for the leases of keys that move from s.other to s.at: first for
// those at s.at. For the keys of which it gets them it asks s.other, which answers
// with what is there, with its lease, or that somebody loads there.
func (f *Fleet[K, V]) acquireMoved(ctx context.Context, s site[K, V], keys []K, requests []corral.LeaseRequest[V]) ([]corral.Lease[V], error) {
	leases, err := s.at.acquireMany(ctx, keys, requests)
	if !manykeys.Partial[K](err) || len(leases) != len(keys) {
		return leases, err
	}
	var held batch[K]
	var asks []corral.LeaseRequest[V]
	for i, key := range keys {
		s.by.waits.note(key, false)
		if manykeys.Of(err, key) == nil && leases[i].State == corral.LeaseHeld {
			r := requests[i]
			leases[i].Token = cmp.Or(leases[i].Token, r.Token)
			r.Seen, r.Force = nil, r.Force || !leases[i].Empty // what is at s.at is not older
			held.add(key, leases[i].Token, i)
			asks = append(asks, r)
		}
	}
	switch {
	case len(asks) == 0:
		return leases, err
	case !f.still(s.by):
		f.giveBack(ctx, func(ctx context.Context) error { return s.at.releaseMany(ctx, held.keys, held.tokens) })
		return leases, manykeys.Join(keys, err, manykeys.Join(held.keys, errReplaced))
	}
	f.askOther(ctx, s, held, asks, leases)
	return leases, err
}

// errReplaced is what comes of a copy that has got its lease so late that the topology is
// another one by then. From where it would read nobody may delete any more; or keys move
// the other way now, and writes come to its lease before they come to what it reads.
var errReplaced = errors.New("fleet: the topology changed meanwhile")

// askOther asks the old shard for the keys of which the leases at the new one are
// held, and puts into leases what comes of it. From a shard that fails there is
// nothing to copy, and nobody loads there.
func (f *Fleet[K, V]) askOther(ctx context.Context, s site[K, V], held batch[K], asks []corral.LeaseRequest[V], leases []corral.Lease[V]) {
	f.numbers.routes.oldOwner.Add(uint64(len(held.keys)))
	there, err := s.other.acquireToCopy(ctx, held.keys, asks)
	if manykeys.Partial[K](err) && len(there) != len(held.keys) {
		err = manykeys.Fit("fleet", len(held.keys), "leases of a shard", len(there))
	}
	var found, busy batch[K]
	var entries []*corral.Entry[V]
	for j, key := range held.keys {
		i, token := held.at[j], held.tokens[j]
		err := manykeys.Of(err, key)
		switch {
		case err != nil:
			f.copyError(ctx, s.other, err)
			leases[i].Token = join(token, "")
		case there[j].State == corral.LeaseBusy:
			busy.add(key, token, i)
			s.by.waits.note(key, true)
			leases[i] = corral.Lease[V]{State: corral.LeaseBusy, Left: there[j].Left, Empty: leases[i].Empty && there[j].Empty}
		case there[j].State == corral.LeaseChanged && there[j].Entry != nil:
			found.add(key, token, i)
			entries = append(entries, endsBy(there[j].Entry, f.opts.MaxLife))
		default:
			leases[i].Token = join(token, cmp.Or(there[j].Token, asks[j].Token))
		}
	}
	if len(busy.keys) > 0 { // who loads there stores there, and from there we copy
		f.giveBack(ctx, func(ctx context.Context) error { return s.at.releaseMany(ctx, busy.keys, busy.tokens) })
	}
	if len(found.keys) > 0 {
		f.copyTo(ctx, s.at, found, entries, leases)
	}
}

// copyTo stores what was found at the old shard under the leases of the new one. If
// a write has ended a lease, what was found is what it replaced: the key is to be
// asked for anew.
func (f *Fleet[K, V]) copyTo(ctx context.Context, to *member[K, V], found batch[K], entries []*corral.Entry[V], leases []corral.Lease[V]) {
	f.numbers.moved.found.Add(uint64(len(found.keys)))
	err := to.fillMany(ctx, found.keys, found.tokens, entries)
	for j, key := range found.keys {
		err := manykeys.Of(err, key)
		f.numbers.moved.stored(err)
		if errors.Is(err, corral.ErrLeaseLost) {
			leases[found.at[j]] = corral.Lease[V]{State: corral.LeaseBusy, Left: time.Millisecond, Empty: true}
			continue
		}
		leases[found.at[j]] = corral.Lease[V]{State: corral.LeaseChanged, Entry: entries[j]}
		if err != nil {
			f.copyError(ctx, to, err)
		}
	}
}

// renewMoved renews where the leases were got: at the shard that stores, and, so that
// nobody else loads, at the other.
func (s site[K, V]) renewMoved(ctx context.Context, keys []K, tokens []string) error {
	return s.eachToken(keys, tokens,
		func(keys []K, tokens []string, _ []int) error { return s.at.renewMany(ctx, keys, tokens) },
		func(keys []K, tokens []string, _ []int, alone bool) error {
			err := s.other.renewMany(ctx, keys, tokens)
			if alone {
				return err
			}
			return nil
		})
}

// fillMoved stores where the leases were got. What is stored at a shard that will be
// looked at no longer than until window ends by then.
func (s site[K, V]) fillMoved(ctx context.Context, keys []K, tokens []string, entries []*corral.Entry[V], window time.Time) error {
	return s.eachToken(keys, tokens,
		func(keys []K, tokens []string, at []int) error {
			return s.at.fillMany(ctx, keys, tokens, those(entries, at))
		},
		func(keys []K, tokens []string, at []int, alone bool) error {
			if !alone {
				_ = s.other.releaseMany(ctx, keys, tokens) // it ends by itself
				return nil
			}
			ending := those(entries, at)
			for i, e := range ending {
				ending[i] = endsAt(e, window)
			}
			return s.other.fillMany(ctx, keys, tokens, ending)
		})
}

func (s site[K, V]) releaseMoved(ctx context.Context, keys []K, tokens []string) error {
	return s.eachToken(keys, tokens,
		func(keys []K, tokens []string, _ []int) error { return s.at.releaseMany(ctx, keys, tokens) },
		func(keys []K, tokens []string, _ []int, _ bool) error { return s.other.releaseMany(ctx, keys, tokens) })
}

// eachToken calls at with the keys that have a token of s.at, and then other with
// those that have one of s.other: alone says that it is the only one.
func (s site[K, V]) eachToken(keys []K, tokens []string, at func([]K, []string, []int) error, other func([]K, []string, []int, bool) error) error {
	var both, alone, stored batch[K]
	for i, key := range keys {
		a, o := s.tokens(tokens[i])
		switch {
		case s.other == nil || o == "":
			stored.add(key, a, i)
		case a == "":
			alone.add(key, o, i)
		default:
			stored.add(key, a, i)
			both.add(key, o, i)
		}
	}
	var errs []error
	for _, part := range []struct {
		batch[K]
		call func() error
	}{
		{stored, func() error { return at(stored.keys, stored.tokens, stored.at) }},
		{both, func() error { return other(both.keys, both.tokens, both.at, false) }},
		{alone, func() error { return other(alone.keys, alone.tokens, alone.at, true) }},
	} {
		if len(part.keys) > 0 {
			errs = append(errs, manykeys.Join(part.keys, part.call()))
		}
	}
	return manykeys.Join(keys, errs...)
}

// batch are some of the keys of a call, with their tokens.
type batch[K comparable] struct {
	keys   []K
	tokens []string
	at     []int // where they were among all
}

func (b *batch[K]) add(key K, token string, at int) {
	b.keys, b.tokens, b.at = append(b.keys, key), append(b.tokens, token), append(b.at, at)
}

// waits are the keys that somebody loads at their old shard, as far as this process
// has asked.
type waits[K comparable] struct {
	mu   sync.Mutex
	keys map[K]struct{} // guarded by mu
}

func (w *waits[K]) note(key K, waits bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !waits {
		delete(w.keys, key)
		return
	}
	if w.keys == nil {
		w.keys = map[K]struct{}{}
	}
	w.keys[key] = struct{}{}
}

func (w *waits[K]) has(key K) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.keys[key]
	return ok
}
