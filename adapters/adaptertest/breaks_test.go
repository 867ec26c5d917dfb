package adaptertest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/adapters/memadapter"
)

// The broken caches. Each is memadapter with one small mistake that somebody
// has made.

func errorForMiss() cache {
	f := mem()
	f.get = func(ctx context.Context, key string) (*entry, error) {
		e, err := f.Cache.Get(ctx, key)
		if e == nil && err == nil {
			err = errors.New("store: no such key")
		}
		return e, err
	}
	return f
}

func entryForMiss() cache {
	f := mem()
	f.get = func(ctx context.Context, key string) (*entry, error) {
		e, err := f.Cache.Get(ctx, key)
		if e == nil && err == nil {
			e = new(entry)
		}
		return e, err
	}
	return f
}

func setNothing() cache {
	f := mem()
	f.set = func(context.Context, string, *entry) error { return nil }
	return f
}

func setLate() cache {
	f := mem()
	f.set = func(ctx context.Context, key string, e *entry) error {
		time.AfterFunc(time.Millisecond, func() { _ = f.Cache.Set(ctx, key, e) })
		return nil
	}
	return f
}

func dropAbsent() cache {
	f := mem()
	f.set = func(ctx context.Context, key string, e *entry) error {
		if e.Absent {
			return nil
		}
		return f.Cache.Set(ctx, key, e)
	}
	return f
}

func setWrites() cache {
	f := mem()
	f.set = func(ctx context.Context, key string, e *entry) error {
		e.LoadTime = e.LoadTime.Round(time.Millisecond)
		return f.Cache.Set(ctx, key, e)
	}
	return f
}

func getReuses() cache {
	f := mem()
	var mu sync.Mutex
	shared := new(entry)
	f.get = func(ctx context.Context, key string) (*entry, error) {
		mu.Lock()
		defer mu.Unlock()
		e, err := f.Cache.Get(ctx, key)
		if e == nil {
			return nil, err
		}
		*shared = *e
		return shared, nil
	}
	return f
}

func zeroIsMiss() cache {
	f := mem()
	f.get = func(ctx context.Context, key string) (*entry, error) {
		e, err := f.Cache.Get(ctx, key)
		if e != nil && e.Value == "" && !e.Absent {
			return nil, nil
		}
		return e, err
	}
	return f
}

func sentinel() cache {
	f := storing(func(e *entry) {
		if e.Absent {
			e.Value, e.Absent = "*", false
		}
	})
	f.get = func(ctx context.Context, key string) (*entry, error) {
		e, err := f.Cache.Get(ctx, key)
		if e != nil && e.Value == "*" {
			e = &entry{LoadedAt: e.LoadedAt, LoadTime: e.LoadTime, TTL: e.TTL, Keep: e.Keep, Absent: true}
		}
		return e, err
	}
	return f
}

func firstWins() cache {
	f := mem()
	f.set = func(ctx context.Context, key string, e *entry) error {
		if old, _ := f.Cache.Get(ctx, key); old != nil {
			return nil
		}
		return f.Cache.Set(ctx, key, e)
	}
	return f
}

func deleteNothing() cache {
	f := mem()
	f.remove = func(context.Context, string) error { return nil }
	return f
}

func deleteLate() cache {
	f := mem()
	f.remove = func(ctx context.Context, key string) error {
		time.AfterFunc(time.Millisecond, func() { _ = f.Cache.Delete(ctx, key) })
		return nil
	}
	return f
}

// setOvertakes shows a Set at once, and writes it behind a second later.
func setOvertakes() cache {
	f := mem()
	f.set = func(ctx context.Context, key string, e *entry) error {
		time.AfterFunc(time.Second, func() { _ = f.Cache.Set(ctx, key, e) })
		return f.Cache.Set(ctx, key, e)
	}
	return f
}

func deleteMissing() cache {
	f := mem()
	f.remove = func(ctx context.Context, key string) error {
		if e, _ := f.Cache.Get(ctx, key); e == nil {
			return errors.New("store: no such key")
		}
		return f.Cache.Delete(ctx, key)
	}
	return f
}

func tombstone() cache {
	f := mem()
	f.remove = func(ctx context.Context, key string) error {
		time.AfterFunc(time.Second, func() { _ = f.Cache.Delete(ctx, key) })
		return f.Cache.Delete(ctx, key)
	}
	return f
}

func deletePrefix() cache {
	f := mem()
	var keys sync.Map
	f.set = func(ctx context.Context, key string, e *entry) error {
		keys.Store(key, true)
		return f.Cache.Set(ctx, key, e)
	}
	f.remove = func(ctx context.Context, key string) error {
		keys.Range(func(other, _ any) bool {
			if key != "" && strings.HasPrefix(other.(string), key) {
				_ = f.Cache.Delete(ctx, other.(string))
			}
			return true
		})
		return f.Cache.Delete(ctx, key)
	}
	return f
}

