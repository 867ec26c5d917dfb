package corral_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// chaos is a Loader all of whose neighbours misbehave: the cache, the source, the
// hooks and the callers. After it nothing may be left: no flight, slot, refresh
// or turn, and every call is counted once.
type chaos struct {
	*testing.T
	r      *rand.Rand
	mu     sync.Mutex // guards r
	calm   atomic.Bool
	calls  atomic.Uint64
	loads  atomic.Uint64
	opts   corral.Options
	l      *corral.Loader[int, int]
	alone  bool // nothing may run two loads of a key
	active [4]atomic.Int64
	closes bool
	closed atomic.Bool
}

func (c *chaos) n(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.r.IntN(n)
}

func (c *chaos) some(d time.Duration) time.Duration { return time.Duration(c.n(int(d))) }

// mischief is what a neighbour does instead of its work.
func (c *chaos) mischief(exit bool) error {
	if c.calm.Load() {
		return nil
	}
	switch c.n(12) {
	case 0:
		panic("mischief")
	case 1:
		if exit {
			runtime.Goexit()
		}
	case 2, 3:
		return errDown
	case 4:
		time.Sleep(c.some(3 * time.Second))
	case 5, 6:
		time.Sleep(c.some(200 * time.Millisecond))
	}
	return nil
}

type chaosCache struct {
	corral.Cache[int, int]
	c   *chaos
	far bool
}

func (c *chaosCache) Far() bool { return c.far }

func (c *chaosCache) Get(ctx context.Context, key int) (*corral.Entry[int], error) {
	if err := c.c.mischief(c.far); err != nil {
		return nil, err
	}
	return c.Cache.Get(ctx, key)
}

func (c *chaosCache) Set(ctx context.Context, key int, e *corral.Entry[int]) error {
	if err := c.c.mischief(c.far); err != nil {
		return err
	}
	return c.Cache.Set(ctx, key, e)
}

func (c *chaosCache) Delete(ctx context.Context, key int) error {
	if err := c.c.mischief(c.far); err != nil {
		return err
	}
	return c.Cache.Delete(ctx, key)
}

type settlingChaos struct{ *chaosCache }

func (c *settlingChaos) Settle(context.Context, int) error { return c.c.mischief(false) }

type plainChaos struct {
	*chaosCache
	plain *memadapter.PlainCache[int, int]
}

func (c *plainChaos) GetValue(ctx context.Context, key int) (int, time.Duration, bool, error) {
	if err := c.c.mischief(c.far); err != nil {
		return 0, 0, false, err
	}
	return c.plain.GetValue(ctx, key)
}

func (c *plainChaos) SetValue(ctx context.Context, key, value int, life time.Duration) error {
	if err := c.c.mischief(c.far); err != nil {
		return err
	}
	return c.plain.SetValue(ctx, key, value, life)
}

func (c *plainChaos) Set(ctx context.Context, key int, _ *corral.Entry[int]) error {
	return c.Delete(ctx, key) // of an absent entry
}

func (c *plainChaos) Delete(ctx context.Context, key int) error {
	if err := c.c.mischief(c.far); err != nil {
		return err
	}
	return c.plain.Delete(ctx, key)
}

func (c *chaos) load(ctx context.Context, key int) (int, error) {
	c.loads.Add(1)
	if n := c.active[key].Add(1); n > 1 && c.alone {
		c.Errorf("%d loads of key %d at once", n, key)
	}
	defer c.active[key].Add(-1)
	if c.calm.Load() {
		time.Sleep(100 * time.Millisecond)
		return key, nil
	}
	switch c.n(10) {
	case 0:
		panic("load")
	case 1:
		runtime.Goexit()
	case 2:
		return 0, errSource
	case 3:
		return 0, corral.ErrNotFound
	case 4:
		return 0, corral.ErrNotModified
	case 5:
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(10 * time.Minute): // a load alone is never past its time
		}
	case 6:
		c.calls.Add(1)
		_, err := c.l.GetOrLoad(ctx, (key+1+c.n(3))%4, c.load)
		return key, err
	case 7:
		if !c.alone {
			time.Sleep(c.some(10 * time.Second)) // whatever its context says
		}
	}
	time.Sleep(c.some(300 * time.Millisecond))
	return key, nil
}

