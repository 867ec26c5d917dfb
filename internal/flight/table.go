package flight

import (
	"context"
	"hash/maphash"
	"iter"
	"math/bits"
	"reflect"
	"runtime"
	"sync"
	"time"
)

// MaxShards is the greatest number of shards of a table.
const MaxShards = 1 << 16

// Config is what a face decides about its table. The zero value of every field
// but Alarm works.
type Config[K comparable, V any] struct {
	Shards          int            // rounded up to a power of two; 0 is chosen from GOMAXPROCS
	Shard           func(K) uint64 // nil hashes with a seed of this table's
	CancelAbandoned bool           // cancel a flight when its last caller left

	// Queue is a phase in which a flight is cancelled when its last caller left,
	// even without CancelAbandoned: nothing was begun yet. 0 is none.
	Queue uint8

	// First is how long after its start a flight's first alarm rings; 0 is never.
	First time.Duration

	// Deadline makes the first alarm the end of the flight's context too.
	Deadline bool

	// Rough lets flights of a busy table start up to a millisecond before they did;
	// see shared.go. It has no effect if First is less than a second. It is not for
	// those who look at Started.
	Rough bool

	// Calls says that flights make calls beside their loads, see [Flight.Values].
	Calls bool

	// Fly runs the load of a flight that was started with [Flight.Go].
	Fly func(f *Flight[K, V])

	// Alarm is called on a goroutine of its own when the alarm of a phase rings.
	Alarm func(f *Flight[K, V], phase uint8)

	// Ready reports, under the shard's lock, whether a flight's value serves a
	// newcomer without waiting. Nil: never.
	Ready func(v *V) bool
}

// Table holds the flights of a face, at most one mapped per key.
type Table[K comparable, V any] struct {
	cfg    Config[K, V]
	odd    bool
	seed   maphash.Seed
	shards []padded[K, V]
	watch  watch
	clock  shared
}

// Shard is one lock and what it guards.
type Shard[K comparable, V any] struct {
	table *Table[K, V]

	mu      sync.Mutex                       // guards what follows
	flights chains[K, V]                     // the mapped ones
	spare   *Flight[K, V]                    // see reuse.go; nil if there is none
	loose   elastic[*Flight[K, V], struct{}] // detached and not yet woken
	writes  elastic[K, chan struct{}]        // see writes.go
	started uint64
	joined  uint64
}

// padded keeps two shards off one pair of cache lines. A Shard has 104 bytes
// where a pointer has 8.
type padded[K comparable, V any] struct {
	Shard[K, V]
	_ [128 - 104]byte
}

// NewTable returns an empty table.
func NewTable[K comparable, V any](cfg Config[K, V]) *Table[K, V] {
	n := cfg.Shards
	if n <= 0 {
		n = 8 * runtime.GOMAXPROCS(0)
	}
	n = 1 << bits.Len(uint(min(n, MaxShards)-1))
	t := &Table[K, V]{
		cfg:    cfg,
		odd:    odd(reflect.TypeFor[K]()),
		seed:   maphash.MakeSeed(),
		shards: make([]padded[K, V], n),
	}
	for i := range t.shards {
		t.shards[i].table = t
	}
	t.watch.at.Store(never)
	if cfg.Rough && cfg.First >= time.Second {
		t.clock.move = t.move
	}
	return t
}

// Odd reports whether a key may be unusable.
func (t *Table[K, V]) Odd() bool { return t.odd }

// Spot is where a table keeps a key: in which shard, and the hash that its flights
// there are told apart by. The key is hashed once for both.
type Spot[K comparable, V any] struct {
	shard *Shard[K, V]
	hash  uint32
}

// Locate returns the spot of key; false if no map can find key again or the
// face's shard function panicked.
func (t *Table[K, V]) Locate(key K) (Spot[K, V], bool) {
	if t.odd || t.cfg.Shard != nil {
		return t.locateCarefully(key)
	}
	hash := maphash.Comparable(t.seed, key)
	return t.spot(hash, hash), true
}

func (t *Table[K, V]) locateCarefully(key K) (s Spot[K, V], ok bool) {
	if t.odd && !Usable(key) {
		return s, false
	}
	hash := maphash.Comparable(t.seed, key)
	if t.cfg.Shard == nil {
		return t.spot(hash, hash), true
	}
	defer func() { ok = recover() == nil }()
	return t.spot(t.cfg.Shard(key), hash), true
}

// spot takes the shard from the low bits and the hash within it from the high
// ones, which differ among the keys of a shard.
func (t *Table[K, V]) spot(shard, hash uint64) Spot[K, V] {
	return Spot[K, V]{&t.shards[shard&uint64(len(t.shards)-1)].Shard, uint32(hash >> 32)}
}

// Role says what a caller is to the flight that Join returned.
type Role uint8

const (
	Leader Role = iota // started the flight, and must land it
	Waiter             // counts in it, and must Wait
	Served             // is served by the value that Join returned
	Queued             // must wait until the cancelled flight has ended, then join again
)

