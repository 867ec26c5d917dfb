package adaptertest

import (
	"errors"

	"github.com/corralcache/corral"
)

// leaseClauses are about asking for a lease.
func leaseClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "leases",
			rule:  "LeaseLife always says the same: zero if leases are off, and never below.",
			why:   "The Loader asks once. It renews after a third of that time: with less than it said, leases run out while their loads go on, and every process loads.",
			cause: "A default that is filled in by a later call; an option passed on without a look at its sign.",
			when:  func(cfg *Config[K, V]) bool { return !cfg.seen.known || cfg.seen.leaser },
			check: checkLeases[K, V],
		},
		{
			name:  "lease-acquire",
			rule:  "Acquire of a key that nobody has leased gives the lease and says whether anything is stored. For every other token it is busy then, with what is left of it in Left, or zero.",
			why:   "Two that have it both load, which is what leases are for. Empty where something is stored makes the Loader forget the stale value that it could have served.",
			cause: "Read, then write in two steps; a lease kept in the process and not in the store; Left taken from the reply of a command that says -1 or -2.",
			when:  leasing[K, V],
			check: between(checkLeaseAcquire[K, V]),
		},
		{
			name:  "lease-again",
			rule:  "Acquire with the token that has the lease is held, as often as it comes.",
			why:   "A client whose reply was lost sends the command again. If that finds the lease busy, everybody waits for a holder that does not know it is one, until the lease runs out.",
			cause: "SET with NX, which does not look whose lease it is.",
			when:  leasing[K, V],
			check: between(checkLeaseAgain[K, V]),
		},
		{
			name:  "lease-keys",
			rule:  "Each key has a lease of its own, and no lease is anybody's entry.",
			why:   "Loads of one key stop those of another; or a lease is read as a value, and a value taken for a lease.",
			cause: "The lease under a name that another key can have, such as key + \":lease\"; keys cut or joined differently for leases than for entries.",
			when:  leasing[K, V],
			check: between(checkLeaseKeys[K, V]),
		},
		{
			name:  "lease-beside",
			rule:  "While a key is leased, Get finds what was stored before, or misses if there was nothing.",
			why:   "Stale values are served while one process loads. If the lease takes their place, everybody waits for every load.",
			cause: "The lease written into the entry's place, or the entry removed by Acquire.",
			when:  leasing[K, V],
			check: between(checkLeaseBeside[K, V]),
		},
	}
}

// leaseSeenClauses are about what who asks for a lease has seen before.
func leaseSeenClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "lease-unseen",
			rule:  "Acquire by one that saw nothing, of a key under which something is stored, is changed and comes with the entry as Get returns it, whoever has the lease; and the lease was not given. With that entry as Seen, it is held.",
			why:   "Between the look and the Acquire another process may have stored: that saves a load. Without a Version by which the entry is known again, its refresh never gets the lease and every process loads alone.",
			cause: "Version left zero in what Acquire or Get returns; the busy lease looked at before the entry; LeaseChanged without its Entry, or with the lease taken all the same.",
			when:  leasing[K, V],
			check: between(checkLeaseUnseen[K, V]),
		},
		{
			name:  "lease-replaced",
			rule:  "Acquire by one that saw an entry which a later write replaced is changed and comes with the later one.",
			why:   "Each process that saw the stale entry loads in turn, one after the other, although the first has stored what all of them need.",
			cause: "Only presence compared, not Version; a Version that writes of equal values or times share.",
			when:  leasing[K, V],
			check: between(checkLeaseReplaced[K, V]),
		},
		{
			name:  "lease-gone",
			rule:  "Acquire by one that saw an entry which is gone gives the lease and says Empty.",
			why:   "It was deleted because it is wrong. A Loader that is not told may serve it when the load fails.",
			cause: "Empty left out; absence of an entry read as a change.",
			when:  leasing[K, V],
			check: between(checkLeaseGone[K, V]),
		},
		{
			name:  "lease-force",
			rule:  "With Force, Acquire gives the lease whatever is stored, and still not to two.",
			why:   "Refresh asks that way. If it is told that the entry has changed, nothing is loaded; if it takes another's lease, both load.",
			cause: "Force ignored, or read as a right to steal.",
			when:  leasing[K, V],
			check: between(checkLeaseForce[K, V]),
		},
		{
			name:  "lease-undecodable",
			rule:  "Bytes that nobody can read do not keep Acquire with Force from giving the lease, nor Fill from replacing them. Without Force, Acquire is held or says ErrUndecodable.",
			why:   "A key with a broken value could not be loaded under a lease any more, until somebody deletes it.",
			cause: "The stored bytes parsed in the script, or before Force is looked at.",
			when:  func(cfg *Config[K, V]) bool { return cfg.Corrupt != nil && leasing(cfg) },
			check: between(checkLeaseUndecodable[K, V]),
		},
	}
}

// leasing is a condition for clauses: caches without leases are known after the
// first sub-test.
func leasing[K comparable, V any](cfg *Config[K, V]) bool {
	return !cfg.seen.known || cfg.seen.leases
}

func checkLeases[K comparable, V any](p *probe[K, V]) {
	l, ok := p.cache.(corral.Leaser[K, V])
	if !ok {
		return
	}
	first := l.LeaseLife()
	if first < 0 {
		p.failf("LeaseLife returned %v, want zero or more", first)
	}
	p.put(p.Key(0), p.entry(0))
	p.remove(p.Key(0))
	if now := l.LeaseLife(); now != first {
		p.failf("LeaseLife returned %v, and %v before", now, first)
	}
}

