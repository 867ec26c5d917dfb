package fleet

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
)

const (
	listenPause    = 100 * time.Millisecond // before a shard listens again; doubles up to
	listenPauseMax = 5 * time.Second
)

// Listen hears what the shards hear that can, until ctx ends. A shard that hears no
// longer listens again after a pause, while the others go on; Hooks.ListenError is
// told. drop is called by one shard at a time.
//
// Listen returns early if no shard can ever hear: with an [*AbilityError] if none is
// a corral.Listener, else with what they said.
func (f *Fleet[K, V]) Listen(ctx context.Context, drop func(keys ...K)) error {
	ctx, cancel := context.WithCancel(ctx)
	ears := ears[K, V]{fleet: f, ctx: ctx, by: map[*member[K, V]]context.CancelFunc{}, said: make(chan heard[K, V]), drop: drop}
	defer ears.all.Wait()
	defer cancel()
	never := map[*member[K, V]]error{}
	for {
		p := f.placed.Load()
		if !ears.tune(p, never) {
			if len(never) == 0 {
				return &AbilityError{Shard: p.layout.members[0].shard.ID, Ability: "Listener"}
			}
			return errors.Join(slices.Collect(maps.Values(never))...)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.replaced:
		case h := <-ears.said:
			delete(ears.by, h.from)
			never[h.from] = h.err
		}
	}
}

// ears are the shards that are listened to.
type ears[K comparable, V any] struct {
	fleet *Fleet[K, V]
	ctx   context.Context // of Listen
	by    map[*member[K, V]]context.CancelFunc
	all   sync.WaitGroup
	said  chan heard[K, V] // by those that never hear
	turn  sync.Mutex       // to call drop
	drop  func(keys ...K)
}

type heard[K comparable, V any] struct {
	from *member[K, V]
	err  error
}

// tune listens to those shards of p that can hear, and to no others. It reports
// whether there are any.
func (e *ears[K, V]) tune(p *placement[K, V], never map[*member[K, V]]error) bool {
	members := p.all.members
	for _, m := range members {
		if e.by[m] == nil && m.listener != nil && never[m] == nil {
			e.listen(m)
		}
	}
	for m, stop := range e.by {
		if !slices.Contains(members, m) {
			stop()
			delete(e.by, m)
		}
	}
	return len(e.by) > 0
}

func (e *ears[K, V]) listen(m *member[K, V]) {
	ctx, cancel := context.WithCancel(e.ctx)
	e.by[m] = cancel
	e.all.Go(func() {
		defer cancel()
		err := e.fleet.listen(ctx, m, func(keys ...K) {
			e.turn.Lock()
			defer e.turn.Unlock()
			e.drop(keys...)
		})
		select {
		case e.said <- heard[K, V]{m, err}:
		case <-ctx.Done():
		}
	})
}

// listen makes one shard listen until ctx ends, or it says that it never can.
func (f *Fleet[K, V]) listen(ctx context.Context, m *member[K, V], drop func(keys ...K)) error {
	for pause := listenPause; ; pause = min(2*pause, listenPauseMax) {
		start := time.Now()
		err := m.listenOnce(ctx, drop)
		if ctx.Err() != nil {
			return nil
		}
		f.opts.Hooks.listenError(ctx, m.shard, err)
		var never *corral.OptionError
		if errors.As(err, &never) {
			return err
		}
		if time.Since(start) > listenPauseMax { // it heard meanwhile
			pause = listenPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

func (m *member[K, V]) listenOnce(ctx context.Context, drop func(keys ...K)) (err error) {
	err = errExited // unless the shard returns
	defer bounded.Recover("the shard", &err)
	return m.listener.Listen(ctx, drop)
}
