package adaptertest

import (
	"context"
	"errors"
	"math"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/corralcache/corral"
)

// gets changes what the honest GetMany returns.
func gets(change func(keys []string, entries []*entry, err error) ([]*entry, error)) func(*manyCalls) {
	return func(m *manyCalls) {
		m.get = func(ctx context.Context, keys []string) ([]*entry, error) {
			entries, err := m.honestGet(ctx, keys)
			return change(keys, entries, err)
		}
	}
}

// altered is GetMany with a change to every entry.
func altered(change func(e *entry)) func(*manyCalls) {
	return gets(func(_ []string, entries []*entry, err error) ([]*entry, error) {
		for n, e := range entries {
			if e != nil {
				other := *e
				change(&other)
				entries[n] = &other
			}
		}
		return entries, err
	})
}

var brokenBatches = []struct {
	name, clause string
	config       func(spoil func(*manyCalls)) Config[string, string]
	spoil        func(m *manyCalls)
}{
	{"misses left out", "batch-get", manyNearConfig, gets(func(_ []string, entries []*entry, err error) ([]*entry, error) {
		return slices.DeleteFunc(entries, func(e *entry) bool { return e == nil }), err
	})},
	{"the server's own order", "batch-get", manyNearConfig, func(m *manyCalls) {
		m.get = func(ctx context.Context, keys []string) ([]*entry, error) {
			return m.honestGet(ctx, slices.Sorted(slices.Values(keys)))
		}
	}},
	{"the caller's keys sorted", "batch-get", manyNearConfig, func(m *manyCalls) {
		m.get = func(ctx context.Context, keys []string) ([]*entry, error) {
			sort.Strings(keys)
			return m.honestGet(ctx, keys)
		}
	}},
	{"no keys are an error", "batch-get", manyNearConfig, gets(func(keys []string, entries []*entry, err error) ([]*entry, error) {
		if len(keys) == 0 {
			err = errors.New("store: wrong number of arguments")
		}
		return entries, err
	})},
	{"a nil *KeyErrors", "batch-get", manyNearConfig, gets(func(_ []string, entries []*entry, _ error) ([]*entry, error) {
		return entries, (*keyErrors)(nil)
	})},
	{"entries used again", "batch-get", manyNearConfig, reusedEntries},
	{"LoadTime lost", "batch-get", manyNearConfig, altered(func(e *entry) { e.LoadTime = 0 })},
	{"absent entries are misses", "batch-get", manyNearConfig, gets(func(_ []string, entries []*entry, err error) ([]*entry, error) {
		for n, e := range entries {
			if e != nil && e.Absent {
				entries[n] = nil
			}
		}
		return entries, err
	})},
	{"bare values that were just loaded", "batch-get", manyPlainConfig, altered(func(e *entry) { e.LoadedAt = time.Now() })},
	{"bare values without an end", "batch-get", manyPlainConfig, altered(func(e *entry) { e.Keep = math.MaxInt64 })},

	{"only the first is set", "batch-set", manyNearConfig, func(m *manyCalls) {
		m.set = func(ctx context.Context, keys []string, entries []*entry) error {
			return m.honestSet(ctx, keys[:min(1, len(keys))], entries)
		}
	}},
	{"set behind the caller's back", "batch-set", manyNearConfig, func(m *manyCalls) {
		m.set = func(ctx context.Context, keys []string, entries []*entry) error {
			late(func() { _ = m.honestSet(ctx, keys, entries) })
			return nil
		}
	}},
	{"the caller's slices kept", "batch-set", manySlowConfig, keptSlices},
	{"the caller's entries cleared", "batch-delete", manyNearConfig, func(m *manyCalls) {
		m.set = func(ctx context.Context, keys []string, entries []*entry) error {
			defer clear(entries)
			return m.honestSet(ctx, keys, entries)
		}
	}},
	{"absent entries not set", "batch-set", manyNearConfig, setOnly(func(e *entry) bool { return !e.Absent })},
	{"absent plain entries not set", "batch-set", manyPlainConfig, setOnly(func(e *entry) bool { return !e.Absent })},
	{"zero values not set", "batch-set", manyNearConfig, setOnly(func(e *entry) bool { return e.Value != "" || e.Absent })},
	{"entries that are over not set", "batch-set", manyNearConfig, setOnly(func(e *entry) bool { return time.Since(e.LoadedAt) < e.Keep })},
	{"the first one's Keep for all", "batch-keep", manyPlainConfig, func(m *manyCalls) {
		m.set = func(ctx context.Context, keys []string, entries []*entry) error {
			return each(keys, func(n int, key string) error {
				e := *entries[n]
				e.Keep = entries[0].Keep
				return m.one.Set(ctx, key, &e)
			})
		}
	}},
	{"the shortest Keep for all", "batch-keep", manyPlainConfig, func(m *manyCalls) {
		m.set = func(ctx context.Context, keys []string, entries []*entry) error {
			shortest := slices.MinFunc(entries, func(a, b *entry) int { return int(a.Keep - b.Keep) })
			return each(keys, func(n int, key string) error {
				e := *entries[n]
				e.Keep = shortest.Keep
				return m.one.Set(ctx, key, &e)
			})
		}
	}},

	{"a missing key is an error", "batch-delete", manyNearConfig, func(m *manyCalls) {
		m.remove = func(ctx context.Context, keys []string) error {
			return each(keys, func(_ int, key string) error {
				if e, _ := m.one.Get(ctx, key); e == nil {
					return errors.New("store: no such key")
				}
				return m.one.Delete(ctx, key)
			})
		}
	}},
	{"only the first is deleted", "batch-delete", manyNearConfig, func(m *manyCalls) {
		m.remove = func(ctx context.Context, keys []string) error {
			return m.honestRemove(ctx, keys[:min(1, len(keys))])
		}
	}},
	{"deleted late", "batch-delete", manyNearConfig, func(m *manyCalls) {
		m.remove = func(ctx context.Context, keys []string) error {
			keys = slices.Clone(keys)
			late(func() { _ = m.honestRemove(ctx, keys) })
			return nil
		}
	}},
	{"deleted twice, the second time late", "batch-delete", manyNearConfig, func(m *manyCalls) {
		m.remove = func(ctx context.Context, keys []string) error {
			keys = slices.Clone(keys)
			late(func() { _ = m.honestRemove(ctx, keys) })
			return m.honestRemove(ctx, keys)
		}
	}},
	{"set twice, the second time late", "batch-delete", manyNearConfig, func(m *manyCalls) {
		m.set = func(ctx context.Context, keys []string, entries []*entry) error {
			keys, entries = slices.Clone(keys), slices.Clone(entries)
			late(func() { _ = m.honestSet(ctx, keys, entries) })
			return m.honestSet(ctx, keys, entries)
		}
	}},
	{"at most 512 keys are read", "batch-thousand", manyNearConfig, func(m *manyCalls) {
		m.get = func(ctx context.Context, keys []string) ([]*entry, error) {
			if len(keys) > 512 {
				return nil, errors.New("store: too many arguments")
			}
			return m.honestGet(ctx, keys)
		}
	}},
	{"at most 512 keys are set", "batch-thousand", manyNearConfig, func(m *manyCalls) {
		m.set = func(ctx context.Context, keys []string, entries []*entry) error {
			return m.honestSet(ctx, keys[:min(512, len(keys))], entries)
		}
	}},
	{"at most 512 keys are deleted", "batch-thousand", manyNearConfig, func(m *manyCalls) {
		m.remove = func(ctx context.Context, keys []string) error { return m.honestRemove(ctx, keys[:min(512, len(keys))]) }
	}},

	{"one bad key fails all", "batch-undecodable", manyFarConfig, gets(func(keys []string, entries []*entry, err error) ([]*entry, error) {
		if err != nil {
			return nil, corral.ErrUndecodable
		}
		return entries, nil
	})},
	{"one bad key fails each", "batch-undecodable", manyFarConfig, gets(func(keys []string, entries []*entry, err error) ([]*entry, error) {
		if err != nil {
			err = each(keys, func(int, string) error { return corral.ErrUndecodable })
		}
		return entries, err
	})},
	{"one bad key empties all", "batch-undecodable", manyFarConfig, gets(func(_ []string, entries []*entry, err error) ([]*entry, error) {
		if err != nil {
			clear(entries)
		}
		return entries, err
	})},
	{"one bad key leaves no entries", "batch-undecodable", manyFarConfig, gets(func(_ []string, entries []*entry, err error) ([]*entry, error) {
		if err != nil {
			entries = nil
		}
		return entries, err
	})},
	{"a bad key is a miss", "batch-undecodable", manyFarConfig, gets(func(_ []string, entries []*entry, _ error) ([]*entry, error) {
		return entries, nil
	})},
	{"a bad key is the codec's own error", "batch-undecodable", manyFarConfig, gets(func(keys []string, entries []*entry, err error) ([]*entry, error) {
		return entries, each(keys, func(_ int, key string) error {
			if of(err, key) != nil {
				return errors.New("gob: bad data")
			}
			return nil
		})
	})},
	{"a bad key with an entry", "batch-undecodable", manyFarConfig, gets(func(keys []string, entries []*entry, err error) ([]*entry, error) {
		for n, key := range keys {
			if of(err, key) != nil {
				entries[n] = new(entry)
			}
		}
		return entries, err
	})},

	{"SetMany for GetMany alone", "batch-agrees", manyNearConfig, ownCopies},
	{"keys of another name", "batch-agrees", manyNearConfig, func(m *manyCalls) { m.one = keyed(strings.ToUpper) }},
	{"one scratch for all batches", "batch-concurrent", manyNearConfig, sharedScratch},
	{"locks in the caller's order", "batch-concurrent", manyNearConfig, crossedLocks},
	{"SetMany of another's row is dropped", "batch-concurrent", manyNearConfig, func(m *manyCalls) {
		var mu sync.Mutex
		m.set = func(ctx context.Context, keys []string, entries []*entry) error {
			if !mu.TryLock() {
				return nil
			}
			defer mu.Unlock()
			time.Sleep(1)
			return m.honestSet(ctx, keys, entries)
		}
	}},
	{"DeleteMany cut short in silence", "batch-ended-context", manyNearConfig, func(m *manyCalls) {
		m.remove = func(ctx context.Context, keys []string) error {
			return each(keys, func(_ int, key string) error {
				if ctx.Err() != nil {
					return nil
				}
				return m.one.Delete(ctx, key)
			})
		}
	}},
	{"SetMany cut short says so of one key", "batch-ended-context", manyNearConfig, func(m *manyCalls) {
		m.set = func(ctx context.Context, keys []string, entries []*entry) error {
			if ctx.Err() != nil {
				return &keyErrors{Errors: map[string]error{keys[0]: ctx.Err()}}
			}
			return m.honestSet(ctx, keys, entries)
		}
	}},
	{"GetMany cut short finds nothing", "batch-ended-context", manyNearConfig, func(m *manyCalls) {
		m.get = func(ctx context.Context, keys []string) ([]*entry, error) {
			if ctx.Err() != nil {
				return make([]*entry, len(keys)), nil
			}
			return m.honestGet(ctx, keys)
		}
	}},
	{"GetMany hangs", "batch-ended-context", manyNearConfig, func(m *manyCalls) {
		m.get = func(ctx context.Context, keys []string) ([]*entry, error) {
			if ctx.Err() != nil {
				select {}
			}
			return m.honestGet(ctx, keys)
		}
	}},

	{"an outage is many misses", "outage", manyFarConfig, gets(func(_ []string, entries []*entry, _ error) ([]*entry, error) {
		return entries, nil
	})},
	{"an outage of one key", "outage", manyFarConfig, func(m *manyCalls) {
		m.remove = func(ctx context.Context, keys []string) error { return m.honestRemove(ctx, keys[:1]) }
	}},
	{"many keys wait for ever", "stalled-store", manyFarConfig, func(m *manyCalls) {
		m.set = func(ctx context.Context, keys []string, entries []*entry) error {
			return m.honestSet(context.WithoutCancel(ctx), keys, entries)
		}
	}},
}

