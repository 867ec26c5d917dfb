package adaptertest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/corralcache/corral"
)

// batchLeaseClauses are about the leases of many keys.
func batchLeaseClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "batch-acquire",
			rule:  "AcquireMany answers for each key, in its place, what Acquire of it answers: held, busy, or changed with its entry.",
			why:   "A bulk load loads what it holds, waits for what is busy and serves what has changed. An answer in another's place loads what another process loads, and serves one key's entry under another.",
			cause: "A script for all keys that returns at the first that is busy; replies matched to the keys whose leases were had.",
			when:  batchLeasing[K, V],
			check: between(checkBatchAcquire[K, V]),
		},
		{
			name:  "batch-seen",
			rule:  "An entry that GetMany returned is known again by AcquireMany and Acquire, and a replaced one is not.",
			why:   "Without it no refresh that begins with a bulk read ever gets a lease.",
			cause: "Version left zero, or another one, in what GetMany returns.",
			when:  batchLeasing[K, V],
			check: between(checkBatchSeen[K, V]),
		},
		{
			name:  "batch-renew",
			rule:  "RenewMany gives each lease its whole life again. Tokens that have none are ErrLeaseLost in a *KeyErrors, under their keys alone.",
			why:   "One lost lease would end the renewal of all, and other processes load what is still being loaded.",
			cause: "The first ErrLeaseLost returned for the whole call; a loop that ends there.",
			when:  batchLeasing[K, V],
			check: between(checkBatchRenew[K, V]),
		},
		{
			name:  "batch-fill",
			rule:  "FillMany stores each entry whose token has the lease, deletes for nil, and ends those leases. Tokens that have none change nothing and are ErrLeaseLost in a *KeyErrors, under their keys alone. Repeated, it says the same.",
			why:   "A delete during a bulk load would throw away what was loaded for all other keys, or be undone with them.",
			cause: "One transaction for all; tokens looked at first and entries written after.",
			when:  batchLeasing[K, V],
			check: between(checkBatchFill[K, V]),
		},
		{
			name:  "batch-release",
			rule:  "ReleaseMany ends the leases of its own tokens, leaves others' and the entries, and is no error.",
			why:   "A bulk load that failed would keep other processes waiting, or end their leases.",
			cause: "A plain delete of the leases; an error for what is gone already.",
			when:  batchLeasing[K, V],
			check: between(checkBatchRelease[K, V]),
		},
		{
			name:  "batch-lease-ends",
			rule:  "SetMany and DeleteMany end the leases of their keys, in one step with each write: a Fill that comes later is refused.",
			why:   "The load that is under way brings back what was deleted, in every process.",
			cause: "MSET and DEL of the entries alone.",
			when:  func(cfg *Config[K, V]) bool { return batching(cfg) && leasing(cfg) },
			check: between(checkBatchLeaseEnds[K, V]),
		},
		{
			name:  "batch-lease-undecodable",
			rule:  "Bytes of one key that nobody can read keep no other key of an AcquireMany from its answer. That key is held, or ErrUndecodable in a *KeyErrors.",
			why:   "One broken value would stop every bulk load that asks for it.",
			cause: "The first error of a decoding returned for the whole call.",
			when:  func(cfg *Config[K, V]) bool { return cfg.Corrupt != nil && batchLeasing(cfg) },
			check: between(checkBatchLeaseUndecodable[K, V]),
		},
	}
}

func batchLeasing[K comparable, V any](cfg *Config[K, V]) bool {
	return !cfg.seen.known || cfg.seen.batchLeases
}

// attempts are loads of several keys that ask for their leases at once.
type attempts[K comparable, V any] struct {
	p      *probe[K, V]
	leaser corral.BatchLeaser[K, V]
	keys   []K
	each   []*attempt[K, V]
	where  string
}

// attempts returns nil for a cache that leases one key at a time.
func (p *probe[K, V]) attempts(through corral.Cache[K, V], keys ...K) *attempts[K, V] {
	l, ok := through.(corral.BatchLeaser[K, V])
	if !ok {
		if _, has := p.cache.(corral.BatchLeaser[K, V]); has {
			p.failf("%T, as Config.Other returned it, is no corral.BatchLeaser, and the cache under test is", through)
		}
		return nil
	}
	all := &attempts[K, V]{p: p, leaser: l, keys: keys}
	for _, key := range keys {
		all.each = append(all.each, p.attempt(through, key))
		all.where = all.each[0].where
	}
	return all
}

