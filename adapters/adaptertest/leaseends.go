package adaptertest

import (
	"slices"
	"time"

	"github.com/corralcache/corral"
)

// leaseEndClauses are about what a lease is good for, and how it ends.
func leaseEndClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "lease-fill",
			rule:  "Fill by the holder stores the entry, for every process, and ends the lease.",
			why:   "A lease that stays after the Fill keeps the next refresh from starting; one that ends before it lets a second process load what is about to be stored.",
			cause: "Two commands in place of one script; the lease left to run out.",
			when:  leasing[K, V],
			check: between(checkLeaseFill[K, V]),
		},
		{
			name:  "lease-fill-again",
			rule:  "A Fill that was applied returns nil when it is repeated, and changes nothing any more.",
			why:   "A client whose reply was lost sends the command again. ErrLeaseLost then counts a load as wasted that was stored, and detaches its callers.",
			cause: "The token forgotten with the lease. Remember who filled, or recognise the entry.",
			when:  leasing[K, V],
			check: between(checkLeaseFillAgain[K, V]),
		},
		{
			name:  "lease-fill-nil",
			rule:  "Fill with nil deletes the entry and ends the lease.",
			why:   "It says that the source has no value any more. The old one would be served until its end, or the next load would wait for a lease that nobody has.",
			cause: "nil taken for nothing to do, or not looked at, which panics.",
			when:  leasing[K, V],
			check: between(checkLeaseFillNil[K, V]),
		},
		{
			name:  "lease-fill-absent",
			rule:  "What Fill stores is as if Set had: absent entries are absent, or delete the key in a cache of plain values, and an entry whose Keep is over leaves nothing.",
			why:   "Nearly all that is ever stored comes through Fill.",
			cause: "A second way of encoding and of computing the life, written apart from that of Set.",
			when:  leasing[K, V],
			check: between(checkLeaseFillAbsent[K, V]),
		},
		{
			name:  "lease-release",
			rule:  "Release ends the lease of its own token, and only that. It leaves the entry and is no error for any token.",
			why:   "Every load that fails releases. If that ends the lease of another, two load; if it does not end its own, everybody waits until it runs out.",
			cause: "A plain delete of the lease; an error for what is gone already.",
			when:  leasing[K, V],
			check: between(checkLeaseRelease[K, V]),
		},
		{
			name:  "lease-life",
			rule:  "A lease that is not renewed lasts for LeaseLife, and then another attempt has it.",
			why:   "The process that had it may be dead. Without an end nobody ever loads the key again; with one that comes early, a second process loads what the first still loads.",
			cause: "A lease without a life, one in whole seconds, or a clock of the client's.",
			when:  leasing[K, V],
			check: between(checkLeaseLife[K, V]),
		},
		{
			name:  "lease-renew",
			rule:  "Renew gives the lease its whole life from then on, and no more.",
			why:   "A load may take longer than a lease lasts. If Renew does nothing, every such load is run by all processes, one after the other, and none is stored.",
			cause: "A life added once; Renew that looks and does not write.",
			when:  leasing[K, V],
			check: between(checkLeaseRenew[K, V]),
		},
	}
}

// leaseVoidClauses are about what takes a lease away, and from whom.
func leaseVoidClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "lease-lost",
			rule:  "Renew and Fill with a token that has not the lease return ErrLeaseLost and change nothing: not the entry, not the lease of another.",
			why:   "A process that slept through its lease wakes up and stores what it had loaded, over what is newer.",
			cause: "The token looked at in one command and the entry written in the next; the lease removed without a look at whose it is.",
			when:  leasing[K, V],
			check: between(checkLeaseLost[K, V]),
		},
		{
			name:  "lease-set",
			rule:  "Set ends the lease of its key: a Fill that comes later is refused, and the value that was set stays.",
			why:   "The load had begun before the Set. What it stores is older, and overwrites what the user has just written.",
			cause: "Set as it was before there were leases: it writes the entry alone. SetValue forgotten.",
			when:  leasing[K, V],
			check: between(checkLeaseSet[K, V]),
		},
		{
			name:  "lease-delete",
			rule:  "Delete ends the lease of its key, also where nothing is stored: a Fill that comes later is refused, and the key stays without a value.",
			why:   "The user deleted because what the source said until now is wrong. The load that is under way brings it back, in every process.",
			cause: "Delete as it was before there were leases; no more to do when the entry is not there.",
			when:  leasing[K, V],
			check: between(checkLeaseDelete[K, V]),
		},
		{
			name:  "lease-grant",
			rule:  "A token that Acquire answered is that of one grant: if a write ended the lease and the same attempt gets it once more, the earlier answer's token has it no more. A store that tells no grants apart answers none.",
			why:   "An Acquire that a client repeated arrives when the load has begun and a Delete has ended its lease. The load, which is older than the Delete, would have its lease back and store.",
			cause: "The token of the attempt answered with something that is the same for each grant.",
			when:  leasing[K, V],
			check: between(checkLeaseGrant[K, V]),
		},
		{
			name:  "lease-race",
			rule:  "Of attempts that ask at once, exactly one has the lease.",
			why:   "A key that expires is asked for by all processes in the same millisecond: that is when leases matter.",
			cause: "Acquire that looks in one step and writes in another.",
			when:  leasing[K, V],
			check: between(checkLeaseRace[K, V]),
		},
		{
			name:  "lease-fence",
			rule:  "Fill, Set and Delete are one step each, together with the lease: whichever of two at once comes first, what a Set wrote stays and what a Delete removed stays away.",
			why:   "Between two steps there is room for a Fill that finds its lease and stores after the Delete. No later delete repairs that.",
			cause: "Check and write in two commands; a Delete that takes the entry first and the lease after it.",
			when:  leasing[K, V],
			check: between(checkLeaseFence[K, V]),
		},
	}
}

