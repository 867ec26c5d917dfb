package corral

import (
	"context"
	"time"

	"github.com/corralcache/corral/internal/flight"
)

// Hooks tell of what happens in a [Loader]; nil ones cost nothing. Each is
// called where the thing happens, and never under a lock: what it does, somebody
// waits for. It may call the Loader, with the context that it was given: where it
// would wait for itself it gets [ErrRecursiveLoad]. A hook that panics or ends its
// goroutine changes no result; it counts in Stats.HookPanics. None is called after
// [Loader.Close] has returned.
type Hooks struct {
	Hit        func(ctx context.Context, e Event) // a call was answered from the cache, not with a stale value
	Stale      func(ctx context.Context, e Event) // a call was answered with a stale value
	Miss       func(ctx context.Context, e Event) // a call waits for a load
	Load       func(ctx context.Context, e Event) // a load or refresh of a key ended: Took and Err
	Dropped    func(ctx context.Context, e Event) // a refresh was not started because MaxRefreshes were running
	Discarded  func(ctx context.Context, e Event) // a loaded value was not stored because another write of the key came or was under way, or its lease was lost
	CacheError func(ctx context.Context, e Event) // a call of the cache failed for a key: Op and Err
}

// Event is what a hook is told.
type Event struct {
	Op   Op
	Key  any           // of the Loader's K
	Err  error         // nil for a success
	Took time.Duration // of a load or a call of the cache; zero where nothing was measured
}

// Op says what an [Event] is about.
type Op uint8

// The calls of a Loader, its loads, and its calls of the cache.
const (
	OpGetOrLoad   Op = iota // a call of GetOrLoad or Lookup, or a key of GetOrLoadMany
	OpLoad                  // a load that callers wait for
	OpRefresh               // a load in the background
	OpCacheGet              // Get of the cache
	OpCacheSet              // Set of the cache
	OpCacheDelete           // Delete of the cache
	OpCacheSettle           // Settle of the cache
	OpCacheListen           // Listen of the cache; its event's key is the zero value
	OpCacheLease            // Acquire, Renew or Release of the cache
)

// String returns the name of the operation, as a metric would have it.
func (o Op) String() string {
	names := [...]string{"get_or_load", "load", "refresh", "cache_get", "cache_set", "cache_delete", "cache_settle", "cache_listen", "cache_lease"}
	if int(o) < len(names) {
		return names[o]
	}
	return "unknown"
}

// stopwatch tells how long a call of the cache takes. It stands if nobody will be
// told: two looks at the clock take as long as a call of a cache in memory.
type stopwatch time.Time

func (l *Loader[K, V]) stopwatch() stopwatch {
	if l.opts.Hooks.CacheError == nil {
		return stopwatch{}
	}
	return stopwatch(time.Now())
}

func (s stopwatch) read() time.Duration {
	if s == (stopwatch{}) {
		return 0
	}
	return time.Since(time.Time(s))
}

// tell calls a hook if it is set, on the goroutine of a caller who has or will
// have an answer of their own if the hook ends it.
func (l *Loader[K, V]) tell(hook func(context.Context, Event), ctx context.Context, key K, e Event) {
	if hook == nil || l.life.over.Load() {
		return
	}
	returned := false
	defer func() {
		if recover() != nil || !returned {
			l.counts.hookPanics.Add(1)
		}
	}()
	e.Key = key
	hook(ctx, e)
	returned = true
}

// tellFlight calls a hook if it is set, for a flight that goes on when the hook
// has returned, however that ends: a hook that calls runtime.Goexit, as a test
// that fails does, must not take the flight's callers with it.
func (l *Loader[K, V]) tellFlight(hook func(context.Context, Event), f *flight.Flight[K, ride[K, V]], e Event) {
	if hook == nil || l.life.over.Load() {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.tell(hook, f.HookValues(), f.Key(), e)
	}()
	<-done
}