func (all *attempts[K, V]) call(name string) string { return callMany(name, all.keys) + all.where }

func (all *attempts[K, V]) grants() (tokens []string) {
	for _, a := range all.each {
		tokens = append(tokens, a.grant)
	}
	return tokens
}

// tryAcquire notes the tokens of what is held. Of a key with an error nothing
// else is said.
func (all *attempts[K, V]) tryAcquire(requests []corral.LeaseRequest[V]) (leases []corral.Lease[V], err error) {
	for n, a := range all.each {
		requests[n].Token = a.token
	}
	all.p.await(all.call("AcquireMany"), all.p.patience(), func() {
		leases, err = all.leaser.AcquireMany(all.p.ctx, all.keys, requests)
	})
	var some *corral.KeyErrors[K]
	if len(leases) != len(all.keys) && (err == nil || errors.As(err, &some)) {
		all.p.failf("%s returned %d leases, want %d", all.call("AcquireMany"), len(leases), len(all.keys))
	}
	for n, l := range leases {
		if of(err, all.keys[n]) == nil && l.State == corral.LeaseHeld {
			all.each[n].grant = cmp.Or(l.Token, all.each[n].token)
		}
	}
	return leases, err
}

func (all *attempts[K, V]) acquire(requests ...corral.LeaseRequest[V]) []corral.Lease[V] {
	leases, err := all.tryAcquire(requests)
	all.p.must(all.call("AcquireMany"), err)
	return leases
}

// take has all leases, whatever is stored.
func (all *attempts[K, V]) take() {
	requests := make([]corral.LeaseRequest[V], len(all.keys))
	for n := range requests {
		requests[n].Force = true
	}
	for n, l := range all.acquire(requests...) {
		if l.State != corral.LeaseHeld {
			all.p.failf("%s with Force, of keys that nobody has leased, is %s for %s, want held",
				all.call("AcquireMany"), all.each[n].show(l), show(all.keys[n]))
		}
	}
}

// wantState fails unless the n-th answer is this.
func (all *attempts[K, V]) wantState(leases []corral.Lease[V], n int, want corral.LeaseState, empty bool, when string) {
	if l := leases[n]; l.State != want || l.Empty != empty || (l.Entry != nil) != (want == corral.LeaseChanged) {
		all.p.failf("%s is, in the place of %s, %s, %s, want %s", all.call("AcquireMany"), show(all.keys[n]), when,
			all.each[n].show(l), all.each[n].show(corral.Lease[V]{State: want, Empty: empty}))
	}
}

// wantLostOnly fails unless err says ErrLeaseLost of these keys, and nothing of
// the others.
func (all *attempts[K, V]) wantLostOnly(name string, err error, lost ...int) {
	var some *corral.KeyErrors[K]
	if !errors.As(err, &some) || some == nil || len(some.Errors) != len(lost) {
		all.p.failf("%s returned %v, want a *KeyErrors for the %d keys whose leases are lost", all.call(name), err, len(lost))
	}
	for _, n := range lost {
		if e := some.Errors[all.keys[n]]; !errors.Is(e, corral.ErrLeaseLost) {
			all.p.failf("%s returned %v for %s, want ErrLeaseLost", all.call(name), e, show(all.keys[n]))
		}
	}
}

func (all *attempts[K, V]) tryRenew() (err error) {
	all.p.await(all.call("RenewMany"), all.p.patience(), func() { err = all.leaser.RenewMany(all.p.ctx, all.keys, all.grants()) })
	return err
}

func (all *attempts[K, V]) tryFill(entries ...*corral.Entry[V]) (err error) {
	all.p.await(all.call("FillMany"), all.p.patience(), func() {
		err = all.leaser.FillMany(all.p.ctx, all.keys, all.grants(), entries)
	})
	return err
}

