package fleet

import (
	"context"
	"errors"
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
	var turn sync.Mutex
	one := func(keys ...K) {
		turn.Lock()
		defer turn.Unlock()
		drop(keys...)
	}
	said := make([]error, len(f.layout.members))
	var all sync.WaitGroup
	hears := false
	for i, m := range f.layout.members {
		if m.listener != nil {
			hears = true
			all.Go(func() { said[i] = f.listen(ctx, m, one) })
		}
	}
	all.Wait()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !hears:
		return &AbilityError{Shard: f.layout.members[0].shard.ID, Ability: "Listener"}
	default:
		return errors.Join(said...)
	}
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
