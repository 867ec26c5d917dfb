package adaptertest

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/corralcache/corral"
)

// attempt is one load that wants the lease of key, through one cache.
type attempt[K comparable, V any] struct {
	p      *probe[K, V]
	leaser corral.Leaser[K, V]
	key    K
	token  string // of the attempt
	grant  string // what the lease it got is renewed, filled and released with
	where  string // empty, or that it is another process
}

// leaser returns the Leaser of a cache whose leases are on.
func leaser[K comparable, V any](cache any) (corral.Leaser[K, V], bool) {
	l, ok := cache.(corral.Leaser[K, V])
	return l, ok && l.LeaseLife() > 0
}

func (p *probe[K, V]) attempt(through corral.Cache[K, V], key K) *attempt[K, V] {
	l, ok := leaser[K, V](through)
	if !ok {
		p.failf("%T, as Config.Other returned it, has no leases, and the cache under test has", through)
	}
	token := rand.Text()
	a := &attempt[K, V]{p: p, leaser: l, key: key, token: token, grant: token}
	if p.isOther(through) {
		a.where = " in another process"
	}
	return a
}

// between returns a check that runs once for two attempts of one process and,
// with Config.Other, once for the attempts of two: the rivals go through rival.
// Each run has keys of its own. Without leases there is nothing to check.
func between[K comparable, V any](check func(p *probe[K, V], rival corral.Cache[K, V], key func(n int) K)) func(p *probe[K, V]) {
	return func(p *probe[K, V]) {
		if _, ok := leaser[K, V](p.cache); !ok {
			return
		}
		for run, rival := range p.processes() {
			check(p, rival, func(n int) K { return p.Key(500*run + n) })
		}
	}
}

func (a *attempt[K, V]) call(name string) string { return call(name, a.key) + a.where }

func (a *attempt[K, V]) acquire(r corral.LeaseRequest[V]) (l corral.Lease[V]) {
	l, err := a.tryAcquire(r)
	a.p.must(a.call("Acquire"), err)
	return l
}

func (a *attempt[K, V]) tryAcquire(r corral.LeaseRequest[V]) (l corral.Lease[V], err error) {
	r.Token = a.token
	a.p.await(a.call("Acquire"), a.p.patience(), func() { l, err = a.leaser.Acquire(a.p.ctx, a.key, r) })
	if err == nil && l.State == corral.LeaseHeld {
		a.grant = cmp.Or(l.Token, a.token)
	}
	return l, err
}

// take has the lease whatever is stored.
func (a *attempt[K, V]) take(when string) {
	if l := a.acquire(corral.LeaseRequest[V]{Force: true}); l.State != corral.LeaseHeld {
		a.p.failf("%s with Force %s is %s, want held", a.call("Acquire"), when, a.show(l))
	}
}

func (a *attempt[K, V]) wantHeld(seen *corral.Entry[V], empty bool, when string) {
	if l := a.acquire(corral.LeaseRequest[V]{Seen: seen}); l.State != corral.LeaseHeld || l.Empty != empty {
		a.p.failf("%s %s is %s, want held, Empty %v", a.call("Acquire"), when, a.show(l), empty)
	}
}

func (a *attempt[K, V]) wantBusy(seen *corral.Entry[V], empty bool, when string) {
	l := a.acquire(corral.LeaseRequest[V]{Seen: seen})
	most := a.leaser.LeaseLife() + a.p.Granularity
	if l.State != corral.LeaseBusy || l.Empty != empty || l.Left < 0 || l.Left > most {
		a.p.failf("%s %s is %s, want busy, Empty %v, and Left zero or up to %v", a.call("Acquire"), when, a.show(l), empty, most)
	}
}

// wantChanged returns the entry that came with the answer.
func (a *attempt[K, V]) wantChanged(seen, want *corral.Entry[V], when string) *corral.Entry[V] {
	l := a.acquire(corral.LeaseRequest[V]{Seen: seen})
	if l.State != corral.LeaseChanged || l.Entry == nil {
		a.p.failf("%s %s is %s, want changed, with the entry", a.call("Acquire"), when, a.show(l))
	}
	if diff := a.p.differ(l.Entry, want); diff != "" {
		a.p.failf("%s %s gave an entry with %s", a.call("Acquire"), when, diff)
	}
	return l.Entry
}