func checkLeaseFill[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	for n := range 2 { // of nothing, and over an entry
		holder := p.attempt(rival, key(0))
		holder.take("of a key that nobody has leased")
		e := p.entry(n)
		holder.fill(e, "by the holder")
		p.wantStored(key(0), e, "after Fill")
		if err := holder.tryRenew(); err == nil {
			p.failf("%s after Fill returned nil, want an error: Fill ends the lease", holder.call("Renew"))
		}
	}
	p.attempt(p.cache, key(0)).wantHeld(p.look(p.cache, key(0)), false, "by one that saw what was filled")
}

func checkLeaseFillAgain[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	holder := p.attempt(rival, key(0))
	holder.take("of a key that nobody has leased")
	e := p.entry(0)
	for range 3 {
		holder.fill(e, "repeated by who had the lease")
		p.wantStored(key(0), e, "after repeated Fills")
	}
	gone := p.attempt(rival, key(1))
	p.put(key(1), p.entry(1))
	gone.take("of a key with an entry")
	for range 3 {
		gone.fill(nil, "with nil, repeated by who had the lease,")
		p.wantStored(key(1), nil, "after repeated Fills with nil")
	}
}

func checkLeaseFillNil[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	for n := range 2 {
		if n == 1 {
			p.put(key(0), p.entry(0))
		}
		holder := p.attempt(rival, key(0))
		holder.take("of a key that nobody has leased")
		holder.fill(nil, "with nil")
		p.wantStored(key(0), nil, "after Fill with nil")
		next := p.attempt(p.cache, key(0))
		next.wantHeld(nil, true, "after Fill with nil")
		next.release()
	}
}

func checkLeaseFillAbsent[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	p.put(key(0), p.entry(0))
	holder := p.attempt(rival, key(0))
	holder.take("of a key with an entry")
	absent := p.absent()
	holder.fill(absent, "with an absent entry")
	if p.Plain {
		absent = nil
	}
	p.wantStored(key(0), absent, "after Fill with an absent entry")

	p.put(key(1), p.entry(1))
	late := p.attempt(rival, key(1))
	late.take("of a key with an entry")
	over := p.lasting(2, p.life())
	over.LoadedAt = over.LoadedAt.Add(-p.life() - p.margin())
	late.fill(over, "with an entry whose Keep is over")
	p.sleep(p.pause() + p.Linger)
	p.wantStored(key(1), nil, "some time after Fill with an entry whose Keep is over")
	p.attempt(p.cache, key(1)).wantHeld(nil, true, "some time after Fill with an entry whose Keep is over")
}

func checkLeaseLost[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	p.attempt(rival, key(0)).wantLost("with a token that never had the lease")
	p.wantStored(key(0), nil, "after a Fill that was refused")

	e := p.entry(1)
	p.put(key(1), e)
	holder := p.attempt(p.cache, key(1))
	holder.take("of a key with an entry")
	p.attempt(rival, key(1)).wantLost("while another token has the lease")
	p.wantStored(key(1), e, "after a Fill that was refused")
	holder.renew("after a Fill of another token was refused")

	slept := p.attempt(rival, key(2))
	slept.take("of a key that nobody has leased")
	p.sleep(p.leaseOver())
	slept.wantLost("after the lease ran out")
	next := p.attempt(p.cache, key(2))
	next.wantHeld(nil, true, "after the lease ran out")
	slept.wantLost("after another token took over")
	p.wantStored(key(2), nil, "after a Fill that was refused")
	next.renew("after a Fill of another token was refused")
}

func checkLeaseRelease[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	e := p.entry(0)
	p.put(key(0), e)
	holder, other := p.attempt(p.cache, key(0)), p.attempt(rival, key(0))
	holder.release() // of nothing
	holder.take("of a key with an entry")
	other.release()
	holder.renew("after Release by another token")
	holder.release()
	other.wantHeld(p.look(rival, key(0)), false, "after the holder's Release")
	holder.release()
	other.renew("after Release by a token that had the lease before")
	p.wantStored(key(0), e, "after Release")
	holder.wantLost("after its Release")
	p.wantStored(key(0), e, "after a Fill that was refused")
}

