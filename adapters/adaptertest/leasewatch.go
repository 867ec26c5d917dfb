package adaptertest

import (
	"time"

	"github.com/corralcache/corral"
)

// leaseWatchClauses are about those who wait for another's lease to end.
func leaseWatchClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "lease-watch",
			rule:  "The channel of Watch has room for one and is sent to after a Fill, a Release, a Set and a Delete of the key, wherever they come from. Single ones may be missed, not all of them.",
			why:   "Who waits for another's load asks now and then, at growing intervals. Without a hint, every shared load takes as long as the interval.",
			cause: "Only some of the writes announced; a channel that is closed, or without room, where nobody reads at that moment; the names of announcements and of keys built differently.",
			when:  leasing[K, V],
			check: between(checkLeaseWatch[K, V]),
		},
		{
			name:  "lease-watch-end",
			rule:  "Nobody waits for one that watches and does not read. After stop, nothing is left of it.",
			why:   "Loads watch and leave by the thousands. One that blocks a Fill stops them all; a goroutine or a subscription for each is a leak.",
			cause: "A send without a default; a goroutine per Watch that stop does not end.",
			when:  leasing[K, V],
			check: between(checkLeaseWatchEnd[K, V]),
			leaks: true,
		},
	}
}

// ending is one way in which a lease ends before its time.
type ending[K comparable, V any] struct {
	name string
	run  func(holder *attempt[K, V])
}

func (p *probe[K, V]) endings() []ending[K, V] {
	all := []ending[K, V]{
		{"Fill", func(h *attempt[K, V]) { h.fill(p.entry(0), "by the holder") }},
		{"Release", func(h *attempt[K, V]) { h.release() }},
		{"Set", func(h *attempt[K, V]) { p.put(h.key, p.entry(0)) }},
		{"Delete", func(h *attempt[K, V]) { p.remove(h.key) }},
	}
	return append(all, p.batchEndings()...)
}

func checkLeaseWatch[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	for n, end := range p.endings() {
		waits := p.attempt(rival, key(n))
		ended, stop := waits.watch()
		if cap(ended) < 1 {
			p.failf("%s returned a channel without room, want room for one", waits.call("Watch"))
		}
		if !p.signals(ended, key(n), end) {
			p.failf("nothing was sent on the channel of %s after %s, however often", waits.call("Watch"), end.name)
		}
		p.await("stop of "+waits.call("Watch"), p.patience(), stop)
	}
}

func (a *attempt[K, V]) watch() (ended <-chan struct{}, stop func()) {
	a.p.await(a.call("Watch"), a.p.patience(), func() { ended, stop = a.leaser.Watch(a.key) })
	if ended == nil || stop == nil {
		a.p.failf("%s returned nil", a.call("Watch"))
	}
	return ended, stop
}

// signals reports whether the end of a lease is told. The first may come before
// a subscription stands.
func (p *probe[K, V]) signals(ended <-chan struct{}, key K, end ending[K, V]) bool {
	for range 20 {
		holder := p.attempt(p.cache, key)
		holder.take("of a key that nobody has leased")
		select {
		case <-ended: // of the last time
		default:
		}
		end.run(holder)
		select {
		case _, open := <-ended:
			if !open {
				p.failf("the channel of %s was closed, want it sent to", call("Watch", key))
			}
			return true
		case <-time.After(p.pause()):
		}
	}
	return false
}

func checkLeaseWatchEnd[K comparable, V any](p *probe[K, V], rival corral.Cache[K, V], key func(int) K) {
	for n := range 20 {
		_, stop := p.attempt(rival, key(n)).watch()
		_, stopOther := p.attempt(p.cache, key(n)).watch()
		for _, end := range p.endings() {
			holder := p.attempt(p.cache, key(n))
			holder.take("of a key that nobody has leased")
			end.run(holder)
		}
		p.await("stop of "+call("Watch", key(n)), p.patience(), stop)
		p.await("stop of "+call("Watch", key(n)), p.patience(), stopOther)
	}
}
