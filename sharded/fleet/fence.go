package fleet

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/flight"
	"github.com/corralcache/corral/internal/manykeys"
)

// maxFenced is how many keys of a shard are fenced by themselves.
const maxFenced = 65_536

// fence is the keys of a shard of which a write failed: what is there is what the user
// wanted to be gone. They are misses until they are deleted, and if they become too many,
// so is everything that was loaded before.
type fence[K comparable] struct {
	mu   sync.Mutex
	turn uint64       // guarded by mu; of the last write that failed
	keys map[K]uint64 // guarded by mu; the turn of each
	all  time.Time    // guarded by mu; what began to be loaded until then is fenced; zero for nothing

	// opened is how often anything was let out, changed under mu. What was read before
	// may be what was fenced then: see member.hides.
	opened atomic.Uint64

	writes map[K]int     // guarded by mu; those under way, which decide over their keys
	wipes  int           // guarded by mu; deletes of keys under way
	wiping chan struct{} // guarded by mu; closed when these are over; nil for none
}

// enter waits until no key is being deleted, and keeps those of a write from it until
// leave. It returns the turn of the last write that failed.
func (f *fence[K]) enter(ctx context.Context, keys []K) (turn uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for wiping := f.wiping; wiping != nil && ctx.Err() == nil; wiping = f.wiping {
		f.mu.Unlock()
		select {
		case <-wiping:
		case <-ctx.Done():
		}
		f.mu.Lock()
	}
	if f.writes == nil {
		f.writes = map[K]int{}
	}
	for _, key := range keys {
		f.writes[key]++
	}
	return f.turn
}

func (f *fence[K]) leave(keys []K) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range keys {
		if f.writes[key]--; f.writes[key] <= 0 {
			delete(f.writes, key)
		}
	}
}

// wiped says that the deletes of what some returned are over.
func (f *fence[K]) wiped() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wipes--; f.wipes == 0 {
		close(f.wiping)
		f.wiping = nil
	}
}

// add fences keys.
func (f *fence[K]) add(keys []K) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn++
	if f.keys == nil {
		f.keys = map[K]uint64{}
	}
	for _, key := range keys {
		f.keys[key] = f.turn
	}
	if len(f.keys) > maxFenced {
		f.keys, f.all = nil, time.Now()
	}
}

// addAll fences everything that was loaded until now.
func (f *fence[K]) addAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn++
	f.all = time.Now()
}

// covers reports whether what began to be loaded at a time is fenced, and how often
// something had been let out before. What is kept no longer than most is gone some time: over says
// that nothing is fenced any more.
func (f *fence[K]) covers(key K, loaded time.Time, most time.Duration) (covered, over bool, opened uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	opened = f.opened.Load()
	if most > 0 && !f.all.IsZero() && time.Since(f.all) >= most {
		f.opened.Add(1)
		f.all, over = time.Time{}, len(f.keys) == 0
	}
	_, covered = f.keys[key]
	return covered || !f.all.IsZero() && !loaded.After(f.all), over, opened
}

// lift takes keys out that were fenced no later than at turn, and reports whether none is
// left.
func (f *fence[K]) lift(keys []K, turn uint64) (empty bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range keys {
		if at, ok := f.keys[key]; ok && at <= turn {
			f.opened.Add(1)
			delete(f.keys, key)
		}
	}
	return len(f.keys) == 0 && f.all.IsZero()
}

// open takes the fence away that is around everything loaded until then.
func (f *fence[K]) open(until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all.Equal(until) {
		f.opened.Add(1)
		f.all = time.Time{}
	}
}

// last returns the turn of the last write that failed.
func (f *fence[K]) last() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.turn
}

func (f *fence[K]) has(key K) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.keys[key]
	return ok
}

// until returns the instant until which what was loaded is fenced; zero for none.
func (f *fence[K]) until() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all
}

// some returns keys that are fenced and nobody writes, for who deletes them and then
// says wiped, and the turn as of which they are.
func (f *fence[K]) some(n int) (keys []K, turn uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key := range maps.Keys(f.keys) {
		if f.writes[key] > 0 {
			continue
		}
		if keys = append(keys, key); len(keys) == n {
			break
		}
	}
	if len(keys) > 0 {
		if f.wipes++; f.wipes == 1 {
			f.wiping = make(chan struct{})
		}
	}
	return keys, f.turn
}

func (f *fence[K]) size() (keys int, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.keys), !f.all.IsZero()
}

// fenceFailed fences the keys of a user's write that failed, also one that was given up:
// it may have come to nothing. A refusal tells what is there.
func (m *member[K, V]) fenceFailed(ctx context.Context, keys []K, err error, out bool) {
	if m.group != nil { // the replica that failed has fenced them
		return
	}
	var lost []K
	for _, key := range keys {
		if e := manykeys.Of(err, key); e != nil && (out || ctx.Err() != nil || m.vitals.classify(e) != NoFault) {
			lost = append(lost, key)
		}
	}
	if len(lost) > 0 {
		m.fence.add(lost)
		m.vitals.setFlag(flagFenced, true) // in this order: see unfence
	}
}

// fenceAll fences everything that was loaded until now.
func (m *member[K, V]) fenceAll() {
	m.fence.addAll()
	m.vitals.setFlag(flagFenced, true) // in this order: see unfence
}

// unfence takes the keys of a write out that went well.
func (m *member[K, V]) unfence(keys []K, turn uint64) {
	if m.fence.lift(keys, turn) {
		m.vitals.setFlag(flagFenced, false)
		if n, all := m.fence.size(); n > 0 || all { // a write failed meanwhile
			m.vitals.setFlag(flagFenced, true)
		}
	}
}