// keeping changes how long entries are kept and leaves what they say.
func keeping(change func(keep time.Duration) time.Duration) cache {
	return lasting(func(e *entry) time.Duration { return change(e.Keep) })
}

func keepingTTL() cache {
	return lasting(func(e *entry) time.Duration { return min(e.Keep, e.TTL) - time.Since(e.LoadedAt) })
}

func lasting(keep func(e *entry) time.Duration) cache {
	f := mem()
	var whole sync.Map
	f.set = func(ctx context.Context, key string, e *entry) error {
		inner := *e
		inner.Keep = keep(e)
		whole.Store(&inner, e)
		return f.Cache.Set(ctx, key, &inner)
	}
	f.get = func(ctx context.Context, key string) (*entry, error) {
		inner, err := f.Cache.Get(ctx, key)
		if inner == nil {
			return nil, err
		}
		e, _ := whole.Load(inner)
		return e.(*entry), nil
	}
	return f
}

func keepFromSet() cache {
	return lasting(func(e *entry) time.Duration {
		if e.LoadedAt.IsZero() {
			return e.Keep
		}
		return e.Keep + time.Since(e.LoadedAt)
	})
}

func overIsIgnored() cache {
	f := mem()
	f.set = func(ctx context.Context, key string, e *entry) error {
		if !e.LoadedAt.IsZero() && time.Since(e.LoadedAt) >= e.Keep {
			return nil
		}
		return f.Cache.Set(ctx, key, e)
	}
	return f
}

func overflow() cache {
	return keeping(func(d time.Duration) time.Duration {
		if now := time.Now().UnixNano(); now+int64(d) < now {
			return 0
		}
		return d
	})
}

// scratch hands the entry over in a field that all Sets share.
func scratch() cache {
	f := mem()
	var next atomic.Pointer[entry]
	f.set = func(ctx context.Context, key string, e *entry) error {
		next.Store(e)
		time.Sleep(1)
		return f.Cache.Set(ctx, key, next.Load())
	}
	return f
}

// lateFill is a near copy in front of a slower cache, filled by Get.
func lateFill() cache {
	f, near := mem(), memadapter.New[string, string]()
	f.get = func(ctx context.Context, key string) (*entry, error) {
		if e, _ := near.Get(ctx, key); e != nil {
			return e, nil
		}
		e, err := f.Cache.Get(ctx, key)
		time.Sleep(1)
		if e != nil {
			_ = near.Set(ctx, key, e)
		}
		return e, err
	}
	f.set = func(ctx context.Context, key string, e *entry) error {
		defer near.Delete(ctx, key)
		return f.Cache.Set(ctx, key, e)
	}
	f.remove = func(ctx context.Context, key string) error {
		defer near.Delete(ctx, key)
		return f.Cache.Delete(ctx, key)
	}
	return f
}

func dropContended() cache {
	f := mem()
	var mu sync.Mutex
	f.set = func(ctx context.Context, key string, e *entry) error {
		if !mu.TryLock() {
			return nil
		}
		defer mu.Unlock()
		time.Sleep(1)
		return f.Cache.Set(ctx, key, e)
	}
	return f
}

func hangEnded() cache {
	f := mem()
	f.get = func(ctx context.Context, key string) (*entry, error) {
		if ctx.Err() != nil {
			select {}
		}
		return f.Cache.Get(ctx, key)
	}
	return f
}

func hangAlways() cache {
	f := mem()
	f.get = func(context.Context, string) (*entry, error) { select {} }
	return f
}

func nothingEnded() cache {
	f := mem()
	f.remove = func(ctx context.Context, key string) error {
		if ctx.Err() != nil {
			return nil
		}
		return f.Cache.Delete(ctx, key)
	}
	return f
}

func brokenByEnded() cache {
	f := mem()
	var bad atomic.Pointer[error]
	f.get = func(ctx context.Context, key string) (*entry, error) {
		if err := ctx.Err(); err != nil {
			bad.CompareAndSwap(nil, &err)
		}
		if err := bad.Load(); err != nil {
			return nil, *err
		}
		return f.Cache.Get(ctx, key)
	}
	return f
}

func goroutinePerSet() cache {
	f := mem()
	f.set = func(ctx context.Context, key string, e *entry) error {
		go func() {
			for {
				time.Sleep(time.Minute)
			}
		}()
		return f.Cache.Set(ctx, key, e)
	}
	return f
}
