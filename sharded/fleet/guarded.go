package fleet

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/manykeys"
)

// Every call of a shard's keys comes through here. What a shard in this process's
// memory holds of a far one, its near layer, is not asked how it is.

// get is Get of the shard, or of a layer of it.
func (m *member[K, V]) get(ctx context.Context, t tier, key K) (*corral.Entry[V], error) {
	if m.vitals.flags.Load() == 0 {
		m.numbers.calls.Add()
		e, err := m.tiers[t].cache.Get(ctx, key)
		if err != nil {
			m.ended(ctx, aRead, -1, err)
		}
		return e, err
	}
	if t == nearLayer {
		return m.getNear(ctx, key)
	}
	return m.getWatched(ctx, t, key)
}

// getNear hides what was copied from a shard that had come back old, before anybody
// knew.
func (m *member[K, V]) getNear(ctx context.Context, key K) (*corral.Entry[V], error) {
	mark := m.mark()
	e, err := m.tiers[nearLayer].cache.Get(ctx, key)
	if e != nil && m.hidesEntry(mark, key, e) {
		e = nil
	}
	return e, err
}

func (m *member[K, V]) getWatched(ctx context.Context, t tier, key K) (e *corral.Entry[V], err error) {
	mark := m.mark()
	err = m.reading(ctx, key, func() error {
		e, err = m.tiers[t].cache.Get(ctx, key)
		return err
	})
	if e != nil && m.hidesEntry(mark, key, e) {
		e = nil
	}
	m.vitals.found(ctx, err, e != nil)
	return e, err
}

// getValue is GetValue of a shard of bare values.
func (m *member[K, V]) getValue(ctx context.Context, key K) (value V, life time.Duration, ok bool, err error) {
	if m.vitals.flags.Load() == 0 {
		m.numbers.calls.Add()
		value, life, ok, err = m.plain.GetValue(ctx, key)
		if err != nil {
			m.ended(ctx, aRead, -1, err)
		}
		return value, life, ok, err
	}
	return m.getValueWatched(ctx, key)
}

func (m *member[K, V]) getValueWatched(ctx context.Context, key K) (value V, life time.Duration, ok bool, err error) {
	mark := m.mark()
	err = m.reading(ctx, key, func() error {
		value, life, ok, err = m.plain.GetValue(ctx, key)
		return err
	})
	if ok && m.hides(mark, key, time.Time{}) {
		var none V
		value, life, ok = none, 0, false
	}
	m.vitals.found(ctx, err, ok)
	return value, life, ok, err
}

func (m *member[K, V]) getMany(ctx context.Context, t tier, keys []K) (entries []*corral.Entry[V], err error) {
	if len(keys) == 0 {
		return m.tiers[t].getMany(ctx, keys)
	}
	mark := m.mark()
	if t == nearLayer {
		entries, err = m.tiers[t].getMany(ctx, keys)
		return m.hide(mark, keys, entries), err
	}
	err = m.reading(ctx, keys[0], func() error {
		entries, err = m.tiers[t].getMany(ctx, keys)
		return fits[K](err, len(keys), "entries", len(entries))
	})
	entries = m.hide(mark, keys, entries)
	foundMany(ctx, &m.vitals, err, entries)
	return entries, err
}

// fits is err, or that a shard answered with too few or too many.
func fits[K comparable](err error, keys int, what string, n int) error {
	if !manykeys.Partial[K](err) {
		return err
	}
	return cmp.Or(manykeys.Fit("fleet", keys, what+" of a shard", n), err)
}

func (m *member[K, V]) acquire(ctx context.Context, key K, r corral.LeaseRequest[V]) (l corral.Lease[V], err error) {
	for try := range hiddenTries {
		mark := m.mark()
		err = m.reading(ctx, key, func() error {
			l, err = m.leaser.Acquire(ctx, key, r)
			return err
		})
		if !m.hidesLease(mark, key, l, err) {
			break
		}
		r.Seen, r.Force = l.Entry, try == hiddenTries-2
	}
	return l, err
}