func (all *attempts[K, V]) release() {
	var err error
	all.p.await(all.call("ReleaseMany"), all.p.patience(), func() {
		err = all.leaser.ReleaseMany(all.p.ctx, all.keys, all.grants())
	})
	all.p.must(all.call("ReleaseMany"), err)
}

func checkBatchAcquire[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	all := p.attempts(rival, key(0), key(1), key(2), key(3), key(4), key(5), key(6))
	if all == nil {
		return
	}
	p.put(key(0), p.entry(0))
	busy, forced := p.attempt(p.cache, key(2)), p.attempt(p.cache, key(6))
	busy.take("of a key that nobody has leased")
	p.put(key(3), p.entry(3))
	p.put(key(5), p.entry(5))
	p.put(key(6), p.entry(6))
	forced.take("of a key that nobody has leased")
	leases := all.acquire(
		corral.LeaseRequest[V]{},
		corral.LeaseRequest[V]{},
		corral.LeaseRequest[V]{},
		corral.LeaseRequest[V]{Seen: p.look(rival, key(3))},
		corral.LeaseRequest[V]{Seen: p.look(rival, key(3))},
		corral.LeaseRequest[V]{Force: true},
		corral.LeaseRequest[V]{Force: true})
	all.wantState(leases, 0, corral.LeaseChanged, false, "where an unseen entry is,")
	all.wantState(leases, 1, corral.LeaseHeld, true, "where nothing is,")
	all.wantState(leases, 2, corral.LeaseBusy, true, "which another has leased,")
	all.wantState(leases, 3, corral.LeaseHeld, false, "where the entry is that was seen,")
	all.wantState(leases, 4, corral.LeaseHeld, true, "where the entry that was seen is gone,")
	all.wantState(leases, 5, corral.LeaseHeld, false, "with Force, where an entry is,")
	all.wantState(leases, 6, corral.LeaseBusy, false, "with Force, which another has leased,")
	if diff := p.differ(leases[0].Entry, p.entryOf(0, leases[0].Entry)); diff != "" {
		p.failf("%s gave for %s an entry with %s", all.call("AcquireMany"), show(key(0)), diff)
	}
	if left := leases[2].Left; left < 0 || left > p.leaseLife()+p.Granularity {
		p.failf("%s gave for %s Left %v, want zero or up to %v", all.call("AcquireMany"), show(key(2)), left, p.leaseLife())
	}
	busy.renew("after another asked with AcquireMany")
	forced.renew("after another asked with AcquireMany and Force")
	for _, n := range []int{1, 3, 4, 5} {
		all.each[n].renew("that AcquireMany gave")
		p.attempt(p.cache, key(n)).wantNotHeld("which AcquireMany gave to another")
	}
	if none := p.attempts(rival).acquire(); len(none) != 0 {
		p.failf("AcquireMany of no keys returned %d leases", len(none))
	}
}

// entryOf is the entry of number n, of the age of another.
func (p *probe[K, V]) entryOf(n int, other *corral.Entry[V]) *corral.Entry[V] {
	e := p.entry(n)
	e.LoadedAt = other.LoadedAt
	return e
}

func (a *attempt[K, V]) wantNotHeld(when string) {
	if l := a.acquire(corral.LeaseRequest[V]{Force: true}); l.State != corral.LeaseBusy {
		a.p.failf("%s of a lease %s is %s, want busy", a.call("Acquire"), when, a.show(l))
	}
}

func checkBatchSeen[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	keys := []K{key(0), key(1), key(2)}
	all, b := p.attempts(rival, keys...), p.batch(p.shared(rival))
	if all == nil || b == nil {
		return
	}
	for n, k := range keys {
		p.put(k, p.entry(n))
	}
	seen := b.get(keys)
	later := p.entry(4)
	later.Keep *= 2 // a bare value is known by its end
	p.put(key(1), later)
	leases := all.acquire(corral.LeaseRequest[V]{Seen: seen[0]}, corral.LeaseRequest[V]{Seen: seen[1]}, corral.LeaseRequest[V]{Seen: seen[2]})
	all.wantState(leases, 0, corral.LeaseHeld, false, "where the entry is that GetMany returned,")
	all.wantState(leases, 1, corral.LeaseChanged, false, "where another entry is than GetMany returned,")
	all.wantState(leases, 2, corral.LeaseHeld, false, "where the entry is that GetMany returned,")
	all.release()
	p.attempt(rival, key(0)).wantHeld(seen[0], false, "by one that saw what GetMany returned")
}