// setOnly leaves entries out.
func setOnly(passes func(e *entry) bool) func(*manyCalls) {
	return func(m *manyCalls) {
		m.set = func(ctx context.Context, keys []string, entries []*entry) error {
			return each(keys, func(n int, key string) error {
				if !passes(entries[n]) {
					return nil
				}
				return m.one.Set(ctx, key, entries[n])
			})
		}
	}
}

// reusedEntries are the same ones for each call.
func reusedEntries(m *manyCalls) {
	var buffer [256]entry
	m.get = func(ctx context.Context, keys []string) ([]*entry, error) {
		entries, err := m.honestGet(ctx, keys)
		for n, e := range entries {
			if e != nil {
				buffer[n] = *e
				entries[n] = &buffer[n]
			}
		}
		return entries, err
	}
}

// keptSlices buffers what it was given and looks into it when it is settled.
func keptSlices(m *manyCalls) {
	s := m.one.(*slow)
	m.set = func(_ context.Context, keys []string, entries []*entry) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for n, key := range keys {
			s.pending[key], s.kept[key] = entries[n], func() *entry { return entries[n] }
		}
		return nil
	}
}

// ownCopies are made by SetMany, read by GetMany and unknown to single calls.
func ownCopies(m *manyCalls) {
	var copies sync.Map
	m.set = func(ctx context.Context, keys []string, entries []*entry) error {
		for n, key := range keys {
			copies.Store(key, entries[n])
		}
		return m.honestSet(ctx, keys, entries)
	}
	m.get = func(ctx context.Context, keys []string) ([]*entry, error) {
		entries, err := m.honestGet(ctx, keys)
		for n, key := range keys {
			if e, ok := copies.Load(key); ok {
				entries[n] = e.(*entry)
			}
		}
		return entries, err
	}
	m.remove = func(ctx context.Context, keys []string) error {
		for _, key := range keys {
			copies.Delete(key)
		}
		return m.honestRemove(ctx, keys)
	}
}

// sharedScratch hands the entries over in a field that all SetManys share.
func sharedScratch(m *manyCalls) {
	var mu sync.Mutex
	var next []*entry
	m.set = func(ctx context.Context, keys []string, entries []*entry) error {
		mu.Lock()
		next = entries
		mu.Unlock()
		time.Sleep(1)
		mu.Lock()
		entries = next
		mu.Unlock()
		return m.honestSet(ctx, keys, entries)
	}
}

// crossedLocks has one lock for each half of the keys, and takes them as they
// come.
func crossedLocks(m *manyCalls) {
	locks := map[bool]chan struct{}{false: make(chan struct{}, 1), true: make(chan struct{}, 1)}
	m.get = func(ctx context.Context, keys []string) ([]*entry, error) {
		held := map[bool]bool{}
		for _, key := range keys {
			if half := key < "key-00000048"; !held[half] {
				held[half] = true
				locks[half] <- struct{}{}
				time.Sleep(1)
			}
		}
		defer func() {
			for half := range held {
				<-locks[half]
			}
		}()
		return m.honestGet(ctx, keys)
	}
}