func (c *chaos) caller() {
	ctx, cancel := c.Context(), context.CancelFunc(func() {})
	switch c.n(4) {
	case 0:
		ctx, cancel = context.WithTimeout(ctx, c.some(2*time.Second))
	case 1:
		ctx, cancel = context.WithCancel(ctx)
		time.AfterFunc(c.some(time.Second), cancel)
	}
	defer cancel()
	key := c.n(4)
	switch n := c.n(20); {
	case n == 0 && !c.alone:
		_ = c.l.Delete(ctx, key)
	case n == 1 && !c.alone:
		_ = c.l.Set(ctx, key, key)
	case n == 2:
		_, _ = c.l.Refresh(ctx, key, c.load)
	case n < 8:
		c.calls.Add(1)
		_, _ = c.l.GetOrLoad(ctx, key, c.load)
	default:
		c.calls.Add(1)
		r, err := c.l.Lookup(ctx, key, c.load)
		if err == nil && r.Value != key {
			c.Errorf("key %d has value %d", key, r.Value)
		}
	}
}

func (c *chaos) options() corral.Options {
	pick := func(ds ...time.Duration) time.Duration { return ds[c.n(len(ds))] }
	o := corral.Options{
		TTL:             pick(time.Nanosecond, 50*time.Millisecond, time.Second),
		StaleFor:        pick(0, time.Second, time.Hour),
		StaleIfError:    pick(0, 2*time.Second, 2*time.Hour),
		AbsentTTL:       pick(0, time.Second),
		EarlyExpiry:     float64(c.n(2)),
		LoadTimeout:     pick(time.Second, 500*time.Millisecond),
		CacheTimeout:    pick(100*time.Millisecond, time.Second, time.Nanosecond),
		RetryMin:        pick(time.Millisecond, 500*time.Millisecond),
		MaxLoads:        c.n(3),
		MaxRefreshes:    1 + c.n(2),
		CancelAbandoned: c.n(2) == 0,
		FailClosed:      c.n(6) == 0,
	}
	if o.StaleIfError > 0 {
		o.SoftTimeout = pick(0, 100*time.Millisecond)
	}
	if c.alone {
		o.LoadTimeout = time.Hour
	}
	if c.n(3) == 0 {
		told := func(exit bool) func(context.Context, corral.Event) {
			return func(_ context.Context, e corral.Event) {
				if c.closed.Load() {
					c.Errorf("a hook was told after Close of %+v", e)
				}
				_ = c.mischief(exit)
			}
		}
		hook, flightHook := told(false), told(true)
		o.Hooks = corral.Hooks{Hit: hook, Miss: hook, Stale: hook, Load: flightHook, Discarded: flightHook, Dropped: hook, CacheError: hook}
	}
	return o
}

func (c *chaos) run() {
	far := c.n(2) == 0
	c.opts = c.options()
	inner := &chaosCache{Cache: memadapter.New[int, int](), c: c, far: far}
	cache := corral.Cache[int, int](inner)
	switch c.n(4) {
	case 0:
		cache = &settlingChaos{inner}
	case 1:
		cache = &plainChaos{inner, memadapter.Plain[int, int]()}
	}
	l, err := corral.New(cache, c.opts)
	if err != nil {
		c.Fatal(err)
	}
	c.l = l
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			for range 25 {
				c.caller()
				time.Sleep(c.some(100 * time.Millisecond))
			}
		})
	}
	if c.closes {
		c.close(&wg)
		return
	}
	wg.Wait()
	c.calm.Store(true)
	if c.alone {
		time.Sleep(3 * time.Hour)
	}
	time.Sleep(time.Minute)
	c.after()
}

