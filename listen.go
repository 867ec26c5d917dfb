package corral

import (
	"context"
	"errors"
	"time"

	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/flight"
)

// listen runs a cache's Listener until Close. What ends early is run again after
// the pauses by which a failing cache rests, unless it can never work.
func (l *Loader[K, V]) listen(listener Listener[K]) {
	ctx, cancel := context.WithCancelCause(context.Background())
	l.life.onClose = func() { cancel(ErrClosed) }
	l.life.enter()
	go func() {
		defer l.life.leave()
		for pause := restMin; ; pause = min(2*pause, restMax) {
			start := time.Now()
			err := listenOnce(ctx, listener, l.drop)
			if ctx.Err() != nil {
				return
			}
			if time.Since(start) > restMax { // it heard meanwhile
				pause = restMin
			}
			var none K
			l.tell(l.opts.Hooks.CacheError, ctx, none, Event{Op: OpCacheListen, Err: err, Took: time.Since(start)})
			var never *OptionError
			if errors.As(err, &never) {
				return
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
		}
	}()
}

func listenOnce[K comparable](ctx context.Context, listener Listener[K], drop func(...K)) (err error) {
	defer bounded.Recover("the cache", &err)
	return listener.Listen(ctx, drop)
}

// drop detaches the flights of keys that another process wrote: what they load
// may be older. A flight's lease knows whether it is: it may have been had after
// the write.
func (l *Loader[K, V]) drop(keys ...K) {
	l.wrote.Add(1)
	for _, key := range keys {
		s, ok := l.table.Locate(key)
		switch {
		case !ok:
		case l.leaser == nil:
			l.table.Detach(s, key)
		default:
			l.dropLeased(s, key)
		}
	}
}

func (l *Loader[K, V]) dropLeased(at flight.Spot[K, ride[K, V]], key K) {
	f := l.table.Find(at, key)
	if f == nil {
		return
	}
	if r, _ := f.Peek(); r.lease != nil {
		r.lease.check()
	} else {
		f.Detach()
	}
}