func (m *member[K, V]) acquireMany(ctx context.Context, keys []K, requests []corral.LeaseRequest[V]) (leases []corral.Lease[V], err error) {
	if err := m.mustLease(); err != nil || len(keys) == 0 {
		return nil, err
	}
	mark := m.mark()
	leases, err = m.acquireOnce(ctx, keys, requests)
	for try := range hiddenTries - 1 {
		if !m.fencedSince(mark) || !manykeys.Partial[K](err) {
			break
		}
		since := mark
		mark = m.mark()
		leases, err = m.acquireHidden(ctx, since, keys, requests, leases, err, try == hiddenTries-2)
	}
	return leases, err
}

func (m *member[K, V]) acquireOnce(ctx context.Context, keys []K, requests []corral.LeaseRequest[V]) (leases []corral.Lease[V], err error) {
	err = m.reading(ctx, keys[0], func() error {
		leases, err = m.acquireThose(ctx, keys, requests)
		return fits[K](err, len(keys), "leases", len(leases))
	})
	return leases, err
}

// reading makes a call that a shard that is out is not asked for.
func (m *member[K, V]) reading(ctx context.Context, key K, call func() error) error {
	flags := m.vitals.flags.Load()
	if flags&flagOut != 0 {
		return m.refuse(key)
	}
	start := m.begin(flags)
	err := call()
	took := m.took(start)
	if took >= 0 && manykeys.Partial[K](err) {
		if lost := m.recognize(ctx, start); lost != nil {
			err, took = lost, time.Since(start)
		}
	}
	m.ended(ctx, aRead, took, err)
	return err
}

// begin counts a call, and returns when it begins, zero if it is not timed.
func (m *member[K, V]) begin(flags uint32) (start time.Time) {
	m.numbers.calls.Add()
	if flags&flagTimed != 0 {
		start = time.Now()
	}
	return start
}

// took returns how long a call took that has returned, and counts that; below zero if it
// was not timed. What comes after it, such as the question which incarnation the shard is,
// is no part of it.
func (m *member[K, V]) took(start time.Time) time.Duration {
	if start.IsZero() {
		return -1
	}
	took := time.Since(start)
	m.numbers.latency.Add(took)
	return took
}

// ended takes note of how a call of the shard ended.
func (m *member[K, V]) ended(ctx context.Context, k kind, took time.Duration, err error) {
	if m.vitals.ended(ctx, k, took, m.worst(err)) {
		m.numbers.errors.Add(1)
	}
}

// storing is reading of a write that no user asked for: what was loaded is not stored
// in a shard that is out, and nobody waits for that.
func (m *member[K, V]) storing(ctx context.Context, call func() error) error {
	flags := m.vitals.flags.Load()
	if flags&flagOut != 0 {
		m.numbers.refused.Add(1)
		return ErrUnhealthy
	}
	start := m.begin(flags)
	err := call()
	m.ended(ctx, aWrite, m.took(start), err)
	return err
}

// writing makes a call that a user asked for: it is made whether the shard is out or
// not, and if it fails its keys are fenced.
func (m *member[K, V]) writing(ctx context.Context, t tier, call func() error, keys ...K) error {
	if t == nearLayer {
		return call()
	}
	flags := m.vitals.flags.Load()
	out, user := flags&flagOut != 0, ofUser(ctx)
	if out && !user {
		m.numbers.refused.Add(1)
		return ErrUnhealthy
	}
	turn, tried := uint64(0), ctx.Err() == nil
	if flags&flagFenced != 0 {
		turn = m.fence.enter(ctx, keys)
		defer m.fence.leave(keys)
	}
	returned := false
	defer func() {
		if !returned && user && tried { // a panic: what was written nobody knows
			m.fenceFailed(ctx, keys, errExited, true)
		}
	}()
	start := m.begin(flags)
	err := call()
	returned = true
	m.ended(ctx, aWrite, m.took(start), err)
	switch {
	case err != nil && user && tried:
		m.fenceFailed(ctx, keys, err, out)
	case err == nil && turn > 0 && user:
		m.unfence(keys, turn)
	}
	return err
}

func (m *member[K, V]) set(ctx context.Context, t tier, key K, e *corral.Entry[V]) error {
	return m.writing(ctx, t, func() error { return m.tiers[t].cache.Set(ctx, key, e) }, key)
}

func (m *member[K, V]) setValue(ctx context.Context, key K, value V, life time.Duration) error {
	return m.writing(ctx, whole, func() error { return m.plain.SetValue(ctx, key, value, life) }, key)
}

func (m *member[K, V]) delete(ctx context.Context, t tier, key K) error {
	return m.writing(ctx, t, func() error { return m.tiers[t].cache.Delete(ctx, key) }, key)
}