func (a *attempt[K, V]) show(l corral.Lease[V]) string {
	name := map[corral.LeaseState]string{
		corral.LeaseHeld: "held", corral.LeaseBusy: "busy", corral.LeaseChanged: "changed",
	}[l.State]
	if name == "" {
		name = fmt.Sprintf("the unknown state %d", l.State)
	}
	return fmt.Sprintf("%s (Empty %v, Left %v, an Entry: %v)", name, l.Empty, l.Left, l.Entry != nil)
}

func (a *attempt[K, V]) tryFill(e *corral.Entry[V]) (err error) {
	a.p.await(a.call("Fill"), a.p.patience(), func() { err = a.leaser.Fill(a.p.ctx, a.key, a.grant, e) })
	return err
}

func (a *attempt[K, V]) fill(e *corral.Entry[V], when string) {
	a.p.must(a.call("Fill")+" "+when, a.tryFill(e))
	a.p.settle(a.key)
}

func (a *attempt[K, V]) tryRenew() (err error) {
	a.p.await(a.call("Renew"), a.p.patience(), func() { err = a.leaser.Renew(a.p.ctx, a.key, a.grant) })
	return err
}

func (a *attempt[K, V]) renew(when string) { a.p.must(a.call("Renew")+" "+when, a.tryRenew()) }

func (a *attempt[K, V]) release() {
	var err error
	a.p.await(a.call("Release"), a.p.patience(), func() { err = a.leaser.Release(a.p.ctx, a.key, a.grant) })
	a.p.must(a.call("Release"), err)
}

// wantLost tries all that only who has the lease may do. Of a Fill with nil that
// finds nothing, a store need not know whether it is a repetition.
func (a *attempt[K, V]) wantLost(when string) {
	empty := a.p.look(a.p.cache, a.key) == nil
	for _, op := range []struct {
		name string
		err  error
		done bool
	}{
		{name: a.call("Renew"), err: a.tryRenew()},
		{name: a.call("Fill"), err: a.tryFill(a.p.entry(99))},
		{name: a.call("Fill") + " with nil", err: a.tryFill(nil), done: empty},
	} {
		if !errors.Is(op.err, corral.ErrLeaseLost) && !(op.done && op.err == nil) {
			a.p.failf("%s %s returned %v, want ErrLeaseLost", op.name, when, op.err)
		}
	}
}

// processes are the caches over the store: the one under test, and that of
// Config.Other.
func (p *probe[K, V]) processes() []corral.Cache[K, V] {
	if p.Other == nil {
		return []corral.Cache[K, V]{p.cache}
	}
	return []corral.Cache[K, V]{p.cache, p.other()}
}

// other makes the cache of Config.Other once.
func (p *probe[K, V]) other() corral.Cache[K, V] {
	if p.elsewhere == nil {
		if p.elsewhere = able(p.Other(p.t)); p.elsewhere == nil {
			p.failf("Config.Other returned nil")
		}
	}
	return p.elsewhere
}

func (p *probe[K, V]) isOther(cache corral.Cache[K, V]) bool {
	return p.elsewhere != nil && cache == p.elsewhere
}

// look reads what the processes share: of a layered cache, the far layer.
func (p *probe[K, V]) look(through corral.Cache[K, V], key K) (e *corral.Entry[V]) {
	if l, ok := through.(corral.Layered[K, V]); ok {
		_, through = l.Layers()
	}
	return p.getBy(through, key)
}

// wantStored fails unless every process finds want, nil for a miss.
func (p *probe[K, V]) wantStored(key K, want *corral.Entry[V], when string) {
	for _, cache := range p.processes() {
		where := ""
		if p.isOther(cache) {
			where = " in another process"
		}
		got := p.look(cache, key)
		switch {
		case want == nil && got != nil:
			p.failf("%s%s %s found an entry with the value %s, want a miss", call("Get", key), where, when, show(got.Value))
		case want != nil && got == nil:
			p.failf("%s%s %s missed, want the entry", call("Get", key), where, when)
		case want != nil:
			if diff := p.differ(got, want); diff != "" {
				p.failf("%s%s %s returned %s", call("Get", key), where, when, diff)
			}
		}
	}
}

// leaseLife is how long a lease lasts; leaseOver is when it must have ended.
func (p *probe[K, V]) leaseLife() time.Duration {
	l, _ := leaser[K, V](p.cache)
	return l.LeaseLife()
}

func (p *probe[K, V]) leaseOver() time.Duration { return p.leaseLife() + p.margin() - p.Linger }