// Join joins the flight of key or starts one with the value start, which an
// alarm may need before the leader comes to do anything. A caller that insists is
// not served by a flight's value, and its flight is never abandoned. wait says
// whether a leader will Wait too; one that runs the load itself need not.
func (t *Table[K, V]) Join(ctx context.Context, at Spot[K, V], key K, start V, insist, wait bool) (*Flight[K, V], Role, V) {
	s := at.shard
	s.mu.Lock()
	f := s.flights.find(at.hash, key)
	if f != nil && t.cfg.Ready != nil && !insist && !f.cancelled && t.cfg.Ready(&f.value) {
		value := f.value
		s.mu.Unlock()
		return f, Served, value
	}
	var none V
	if f != nil && !f.woken && (insist || !f.published) {
		role := f.joinLocked()
		f.lasting = f.lasting || insist
		s.mu.Unlock()
		return f, role, none
	}
	if f != nil {
		f.detachLocked() // its load is over and its value does not serve
	}
	f = s.startLocked(ctx, at.hash, key)
	f.value, f.waiters, f.lasting = start, 1, insist
	if wait {
		f.done = make(chan struct{})
	}
	alarm := f.alarm
	s.mu.Unlock()
	t.arm(alarm)
	return f, Leader, none
}

// Lead starts a background flight of key, which has no waiters and is never
// abandoned. It returns nil if there is a flight already.
func (t *Table[K, V]) Lead(ctx context.Context, at Spot[K, V], key K, value V) *Flight[K, V] {
	s := at.shard
	s.mu.Lock()
	if s.flights.find(at.hash, key) != nil {
		s.mu.Unlock()
		return nil
	}
	f := s.startLocked(ctx, at.hash, key)
	f.background, f.lasting, f.value = true, true, value
	alarm := f.alarm
	s.mu.Unlock()
	t.arm(alarm)
	return f
}

func (s *Shard[K, V]) startLocked(ctx context.Context, hash uint32, key K) *Flight[K, V] {
	f := s.spare
	if f == nil {
		f = &Flight[K, V]{shard: s}
	}
	s.spare = nil
	t := s.table
	f.key, f.hash, f.started, f.mapped = key, hash, t.clock.now(), true
	deadline := int64(0)
	if t.cfg.First > 0 {
		f.alarm = After(f.started, t.cfg.First)
		if t.cfg.Deadline {
			deadline = f.alarm
		}
	}
	if t.cfg.Calls {
		c := new(contexts)
		f.ctx, c.load.calls = &c.load, &c.calls
	} else {
		f.ctx = new(LoadContext)
	}
	f.ctx.deadline, f.ctx.values, f.ctx.clock = deadline, ctx, &t.clock
	s.flights.put(f)
	s.started++
	return f
}

// Find returns the flight of key, nil if none is mapped.
func (t *Table[K, V]) Find(at Spot[K, V], key K) *Flight[K, V] {
	at.shard.mu.Lock()
	defer at.shard.mu.Unlock()
	f := at.shard.flights.find(at.hash, key)
	if f != nil {
		f.seen = true
	}
	return f
}

// Has reports whether a flight of key is mapped.
func (t *Table[K, V]) Has(at Spot[K, V], key K) bool {
	at.shard.mu.Lock()
	defer at.shard.mu.Unlock()
	return at.shard.flights.find(at.hash, key) != nil
}

// Detach takes the flight of key out of the map; its waiters still get its
// outcome.
func (t *Table[K, V]) Detach(at Spot[K, V], key K) {
	at.shard.mu.Lock()
	at.detachLocked(key)
	at.shard.mu.Unlock()
}

func (at Spot[K, V]) detachLocked(key K) {
	if f := at.shard.flights.find(at.hash, key); f != nil {
		f.detachLocked()
	}
}

func (f *Flight[K, V]) detachLocked() {
	f.unmapLocked()
	if !f.woken {
		f.shard.loose.put(f, struct{}{})
	}
}

// All calls yield with every flight that was not woken yet, detached ones too.
func (t *Table[K, V]) All() iter.Seq[*Flight[K, V]] {
	return func(yield func(*Flight[K, V]) bool) {
		for i := range t.shards {
			for _, f := range t.shards[i].live(true) {
				if !yield(f) {
					return
				}
			}
		}
	}
}

func (s *Shard[K, V]) live(loose bool) []*Flight[K, V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*Flight[K, V], 0, s.flights.n+len(s.loose.m))
	s.flights.all(func(f *Flight[K, V]) {
		f.seen = true
		if !f.woken {
			list = append(list, f)
		}
	})
	if loose {
		for f := range s.loose.m {
			f.seen = true
			list = append(list, f)
		}
	}
	return list
}

// InFlight yields the key of every mapped flight that was not woken yet, when
// it started and how many callers wait for it.
func (t *Table[K, V]) InFlight() iter.Seq2[K, Info] {
	return func(yield func(K, Info) bool) {
		t.clock.settle()
		for i := range t.shards {
			for _, f := range t.shards[i].live(false) {
				if !yield(f.key, f.info()) {
					return
				}
			}
		}
	}
}

// Info tells of a flight.
type Info struct {
	Since   time.Time
	Waiters int
}

// Load tells of a shard: how many flights are mapped, and how many were started
// and joined since the table was made.
type Load struct {
	InFlight        int
	Started, Joined uint64
}

// Loads returns the load of every shard.
func (t *Table[K, V]) Loads() []Load {
	loads := make([]Load, len(t.shards))
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		loads[i] = Load{s.flights.n, s.started, s.joined}
		s.mu.Unlock()
	}
	return loads
}