func (m *member[K, V]) setMany(ctx context.Context, t tier, keys []K, entries []*corral.Entry[V]) error {
	return m.writing(ctx, t, func() error { return m.tiers[t].setMany(ctx, keys, entries) }, keys...)
}

func (m *member[K, V]) deleteMany(ctx context.Context, t tier, keys []K) error {
	return m.writing(ctx, t, func() error { return m.tiers[t].deleteMany(ctx, keys) }, keys...)
}

func (m *member[K, V]) renew(ctx context.Context, key K, token string) error {
	return m.storing(ctx, func() error { return m.leaser.Renew(ctx, key, token) })
}

func (m *member[K, V]) renewMany(ctx context.Context, keys []K, tokens []string) error {
	return m.storing(ctx, func() error { return m.renewThose(ctx, keys, tokens) })
}

func (m *member[K, V]) fill(ctx context.Context, key K, token string, e *corral.Entry[V]) error {
	return m.storing(ctx, func() error { return m.leaser.Fill(ctx, key, token, e) })
}

func (m *member[K, V]) fillMany(ctx context.Context, keys []K, tokens []string, entries []*corral.Entry[V]) error {
	return m.storing(ctx, func() error { return m.fillThose(ctx, keys, tokens, entries) })
}

// release gives a lease back. At a shard that is out it ends by itself.
func (m *member[K, V]) release(ctx context.Context, key K, token string) error {
	return m.storing(ctx, func() error { return m.leaser.Release(ctx, key, token) })
}

func (m *member[K, V]) releaseMany(ctx context.Context, keys []K, tokens []string) error {
	return m.storing(ctx, func() error { return m.releaseThose(ctx, keys, tokens) })
}

// worst is, of an error that names keys, that of the one which says most of the shard.
func (m *member[K, V]) worst(err error) error {
	some, ok := err.(*corral.KeyErrors[K])
	if !ok {
		return err
	}
	most, found := NoFault, error(nil)
	for _, e := range some.Errors {
		if e == nil {
			continue
		}
		if f := m.vitals.classify(e); found == nil || f > most {
			most, found = f, e
		}
	}
	return found
}

// refuse answers for a shard that is out. What a caller has just asked for is what the
// shard is probed with.
func (m *member[K, V]) refuse(key K) error {
	m.numbers.refused.Add(1)
	m.probe(key)
	return ErrUnhealthy
}

// probe starts the probe of a shard that is out, if it is due.
func (m *member[K, V]) probe(key K) {
	if v := &m.vitals; v.ward.now() >= v.due.Load() {
		v.startProbe(func(ctx context.Context) error { return m.canary(ctx, key) }, m.readmit)
	}
}

func (m *member[K, V]) canary(ctx context.Context, key K) error {
	if probe := m.vitals.ward.opts.Probe; probe != nil {
		return probe(ctx, m.shard, m.opened)
	}
	t := whole
	if m.layered {
		t = farLayer // the near one would answer for it
	}
	_, err := m.tiers[t].cache.Get(ctx, key)
	return err
}

// readmit does what has to be done before the shard is read again: what it holds may be
// of another incarnation, and what is fenced is deleted.
func (m *member[K, V]) readmit(ctx context.Context) error {
	if err := m.identifyOr(ctx, m.vitals.pausedMost); err != nil {
		return err
	}
	return m.clean(ctx)
}

// fenced reports whether some of what the shard holds is.
func (m *member[K, V]) fenced() bool { return m.vitals.flags.Load()&flagFenced != 0 }

// hold is that of the vitals. An operator who has a shard asked that cannot be scanned
// has emptied it, and of one that no longer tells which it is there is nothing to wait for.
func (m *member[K, V]) hold(ctx context.Context, s State) error {
	return m.vitals.hold(ctx, s, func(ctx context.Context) error {
		var until time.Time
		_, err := bounded.Do(ctx, func(ctx context.Context) (struct{}, error) {
			err := m.identifyOr(ctx, func() bool { return true })
			if until = m.fence.until(); err == nil {
				err = m.clean(ctx)
			}
			return struct{}{}, err
		})
		if lacks := (*AbilityError)(nil); errors.As(err, &lacks) {
			m.openFence(until)
			return nil
		}
		return err
	})
}