// shared is what the processes share of a cache: of a layered one, far.
func (p *probe[K, V]) shared(through corral.Cache[K, V]) corral.Cache[K, V] {
	if l, ok := through.(corral.Layered[K, V]); ok {
		_, through = l.Layers()
	}
	return through
}

func checkBatchRenew[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	all := p.attempts(rival, key(0), key(1), key(2), key(3))
	if all == nil {
		return
	}
	all.take()
	p.must(all.call("RenewMany"), all.tryRenew())
	p.remove(key(1))
	all.each[2].release()
	other := p.attempt(p.cache, key(2))
	other.take("of a key whose lease was released")
	life := p.leaseLife() - p.Granularity
	p.sleep(life / 2)
	renewed := time.Now()
	other.renew("within the lease's life")
	all.wantLostOnly("RenewMany", all.tryRenew(), 1, 2)
	p.sleep(time.Until(renewed.Add(life - 1)))
	for _, n := range []int{0, 3} {
		p.attempt(p.cache, key(n)).wantBusyUntil(renewed.Add(life))
	}
	p.sleep(p.margin() + p.Granularity + p.leaseOver() - life)
	p.attempt(p.cache, key(0)).wantHeld(nil, true, "a life after RenewMany")
}

func checkBatchFill[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	all := p.attempts(rival, key(0), key(1), key(2), key(3), key(4))
	if all == nil {
		return
	}
	p.put(key(2), p.entry(2))
	p.put(key(3), p.entry(3))
	all.take()
	stays, absent := p.entry(13), p.absent()
	p.remove(key(1))
	p.put(key(3), stays)
	entries := []*corral.Entry[V]{p.entry(10), p.entry(11), nil, p.entry(14), absent}
	if p.Plain {
		absent = nil
	}
	for range 2 { // the second time as a client repeats it
		all.wantLostOnly("FillMany", all.tryFill(entries...), 1, 3)
		for n, want := range []*corral.Entry[V]{entries[0], nil, nil, stays, absent} {
			p.wantStored(key(n), want, "after FillMany with some leases lost")
		}
	}
	for _, n := range []int{0, 2, 4} {
		p.attempt(p.cache, key(n)).wantHeld(p.look(p.cache, key(n)), n == 2 || p.look(p.cache, key(n)) == nil, "after FillMany")
	}
	fresh := p.attempts(rival, key(5), key(6))
	fresh.take()
	e := p.entry(5)
	p.must(fresh.call("FillMany"), fresh.tryFill(e, p.entry(6)))
	p.wantStored(key(5), e, "after FillMany")
	p.must("FillMany of no keys", p.attempts(rival).tryFill())
}

func checkBatchRelease[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	all := p.attempts(rival, key(0), key(1), key(2))
	if all == nil {
		return
	}
	e := p.entry(0)
	p.put(key(0), e)
	other := p.attempt(p.cache, key(1))
	other.take("of a key that nobody has leased")
	all.acquire(corral.LeaseRequest[V]{Force: true}, corral.LeaseRequest[V]{}, corral.LeaseRequest[V]{})
	all.release()
	p.wantStored(key(0), e, "after ReleaseMany")
	p.attempt(p.cache, key(0)).wantHeld(p.look(p.cache, key(0)), false, "after ReleaseMany")
	p.attempt(p.cache, key(2)).wantHeld(nil, true, "after ReleaseMany")
	other.renew("after ReleaseMany by another token")
	all.release()
	other.renew("after a second ReleaseMany by another token")
}