// mark is taken before the shard is read, for who asks afterwards what of that is fenced.
func (m *member[K, V]) mark() uint64 { return m.fence.opened.Load() }

// fencedSince reports whether some of what was read since mark may be fenced.
func (m *member[K, V]) fencedSince(mark uint64) bool {
	return m.fenced() || m.fence.opened.Load() != mark // in this order: see fence.lift
}

// hides reports whether what was read of key since mark, and began to be loaded at a time,
// is fenced. If so, it has the fence cleaned. If not, what is wrong can still have been read:
//
//  1. A reader gets what is fenced from the shard, and is held up.
//  2. The fence is cleaned: all that it was about is deleted, and nothing fenced any more.
//  3. The reader looks at the fence.
//
// So what was read before anything was let out is taken for fenced. That may be a value
// which is good: it is a miss this once.
func (m *member[K, V]) hides(mark uint64, key K, loaded time.Time) bool {
	if !m.fencedSince(mark) {
		return false
	}
	covered, over, opened := m.fence.covers(key, loaded, m.vitals.ward.maxLife)
	switch {
	case over:
		m.unfence(nil, 0)
	case covered:
		m.cleanSoon()
	}
	return covered || opened != mark
}

// hidesEntry is hides of an entry. It is as old as the beginning of its load: a store that
// came back as it was may know the lease of a load that a Delete had ended, and which has
// returned since. A load that began at the very instant did not begin before it.
func (m *member[K, V]) hidesEntry(mark uint64, key K, e *corral.Entry[V]) bool {
	loaded := e.LoadedAt
	if !loaded.IsZero() {
		loaded = loaded.Add(-max(0, e.LoadTime-1))
	}
	return m.hides(mark, key, loaded)
}

// cleanSoon cleans the fence in the background, unless somebody does, or did in vain a
// moment ago. A shard that is out is cleaned before it is read again.
func (m *member[K, V]) cleanSoon() {
	w := m.vitals.ward
	if w.now() < m.cleanDue.Load() || !m.cleaning.CompareAndSwap(false, true) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	w.probes.Go(func() {
		defer m.cleaning.Store(false)
		if m.clean(w.life) != nil {
			m.cleanDue.Store(w.now() + int64(w.opts.MinPause/10))
		}
	})
}

// cleanAtOnce is how many keys are deleted by one call.
const cleanAtOnce = 512

// clean deletes what is fenced. Of entries that say when they were loaded, a fence
// around the whole shard needs nothing more; bare values are all deleted.
func (m *member[K, V]) clean(ctx context.Context) error {
	for {
		keys, turn := m.fence.some(cleanAtOnce)
		if len(keys) == 0 {
			break
		}
		if err := m.wipe(ctx, keys, m.fence.wiped); err != nil {
			return err
		}
		m.unfence(keys, turn)
	}
	until := m.fence.until()
	if until.IsZero() || m.plain == nil {
		return nil
	}
	if err := m.sweep(ctx); err != nil {
		return err
	}
	m.openFence(until)
	return nil
}

func (m *member[K, V]) openFence(until time.Time) {
	m.fence.open(until)
	m.unfence(nil, 0)
}

// wipe deletes keys, and calls then when nothing of that is under way any more, also if
// that is long after it gave up.
func (m *member[K, V]) wipe(ctx context.Context, keys []K, then func()) error {
	ctx, cancel := context.WithTimeout(ctx, m.vitals.ward.opts.ProbeTimeout)
	defer cancel()
	_, err := bounded.DoThen(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, m.tiers[whole].deleteMany(ctx, keys)
	}, then)
	return err
}

// sweep deletes all that the shard holds.
func (m *member[K, V]) sweep(ctx context.Context) error {
	if err := m.mustScan(); err != nil {
		return err
	}
	for cursor, first := "", true; first || cursor != ""; first = false {
		bound, cancel := context.WithTimeout(ctx, m.vitals.ward.opts.ProbeTimeout)
		p, err := bounded.Do(bound, func(ctx context.Context) (p scanned[K, V], err error) {
			p.items, p.next, err = m.scanner.ScanPage(ctx, cursor, cleanAtOnce, true)
			if err == nil && p.next == cursor && cursor != "" {
				err = errStuck
			}
			return p, err
		})
		cancel()
		if err != nil {
			return err
		}
		keys := make([]K, len(p.items))
		for i, it := range p.items {
			keys[i] = it.Key
		}
		if err := m.wipe(ctx, keys, func() {}); len(keys) > 0 && err != nil {
			return err
		}
		cursor = p.next
	}
	return nil
}

// shown takes away what is fenced of what a scan found. Of a key alone nobody knows when
// its entry was loaded.
func (m *member[K, V]) shown(mark uint64, items []corral.ScanItem[K, V]) []corral.ScanItem[K, V] {
	return slices.DeleteFunc(slices.Clone(items), func(it corral.ScanItem[K, V]) bool {
		if it.Entry == nil {
			return m.fence.has(it.Key)
		}
		return m.hidesEntry(mark, it.Key, it.Entry)
	})
}

// hide takes away what is fenced of what was read.
func (m *member[K, V]) hide(mark uint64, keys []K, entries []*corral.Entry[V]) []*corral.Entry[V] {
	if !m.fencedSince(mark) {
		return entries
	}
	shown := slices.Clone(entries)
	for i, e := range entries {
		if e != nil && i < len(keys) && m.hidesEntry(mark, keys[i], e) {
			shown[i] = nil
		}
	}
	return shown
}

// ofUser reports whether a write is to be fenced if it fails: of what was loaded nobody
// was told that it is stored.
func ofUser(ctx context.Context) bool { return !flight.Own(ctx) }
