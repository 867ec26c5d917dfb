package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/corralcache/corral"
)

// What a cache can do is the methods of its type, and what a fleet can do turns out
// when its shards are open. So there is a type for each set of abilities that the
// caches at hand have, made of parts with the methods of one. For another set a
// fleet has the next larger; what is too many in it does nothing.
type (
	memoryView[K comparable, V any] struct {
		calls[K, V]
		scanning[K, V]
	}
	checkedView[K comparable, V any] struct {
		calls[K, V]
		scanning[K, V]
		checking[K, V]
	}
	bufferedView[K comparable, V any] struct {
		checkedView[K, V]
		settling[K, V]
	}
	farView[K comparable, V any] struct {
		checkedView[K, V]
		distant[K, V]
	}
	sharedView[K comparable, V any] struct {
		farView[K, V]
		leasing[K, V]
		hearing[K, V]
	}
	fullView[K comparable, V any] struct {
		sharedView[K, V]
		settling[K, V]
	}

	plainMemoryView[K comparable, V any] struct {
		memoryView[K, V]
		bare[K, V]
	}
	plainCheckedView[K comparable, V any] struct {
		checkedView[K, V]
		bare[K, V]
	}
	plainBufferedView[K comparable, V any] struct {
		bufferedView[K, V]
		bare[K, V]
	}
	plainFarView[K comparable, V any] struct {
		farView[K, V]
		bare[K, V]
	}
	plainSharedView[K comparable, V any] struct {
		sharedView[K, V]
		bare[K, V]
	}
	plainFullView[K comparable, V any] struct {
		fullView[K, V]
		bare[K, V]
	}

	layeredView[K comparable, V any] struct {
		fullView[K, V]
		layers[K, V]
	}
)

// AsCache returns the fleet as a cache with the optional interfaces that its shards
// have: [corral.PlainCache] and [corral.Layered] if all have it, [corral.Far],
// [corral.Settler], [corral.Checker], [corral.Leaser] and [corral.Listener] if any
// has, and always [corral.BatchCache] and [corral.Scanner], of which CheckScan says
// whether all have it. It returns the same each time.
//
// A fleet of caches that no package of this module makes may have one more of these,
// which then does nothing.
func (f *Fleet[K, V]) AsCache() corral.Cache[K, V] {
	var (
		memory   = memoryView[K, V]{f.calls, f.scanning}
		checked  = checkedView[K, V]{f.calls, f.scanning, checking[K, V]{f}}
		buffered = bufferedView[K, V]{checked, settling[K, V]{f}}
		far      = farView[K, V]{checked, distant[K, V]{f}}
		shared   = sharedView[K, V]{far, leasing[K, V]{f}, hearing[K, V]{f}}
		full     = fullView[K, V]{shared, settling[K, V]{f}}
	)
	switch can := f.can; {
	case can.layered:
		return layeredView[K, V]{full, layers[K, V]{f}}
	case can.plain && can.far && can.settle:
		return plainFullView[K, V]{full, bare[K, V]{f}}
	case can.plain && can.share:
		return plainSharedView[K, V]{shared, bare[K, V]{f}}
	case can.plain && can.far:
		return plainFarView[K, V]{far, bare[K, V]{f}}
	case can.plain && can.settle:
		return plainBufferedView[K, V]{buffered, bare[K, V]{f}}
	case can.plain && can.check:
		return plainCheckedView[K, V]{checked, bare[K, V]{f}}
	case can.plain:
		return plainMemoryView[K, V]{memory, bare[K, V]{f}}
	case can.far && can.settle:
		return full
	case can.share:
		return shared
	case can.far:
		return far
	case can.settle:
		return buffered
	case can.check:
		return checked
	default:
		return memory
	}
}

// abilities is what of members can be told by their types.
type abilities struct {
	check, settle, far, share, plain, layered bool

	prompt bool // all that are far are
}

func abilitiesOf[K comparable, V any](members []*member[K, V]) (can abilities) {
	can.prompt = true
	for _, m := range members {
		can.prompt = can.prompt && (m.prompt || !m.far)
		can.check = can.check || m.checker != nil
		can.settle = can.settle || m.settler != nil
		can.share = can.share || m.lets || m.listener != nil
		can.far = can.far || m.tells || can.share
		can.plain = can.plain || m.plain != nil
		can.layered = can.layered || m.layered
	}
	return can
}

type checking[K comparable, V any] struct{ fleet *Fleet[K, V] }

func (c checking[K, V]) Check() error { return c.fleet.Check() }

type settling[K comparable, V any] struct{ fleet *Fleet[K, V] }