func checkBatchLeaseEnds[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	b := p.batch(p.cache)
	if b == nil {
		return
	}
	keys := []K{key(0), key(1), key(2)}
	for round, write := range []func(entries []*corral.Entry[V]){
		func(entries []*corral.Entry[V]) { b.set(keys, entries) },
		func([]*corral.Entry[V]) { b.remove(keys) },
	} {
		var late []*attempt[K, V]
		for _, k := range keys {
			late = append(late, p.attempt(rival, k))
			late[len(late)-1].take("of a key that nobody has leased")
		}
		entries := p.numbered(3, 10*round)
		write(entries)
		for n, a := range late {
			a.wantLost([]string{"after a SetMany", "after a DeleteMany"}[round])
			if round == 1 {
				entries[n] = nil
			}
			p.wantStored(keys[n], entries[n], "after a write of many keys and a Fill that was refused")
		}
	}
}

func checkBatchLeaseUndecodable[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	all := p.attempts(rival, key(0), key(1), key(2))
	if all == nil {
		return
	}
	p.put(key(1), p.entry(1))
	p.put(key(2), p.entry(2))
	p.Corrupt(p.t, key(1), damages(0)[0].change)
	leases, err := all.tryAcquire(make([]corral.LeaseRequest[V], 3))
	for n, k := range all.keys {
		if e := of(err, k); e != nil && (n != 1 || !errors.Is(e, corral.ErrUndecodable)) {
			p.failf("%s over unreadable bytes under %s returned %q for %s", all.call("AcquireMany"), show(key(1)), e, show(k))
		}
	}
	all.wantState(leases, 0, corral.LeaseHeld, true, "beside unreadable bytes,")
	all.wantState(leases, 2, corral.LeaseChanged, false, "beside unreadable bytes,")
	all.release()
	all.take()
	entries := p.numbered(3, 10)
	p.must(all.call("FillMany"), all.tryFill(entries...))
	p.wantStored(key(1), entries[1], "after FillMany over unreadable bytes")
}

// batchLeaseOperations are all calls for the leases of the keys.
func (p *probe[K, V]) batchLeaseOperations(keys []K, entries []*corral.Entry[V]) []operation {
	l, ok := p.cache.(corral.BatchLeaser[K, V])
	if !ok || l.LeaseLife() <= 0 {
		return nil
	}
	var tokens []string
	var requests []corral.LeaseRequest[V]
	for range keys {
		tokens = append(tokens, rand.Text())
		requests = append(requests, corral.LeaseRequest[V]{Token: tokens[len(tokens)-1], Force: true})
	}
	return []operation{
		{callMany("AcquireMany", keys), func(ctx context.Context) error { _, err := l.AcquireMany(ctx, keys, requests); return least(err, keys) }},
		{callMany("RenewMany", keys), func(ctx context.Context) error { return least(l.RenewMany(ctx, keys, tokens), keys) }},
		{callMany("FillMany", keys), func(ctx context.Context) error { return least(l.FillMany(ctx, keys, tokens, entries), keys) }},
		{callMany("ReleaseMany", keys), func(ctx context.Context) error { return least(l.ReleaseMany(ctx, keys, tokens), keys) }},
	}
}

// batchEndings are the calls with many keys that end leases.
func (p *probe[K, V]) batchEndings() (all []ending[K, V]) {
	if b := p.batch(p.cache); b != nil {
		all = append(all,
			ending[K, V]{"SetMany", func(h *attempt[K, V]) { b.set([]K{p.Key(1007), h.key}, p.numbered(2, 0)) }},
			ending[K, V]{"DeleteMany", func(h *attempt[K, V]) { b.remove([]K{p.Key(1007), h.key}) }})
	}
	if l, ok := p.cache.(corral.BatchLeaser[K, V]); ok {
		with := func(h *attempt[K, V]) *attempts[K, V] {
			other := p.attempt(p.cache, p.Key(1007))
			other.take("of a key that nobody has leased")
			return &attempts[K, V]{p: p, leaser: l, keys: []K{other.key, h.key}, each: []*attempt[K, V]{other, h}}
		}
		all = append(all,
			ending[K, V]{"FillMany", func(h *attempt[K, V]) { p.must("FillMany", with(h).tryFill(p.numbered(2, 0)...)) }},
			ending[K, V]{"ReleaseMany", func(h *attempt[K, V]) { with(h).release() }})
	}
	return all
}