// close closes the Loader in the middle of it all.
func (c *chaos) close(callers *sync.WaitGroup) {
	time.Sleep(c.some(5 * time.Second))
	ctx, cancel := context.WithTimeout(c.Context(), c.some(2*time.Second))
	defer cancel()
	err := c.l.Close(ctx)
	c.closed.Store(true)
	if (err == nil) != (ctx.Err() == nil) && !errors.Is(err, context.DeadlineExceeded) {
		c.Errorf("Close: %v", err)
	}
	start := time.Now()
	callers.Wait()
	if took := time.Since(start); took > time.Minute {
		c.Errorf("callers waited %v after Close", took)
	}
	for key := range c.l.InFlight() {
		c.Errorf("a flight of %d is left", key)
	}
	if _, err := c.l.GetOrLoad(c.Context(), 0, c.load); !errors.Is(err, corral.ErrClosed) {
		c.Errorf("GetOrLoad after Close: %v", err)
	}
	time.Sleep(3 * time.Hour) // for loads that ignore their context
	if err := c.l.Close(c.Context()); err != nil {
		c.Errorf("a second Close: %v", err)
	}
}

// after checks that nothing is left.
func (c *chaos) after() {
	synctest.Wait()
	for key := range c.l.InFlight() {
		c.Errorf("a flight of %d is left", key)
	}
	s := c.l.Stats()
	if s.Loads != c.loads.Load() || s.Stuck != 0 {
		c.Errorf("Loads is %d, want %d; Stuck is %d", s.Loads, c.loads.Load(), s.Stuck)
	}
	if s.Hits+s.Misses != c.calls.Load() {
		c.Errorf("Hits %d and Misses %d are not the %d calls", s.Hits, s.Misses, c.calls.Load())
	}
	var sum uint64
	for _, n := range s.LoadTimes.Counts {
		sum += n
	}
	if sum != s.Loads {
		c.Errorf("LoadTimes counts %d, want all %d loads", sum, s.Loads)
	}
	for key := range 4 { // every turn and slot is free
		ctx, cancel := context.WithTimeout(c.Context(), 5*time.Second)
		start := time.Now()
		if c.opts.CacheTimeout > time.Nanosecond {
			if err := c.l.Delete(ctx, key); err != nil {
				c.Errorf("Delete: %v", err)
			}
		}
		cancel()
		if took := time.Since(start); took > 0 {
			c.Errorf("Delete took %v", took)
		}
	}
	at := max(1, c.opts.MaxLoads)
	start := time.Now()
	var wg sync.WaitGroup
	for key := range at {
		wg.Go(func() {
			if v, err := c.l.Refresh(c.Context(), key, c.load); v != key || err != nil {
				c.Errorf("Refresh = %d, %v", v, err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(start); took > 100*time.Millisecond {
		c.Errorf("%d loads at once took %v", at, took)
	}
	dropped := c.l.Stats().Dropped
	if c.opts.StaleFor >= time.Hour && c.opts.CacheTimeout > 1 && c.opts.LoadTimeout >= time.Second {
		time.Sleep(10 * time.Second)
		for key := range min(at, c.opts.MaxRefreshes) {
			_, _ = c.l.GetOrLoad(c.Context(), key, c.load)
		}
		synctest.Wait()
		if n := c.l.Stats().Dropped; n != dropped {
			c.Errorf("%d refreshes dropped, though none runs", n-dropped)
		}
	}
	start = time.Now()
	if err := c.l.Close(c.Context()); err != nil {
		c.Errorf("Close: %v", err)
	}
	if took := time.Since(start); took > 2*time.Second {
		c.Errorf("Close took %v", took)
	}
}

func TestContract_J_NothingIsLeft(t *testing.T) {
	for seed := range uint64(60) {
		bubble(t, fmt.Sprint(seed), func(t *testing.T) {
			c := &chaos{T: t, r: rand.New(rand.NewPCG(seed, 7)), alone: seed%3 == 0, closes: seed%4 == 3}
			c.run()
		})
	}
}
