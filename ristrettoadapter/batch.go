package ristrettoadapter

import (
	"context"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/manykeys"
)

var (
	_ corral.BatchCache[string, any] = (*Cache[string, any])(nil)
	_ corral.BatchCache[string, any] = (*PlainCache[string, any])(nil)
)

// GetMany is Get of every key. It allocates what it returns and nothing else.
func (a *Cache[K, V]) GetMany(ctx context.Context, keys []K) (entries []*corral.Entry[V], err error) {
	return getMany(ctx, keys, a.Get)
}

// SetMany is Set of every key, as far as entries whose Keep has passed are not
// concerned: those keys are deleted together, with one wait.
func (a *Cache[K, V]) SetMany(ctx context.Context, keys []K, entries []*corral.Entry[V]) error {
	if a.none() {
		return errNoCache
	}
	over := func(e *corral.Entry[V]) bool { return left(e) <= 0 }
	return setMany(ctx, a.store, keys, entries, over, a.Set)
}

// DeleteMany is Delete of every key. Keys that nobody is writing are deleted
// with one wait.
func (a *Cache[K, V]) DeleteMany(ctx context.Context, keys []K) error {
	if a.none() {
		return errNoCache
	}
	return a.store.removeMany(ctx, keys).Err()
}

// GetMany is Get of every key.
func (a *PlainCache[K, V]) GetMany(ctx context.Context, keys []K) (entries []*corral.Entry[V], err error) {
	return getMany(ctx, keys, a.Get)
}

// SetMany is Set of every key; see [Cache.SetMany]. Keys of absent entries are
// deleted too.
func (a *PlainCache[K, V]) SetMany(ctx context.Context, keys []K, entries []*corral.Entry[V]) error {
	if a.c == nil {
		return errNoCache
	}
	over := func(e *corral.Entry[V]) bool { return e.Absent || left(e) <= 0 }
	return setMany(ctx, a.store, keys, entries, over, a.Set)
}

// DeleteMany is Delete of every key; see [Cache.DeleteMany].
func (a *PlainCache[K, V]) DeleteMany(ctx context.Context, keys []K) error {
	if a.c == nil {
		return errNoCache
	}
	return a.store.removeMany(ctx, keys).Err()
}

func getMany[K Key, V any](ctx context.Context, keys []K, get func(context.Context, K) (*corral.Entry[V], error)) ([]*corral.Entry[V], error) {
	entries := make([]*corral.Entry[V], len(keys))
	var failed manykeys.Failures[K]
	for i, key := range keys {
		var err error
		if entries[i], err = get(ctx, key); err != nil {
			failed.Add(key, err)
		}
	}
	return entries, failed.Err()
}

// setMany sets entries one by one, each visible at once and settled with its key,
// and deletes the keys of those that are over.
func setMany[K Key, S, V any](ctx context.Context, s *store[K, S], keys []K, entries []*corral.Entry[V], over func(*corral.Entry[V]) bool, set func(context.Context, K, *corral.Entry[V]) error) error {
	if err := manykeys.Fit("ristrettoadapter", len(keys), "entries", len(entries)); err != nil {
		return err
	}
	var failed manykeys.Failures[K]
	var gone []K
	for i, key := range keys {
		if e := entries[i]; e != nil && over(e) {
			gone = append(gone, key)
		} else if err := set(ctx, key, e); err != nil {
			failed.Add(key, err)
		}
	}
	for key, err := range s.removeMany(ctx, gone) {
		failed.Add(key, err)
	}
	return failed.Err()
}

// removeMany deletes keys, with one wait for up to sweepBatch of them. A key that
// is being written it deletes in the end, alone: to wait for its writer with
// others owned could be to wait for one that waits for them.
func (s *store[K, S]) removeMany(ctx context.Context, keys []K) (failed manykeys.Failures[K]) {
	var busy []K
	for len(keys) > 0 {
		n := min(len(keys), sweepBatch)
		busy = append(busy, s.eraseMany(ctx, keys[:n], &failed)...)
		keys = keys[n:]
	}
	for _, key := range busy {
		if err := s.remove(ctx, key); err != nil {
			failed.Add(key, err)
		}
	}
	return failed
}

// eraseMany is erase of those keys that nobody is writing. It returns the others.
func (s *store[K, S]) eraseMany(ctx context.Context, keys []K, failed *manykeys.Failures[K]) (busy []K) {
	own := make(map[K]*write[S], len(keys))
	for _, key := range keys {
		w := s.supersede(key)
		if w == nil {
			busy = append(busy, key)
			continue
		}
		s.untrack(key)
		if err := s.del(key); err != nil {
			s.release(key, w)
			failed.Add(key, err)
			continue
		}
		own[key] = w
	}
	if len(own) == 0 {
		return busy
	}
	err := s.flusher.flush(ctx)
	for key, w := range own {
		if err != nil {
			s.leave(key, w) // as erase does
			failed.Add(key, err)
		} else {
			s.release(key, w)
		}
	}
	return busy
}

// supersede makes the caller the only writer of key, in place of an unsettled
// write; nil if one is under way.
func (s *store[K, S]) supersede(key K) *write[S] {
	st := s.stripe(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	before := st.writes[key]
	if before != nil && before.underWay {
		return nil
	}
	return s.takeLocked(st, key, before)
}