func checkLeaseSet[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	writes := []func(key K, e *corral.Entry[V]){p.put}
	if p.Plain {
		writes = append(writes, func(key K, e *corral.Entry[V]) { p.setValue(key, e.Value, e.Keep) })
	}
	for n, write := range writes {
		late := p.attempt(rival, key(n))
		late.take("of a key without anything")
		e := p.entry(n)
		write(key(n), e)
		late.wantLost("after a Set")
		p.wantStored(key(n), e, "after a Set and a Fill that was refused")
		p.attempt(rival, key(n)).wantHeld(p.look(rival, key(n)), false, "after a Set")
	}
}

func checkLeaseDelete[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	for n := range 2 { // of nothing, and of an entry
		if n == 1 {
			p.put(key(n), p.entry(n))
		}
		late := p.attempt(rival, key(n))
		late.take("of a key that nobody has leased")
		p.remove(key(n))
		late.wantLost("after a Delete")
		p.wantStored(key(n), nil, "after a Delete and a Fill that was refused")
		p.attempt(rival, key(n)).wantHeld(nil, true, "after a Delete")
	}
}

func checkLeaseGrant[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	a := p.attempt(rival, key(0))
	a.wantHeld(nil, true, "of a key without anything")
	first := *a
	if first.grant == first.token {
		return
	}
	a.wantHeld(nil, true, "repeated at once")
	first.renew("with the token that was answered first")
	p.remove(key(0))
	p.sleep(max(time.Millisecond, p.Granularity)) // by which a store may tell grants apart
	a.wantHeld(nil, true, "repeated after a Delete")
	first.release()
	first.wantLost("with the token of an earlier grant")
	a.fill(p.entry(0), "with the token of the later grant")
}

func checkLeaseLife[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	start := time.Now()
	holder, next := p.attempt(p.cache, key(0)), p.attempt(rival, key(0))
	holder.wantHeld(nil, true, "of a key without anything")
	held := time.Now()
	life := p.leaseLife() - p.Granularity
	for _, at := range []time.Duration{life / 2, life - 1} {
		p.sleep(time.Until(start.Add(at)))
		next.wantBusyUntil(start.Add(life))
	}
	p.sleep(time.Until(held.Add(p.leaseOver())))
	next.wantHeld(nil, true, "after "+p.leaseLife().String()+", a lease's life,")
	holder.wantLost("after another took over")
}

func checkLeaseRenew[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	holder, next := p.attempt(p.cache, key(0)), p.attempt(rival, key(0))
	holder.wantHeld(nil, true, "of a key without anything")
	life := p.leaseLife() - p.Granularity
	renewed := time.Now()
	for range 3 {
		p.sleep(life / 2)
		renewed = time.Now()
		holder.renew("within the lease's life")
	}
	p.sleep(time.Until(renewed.Add(life - 1)))
	next.wantBusyUntil(renewed.Add(life))
	p.sleep(time.Until(renewed.Add(p.leaseOver())))
	p.sleep(p.margin()) // of the call that renewed
	next.wantHeld(nil, true, "a life after the last Renew")
}

// wantBusyUntil fails if the lease is had before end. A slow call proves nothing,
// and gives back what it got.
func (a *attempt[K, V]) wantBusyUntil(end time.Time) {
	l := a.acquire(corral.LeaseRequest[V]{})
	if left := time.Until(end); l.State != corral.LeaseBusy && left > 0 {
		a.p.failf("%s with %v left of another's lease is %s, want busy", a.call("Acquire"), left, a.show(l))
	}
	if l.State == corral.LeaseHeld {
		a.release()
	}
}

func checkLeaseRace[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	for n := range 20 {
		states := make([]corral.LeaseState, workers)
		var work []func()
		for w := range workers {
			a := p.attempt([]corral.Cache[K, V]{p.cache, rival}[w%2], key(n))
			work = append(work, func() {
				l, err := a.leaser.Acquire(p.ctx, a.key, corral.LeaseRequest[V]{Token: a.token})
				p.must(a.call("Acquire"), err)
				states[w] = l.State
			})
		}
		p.together(work)
		held := 0
		for _, s := range states {
			if s == corral.LeaseHeld {
				held++
			}
		}
		if held != 1 {
			p.failf("%s by %d tokens at once is held by %d, want one", call("Acquire", key(n)), workers, held)
		}
	}
}

func checkLeaseFence[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	for n := range 50 {
		e, k := p.entry(n), key(n)
		p.besideFill(n, rival, k, func() { p.must(call("Delete", k), p.cache.Delete(p.ctx, k)) })
		p.wantStored(k, nil, "after a Delete and a Fill at once")
		p.besideFill(n, rival, k, func() { p.must(call("Set", k), p.cache.Set(p.ctx, k, e)) })
		p.settle(k)
		p.wantStored(k, e, "after a Set and a Fill at once")
	}
}

// besideFill runs write at the same time as the Fill of a load that began
// before. In which order they are started decides, in a bubble, which comes
// first.
func (p *probe[K, V]) besideFill(n int, rival corral.Cache[K, V], key K, write func()) {
	holder := p.attempt(rival, key)
	holder.take("of a key that nobody has leased")
	e := p.entry(99)
	both := []func(){write, func() { _ = holder.leaser.Fill(p.ctx, key, holder.grant, e) }}
	if n%2 == 1 {
		slices.Reverse(both)
	}
	p.together(both)
}