func (s settling[K, V]) Settle(ctx context.Context, key K) error { return s.fleet.Settle(ctx, key) }

type distant[K comparable, V any] struct{ fleet *Fleet[K, V] }

func (d distant[K, V]) Far() bool { return d.fleet.Far() }

func (d distant[K, V]) Prompt() bool { return d.fleet.Prompt() }

type hearing[K comparable, V any] struct{ fleet *Fleet[K, V] }

func (h hearing[K, V]) Listen(ctx context.Context, drop func(keys ...K)) error {
	return h.fleet.Listen(ctx, drop)
}

// bare is a corral.PlainCache. A Fleet itself has not its methods: a Loader would
// take every fleet for one of bare values.
type bare[K comparable, V any] struct{ fleet *Fleet[K, V] }

func (b bare[K, V]) GetValue(ctx context.Context, key K) (value V, life time.Duration, ok bool, err error) {
	s, err := b.fleet.route(ctx, key)
	if err != nil {
		return value, 0, false, err
	}
	value, life, ok, err = s.at.getValue(ctx, key)
	if !ok {
		return b.missed(ctx, s, key, err)
	}
	return value, life, ok, err
}

// missed is that of calls.
func (b bare[K, V]) missed(ctx context.Context, s site[K, V], key K, err error) (value V, life time.Duration, ok bool, _ error) {
	switch {
	case err == nil && s.phase == PhaseSwitch:
		if e, err := b.fleet.fromOther(ctx, s, key); e != nil || err != nil {
			return valueOf(e), lifeOf(e), e != nil, err
		}
	case refused(err):
		if m := b.fleet.gutterOf(ctx, key); m != nil {
			b.fleet.numbers.routes.fallback.Add(1)
			value, life, ok, err = m.getValue(ctx, key)
			b.fleet.found(ok)
		}
	}
	return value, life, ok, err
}

func (b bare[K, V]) SetValue(ctx context.Context, key K, value V, life time.Duration) error {
	if most := b.fleet.opts.MaxLife; most > 0 {
		life = min(life, most)
	}
	all := calls[K, V]{b.fleet, whole}
	return all.writing(ctx, func() []K { return []K{key} }, func(p *placement[K, V], before []*placement[K, V]) error {
		s, err := b.fleet.routeBy(ctx, p, key, len(before) > 0)
		if err != nil {
			return err
		}
		if b.fleet.lates.any() {
			if err := b.fleet.afterLate(ctx, whole, s, []K{key}); err != nil {
				return err
			}
		}
		err = b.fleet.writeOne(ctx, p, s, key,
			func(ctx context.Context, m *member[K, V]) error { return m.setValue(ctx, key, value, life) },
			func(ctx context.Context, m *member[K, V]) error { return m.delete(ctx, whole, key) },
			func(ctx context.Context, m *member[K, V]) error {
				return b.fleet.lendOne(m, func() error { return m.setValue(ctx, key, value, min(life, b.fleet.gutter().Life)) })
			},
		)
		if len(before) > 0 {
			err = errors.Join(err, all.clearEarlier(ctx, before, p, []K{key}))
		}
		return err
	})
}

// layers is a corral.Layered of the shards' layers.
type layers[K comparable, V any] struct{ fleet *Fleet[K, V] }

// Layers returns layers that take many keys: near only if all near ones do, for in
// this process's memory single calls are as good.
func (l layers[K, V]) Layers() (near, far corral.Cache[K, V]) {
	near, far = calls[K, V]{l.fleet, nearLayer}, farCalls[K, V]{calls[K, V]{l.fleet, farLayer}}
	for _, m := range l.fleet.placed.Load().layout.members {
		if m.tiers[nearLayer].many == nil {
			return singles[K, V]{calls[K, V]{l.fleet, nearLayer}}, far
		}
	}
	return near, far
}

// farCalls are those of the far layers.
type farCalls[K comparable, V any] struct{ calls[K, V] }

func (f farCalls[K, V]) Prompt() bool { return f.fleet.Prompt() }

// singles hides the calls of many keys.
type singles[K comparable, V any] struct{ all calls[K, V] }

func (s singles[K, V]) Get(ctx context.Context, key K) (*corral.Entry[V], error) {
	return s.all.Get(ctx, key)
}

func (s singles[K, V]) Set(ctx context.Context, key K, e *corral.Entry[V]) error {
	return s.all.Set(ctx, key, e)
}

func (s singles[K, V]) Delete(ctx context.Context, key K) error { return s.all.Delete(ctx, key) }