func checkLeaseAcquire[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	p.attempt(p.cache, key(0)).wantHeld(nil, true, "of a key without anything")
	p.attempt(rival, key(0)).wantBusy(nil, true, "while another has the lease")

	p.put(key(1), p.entry(1))
	p.attempt(p.cache, key(1)).wantHeld(p.look(p.cache, key(1)), false, "by one that saw what is stored")
	p.attempt(rival, key(1)).wantBusy(p.look(rival, key(1)), false, "while another has the lease")
}

func checkLeaseAgain[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	holder := p.attempt(p.cache, key(0))
	holder.wantHeld(nil, true, "of a key without anything")
	first := *holder
	for range 3 {
		holder.wantHeld(nil, true, "by the token that has the lease")
	}
	first.renew("with what the first Acquire answered")
	p.attempt(rival, key(0)).wantBusy(nil, true, "after the holder asked again")
	holder.renew("by the holder, which asked again,")
}

func checkLeaseKeys[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], _ func(int) K) {
	keys := p.distinctKeys()
	holders := make([]*attempt[K, V], len(keys))
	for n, key := range keys {
		holders[n] = p.attempt(rival, key)
		holders[n].take("beside leases of other keys")
	}
	for _, key := range keys {
		p.wantStored(key, nil, "while this and other keys are leased")
	}
	for n, key := range keys {
		e := p.entry(n)
		holders[n].fill(e, "beside leases of other keys")
		p.wantStored(key, e, "after Fill of this and other keys")
	}
	for _, key := range keys {
		p.remove(key)
	}
}

func checkLeaseBeside[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	p.attempt(rival, key(0)).take("of a key without anything")
	p.wantStored(key(0), nil, "while the key is leased")
	stale := p.entry(1)
	p.put(key(1), stale)
	holder := p.attempt(rival, key(1))
	holder.wantHeld(p.look(rival, key(1)), false, "by one that saw what is stored")
	p.wantStored(key(1), stale, "while the key is leased")
	holder.release()
	p.wantStored(key(1), stale, "after the lease was released")
}

func checkLeaseUnseen[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	entries := []*corral.Entry[V]{p.entry(0), p.absent()}
	if p.Plain {
		entries = entries[:1]
	}
	for n, e := range entries {
		p.put(key(n), e)
		late := p.attempt(rival, key(n))
		got := late.wantChanged(nil, e, "by one that saw nothing")
		holder := p.attempt(p.cache, key(n))
		holder.wantHeld(got, false, "by one that saw the entry that Acquire gave")
		late.wantChanged(nil, e, "by one that saw nothing, while another has the lease,")
		holder.renew("after another was told that the entry has changed")
		holder.release()
		p.attempt(rival, key(n)).wantHeld(p.look(rival, key(n)), false, "by one that saw the entry that Get gave")
	}
}

func checkLeaseReplaced[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	p.put(key(0), p.entry(0))
	seen := p.look(rival, key(0))
	later := p.entry(1)
	p.put(key(0), later)
	p.attempt(rival, key(0)).wantChanged(seen, later, "by one that saw an entry which Set replaced")

	seen = p.look(rival, key(0))
	filler := p.attempt(p.cache, key(0))
	filler.take("of a key with an entry")
	latest := p.entry(2)
	filler.fill(latest, "by the holder")
	p.attempt(rival, key(0)).wantChanged(seen, latest, "by one that saw an entry which Fill replaced")
}

func checkLeaseGone[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	p.put(key(0), p.entry(0))
	seen := p.look(rival, key(0))
	p.remove(key(0))
	p.attempt(rival, key(0)).wantHeld(seen, true, "by one that saw an entry which is deleted")
	p.attempt(p.cache, key(0)).wantBusy(seen, true, "by another one that saw it")

	p.put(key(1), p.lasting(1, p.life()))
	seen = p.look(rival, key(1))
	p.sleep(p.life() + p.margin())
	p.attempt(rival, key(1)).wantHeld(seen, true, "by one that saw an entry whose Keep is over")
}

func checkLeaseForce[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	e := p.entry(0)
	p.put(key(0), e)
	holder := p.attempt(p.cache, key(0))
	if l := holder.acquire(corral.LeaseRequest[V]{Force: true}); l.State != corral.LeaseHeld || l.Empty {
		p.failf("%s with Force, over an entry, is %s, want held, Empty false", holder.call("Acquire"), holder.show(l))
	}
	p.wantStored(key(0), e, "after Acquire with Force")
	other := p.attempt(rival, key(0))
	if l := other.acquire(corral.LeaseRequest[V]{Force: true}); l.State != corral.LeaseBusy {
		p.failf("%s with Force, while another has the lease, is %s, want busy", other.call("Acquire"), other.show(l))
	}
	holder.renew("after another asked with Force")
}

func checkLeaseUndecodable[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	for n, d := range damages(0) {
		p.put(key(n), p.entry(n))
		p.Corrupt(p.t, key(n), d.change)
		a := p.attempt(rival, key(n))
		_, err := a.tryAcquire(corral.LeaseRequest[V]{})
		if err != nil && !errors.Is(err, corral.ErrUndecodable) {
			p.failf("%s over %s returned the error %q, want ErrUndecodable or none", a.call("Acquire"), d.name, err)
		}
		a.take("over " + d.name)
		e := p.entry(n)
		a.fill(e, "over "+d.name)
		p.wantStored(key(n), e, "after Fill over "+d.name)
	}
}
