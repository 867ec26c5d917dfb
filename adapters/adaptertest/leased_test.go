//lint:file-ignore U1000 what is embedded to hide methods is not used otherwise

package adaptertest

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

type (
	request = corral.LeaseRequest[string]
	answer  = corral.Lease[string]
	process = memadapter.Process[string, string]
)

const shortLife = 3 * time.Second

// oneByOne hides, embedded beside a cache, that it takes many keys at once: the
// same method twice is none.
type oneByOne struct{}

func (oneByOne) GetMany()     {}
func (oneByOne) SetMany()     {}
func (oneByOne) DeleteMany()  {}
func (oneByOne) AcquireMany() {}
func (oneByOne) RenewMany()   {}
func (oneByOne) FillMany()    {}
func (oneByOne) ReleaseMany() {}

// leased is a process of a shared store with some of its calls replaced.
type leased struct {
	*process
	oneByOne
	store *memadapter.Shared[string, string]
	last  *sync.Map // the token that had a key's lease last, in any process
	down  atomic.Bool

	get     func(ctx context.Context, key string) (*entry, error)
	set     func(ctx context.Context, key string, e *entry) error
	remove  func(ctx context.Context, key string) error
	life    func() time.Duration
	acquire func(ctx context.Context, key string, r request) (answer, error)
	renew   func(ctx context.Context, key, token string) error
	fill    func(ctx context.Context, key, token string, e *entry) error
	release func(ctx context.Context, key, token string) error
	watch   func(key string) (<-chan struct{}, func())
	hear    func(ctx context.Context, drop func(keys ...string)) error
}

func (l *leased) Get(ctx context.Context, key string) (*entry, error) {
	if l.down.Load() {
		return nil, errDown
	}
	if l.get == nil {
		return l.process.Get(ctx, key)
	}
	return l.get(ctx, key)
}

func (l *leased) Set(ctx context.Context, key string, e *entry) error {
	if l.down.Load() {
		return errDown
	}
	if l.set == nil {
		return l.process.Set(ctx, key, e)
	}
	return l.set(ctx, key, e)
}

func (l *leased) Delete(ctx context.Context, key string) error {
	if l.down.Load() {
		return errDown
	}
	if l.remove == nil {
		return l.process.Delete(ctx, key)
	}
	return l.remove(ctx, key)
}

func (l *leased) LeaseLife() time.Duration {
	if l.life == nil {
		return l.process.LeaseLife()
	}
	return l.life()
}

func (l *leased) Acquire(ctx context.Context, key string, r request) (answer, error) {
	if l.down.Load() {
		return answer{}, errDown
	}
	if l.acquire == nil {
		return l.lease(ctx, key, r)
	}
	return l.acquire(ctx, key, r)
}

// lease is the honest Acquire, of a store that tells no grants apart.
func (l *leased) lease(ctx context.Context, key string, r request) (answer, error) {
	got, err := l.process.Acquire(ctx, key, r)
	if err == nil && got.State == corral.LeaseHeld {
		l.last.Store(key, r.Token)
		got.Token = ""
	}
	return got, err
}

// keepLease runs f and gives the lease back to who had it before.
func (l *leased) keepLease(ctx context.Context, key string, f func() error) error {
	token, _ := l.last.Load(key)
	had := token != nil && l.process.Renew(ctx, key, token.(string)) == nil
	err := f()
	if had {
		_, _ = l.process.Acquire(ctx, key, request{Token: token.(string), Force: true})
	}
	return err
}

func (l *leased) Renew(ctx context.Context, key, token string) error {
	if l.down.Load() {
		return errDown
	}
	if l.renew == nil {
		return l.process.Renew(ctx, key, token)
	}
	return l.renew(ctx, key, token)
}

// Fill is the one whose errors a test may swallow.
func (l *leased) Fill(ctx context.Context, key, token string, e *entry) error {
	if l.fill != nil {
		return l.fill(ctx, key, token, e)
	}
	if l.down.Load() {
		return errDown
	}
	return l.process.Fill(ctx, key, token, e)
}

func (l *leased) Release(ctx context.Context, key, token string) error {
	if l.down.Load() {
		return errDown
	}
	if l.release == nil {
		return l.process.Release(ctx, key, token)
	}
	return l.release(ctx, key, token)
}

func (l *leased) Watch(key string) (<-chan struct{}, func()) {
	if l.watch == nil {
		return l.process.Watch(key)
	}
	return l.watch(key)
}

func (l *leased) Listen(ctx context.Context, drop func(keys ...string)) error {
	if l.hear == nil {
		return l.process.Listen(ctx, drop)
	}
	return l.hear(ctx, drop)
}

// leasedConfig is for a store of which every process is spoilt alike.
func leasedConfig(spoil func(l *leased)) Config[string, string] {
	return leasedFor(shortLife, spoil)
}

// leasedFor is leasedConfig for leases that last for life, whatever they say.
func leasedFor(life time.Duration, spoil func(l *leased)) Config[string, string] {
	var own *leased
	of := func(store *memadapter.Shared[string, string], last *sync.Map) *leased {
		l := &leased{process: store.Process(), store: store, last: last}
		spoil(l)
		return l
	}
	return Config[string, string]{
		New: func(*testing.T) cache {
			own = of(memadapter.NewShared[string, string](life), new(sync.Map))
			return own
		},
		Other:  func(*testing.T) cache { return of(own.store, own.last) },
		Outage: func(*testing.T) { own.down.Store(true) },
	}
}

// bareLeased is an honest cache of plain values with leases: a Shared of
// entries, of which it tells the value and the life that is left.
type bareLeased struct {
	*process
	oneByOne
	store *bareStore
}

type bareStore struct {
	mu     sync.Mutex // each call is one step
	shared *memadapter.Shared[string, string]

	forgets bool   // SetValue leaves the lease
	token   string // guarded by mu; of the last Acquire
}

func (s *bareStore) process() *bareLeased { return &bareLeased{process: s.shared.Process(), store: s} }

func (b *bareLeased) getLocked(ctx context.Context, key string) (bare, whole *entry) {
	whole, _ = b.process.Get(ctx, key)
	if whole == nil {
		return nil, nil
	}
	left := whole.Keep
	if left != math.MaxInt64 {
		left -= time.Since(whole.LoadedAt)
	}
	return &entry{Value: whole.Value, Keep: left}, whole
}

func (b *bareLeased) Get(ctx context.Context, key string) (*entry, error) {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	e, _ := b.getLocked(ctx, key)
	return e, nil
}

func (b *bareLeased) GetValue(ctx context.Context, key string) (string, time.Duration, bool, error) {
	e, _ := b.Get(ctx, key)
	switch {
	case e == nil:
		return "", 0, false, nil
	case e.Keep == math.MaxInt64:
		return e.Value, -1, true, nil
	}
	return e.Value, e.Keep, true, nil
}

// valueOf is e as a bare value is stored: nil for none.
func valueOf(e *entry) *entry {
	if e == nil || e.Absent {
		return nil
	}
	inner := *e
	if inner.LoadedAt.IsZero() {
		inner.LoadedAt = time.Now()
	}
	return &inner
}

func (b *bareLeased) Set(ctx context.Context, key string, e *entry) error {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	if inner := valueOf(e); inner != nil {
		return b.process.Set(ctx, key, inner)
	}
	return b.process.Delete(ctx, key)
}

func (b *bareLeased) SetValue(ctx context.Context, key, value string, life time.Duration) error {
	err := b.Set(ctx, key, &entry{Value: value, Keep: life})
	if b.store.forgets {
		_, _ = b.process.Acquire(ctx, key, request{Token: b.store.token, Force: true})
	}
	return err
}

func (b *bareLeased) Acquire(ctx context.Context, key string, r request) (answer, error) {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	b.store.token = r.Token
	now, whole := b.getLocked(ctx, key)
	if now != nil && r.Seen != nil && now.Keep <= r.Seen.Keep {
		r.Seen = whole
	}
	got, err := b.process.Acquire(ctx, key, r)
	if got.Entry != nil {
		got.Entry = now
	}
	return got, err
}

func (b *bareLeased) Fill(ctx context.Context, key, token string, e *entry) error {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	return b.process.Fill(ctx, key, token, valueOf(e))
}

func bareLeasedConfig(forgets bool) Config[string, string] {
	var store *bareStore
	return Config[string, string]{
		Plain: true,
		New: func(*testing.T) cache {
			store = &bareStore{shared: memadapter.NewShared[string, string](shortLife), forgets: forgets}
			return store.process()
		},
		Other: func(*testing.T) cache { return store.process() },
	}
}

// double is an honest layered cache, with one mutex over all that it does. What
// spoils it is set by the test.
type double struct {
	*process // the far cache, with its leases
	oneByOne
	mu   sync.Mutex
	near *memadapter.Cache[string, string]

	layers   func() (near, far cache)
	copied   func(e *entry) *entry // what near gets of e
	keepNear bool                  // writes leave near alone
	keepFar  bool                  // Delete leaves far alone
}

func newDouble(far *process) *double {
	d := &double{process: far, near: memadapter.New[string, string](), copied: func(e *entry) *entry { return e }}
	d.layers = func() (cache, cache) { return d.near, (*back)(d) }
	return d
}

// back is the far layer, which fills near.
type back double

func (b *back) Get(ctx context.Context, key string) (*entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, err := b.process.Get(ctx, key)
	if e == nil {
		return nil, err
	}
	if near := b.copied(e); near != nil {
		_ = b.near.Set(ctx, key, near)
	}
	return e, err
}

func (b *back) Set(ctx context.Context, key string, e *entry) error {
	return (*double)(b).Set(ctx, key, e)
}

func (b *back) Delete(ctx context.Context, key string) error { return (*double)(b).Delete(ctx, key) }

func (d *double) Layers() (near, far cache) { return d.layers() }

func (d *double) Get(ctx context.Context, key string) (*entry, error) {
	if e, _ := d.near.Get(ctx, key); e != nil {
		return e, nil
	}
	return (*back)(d).Get(ctx, key)
}

func (d *double) Set(ctx context.Context, key string, e *entry) error {
	defer d.dropped(ctx, key)()
	return d.process.Set(ctx, key, e)
}

func (d *double) Delete(ctx context.Context, key string) error {
	defer d.dropped(ctx, key)()
	if d.keepFar {
		return nil
	}
	return d.process.Delete(ctx, key)
}

func (d *double) Fill(ctx context.Context, key, token string, e *entry) error {
	defer d.dropped(ctx, key)()
	return d.process.Fill(ctx, key, token, e)
}

// dropped keeps fills away until a write is done, and then drops near's copy.
func (d *double) dropped(ctx context.Context, key string) func() {
	d.mu.Lock()
	return func() {
		defer d.mu.Unlock()
		if !d.keepNear {
			_ = d.near.Delete(ctx, key)
		}
	}
}

func layeredConfig(spoil func(d *double)) Config[string, string] {
	var store *memadapter.Shared[string, string]
	return Config[string, string]{
		New: func(*testing.T) cache {
			store = memadapter.NewShared[string, string](shortLife)
			d := newDouble(store.Process())
			spoil(d)
			return d
		},
		Other: func(*testing.T) cache { return newDouble(store.Process()) },
	}
}

func (d *double) Far() bool { return false }

// The inner caches of a wrapper that have one ability each.

type leases struct {
	cache
	corral.Leaser[string, string]
}

func onlyLeases(life time.Duration) *leases {
	return &leases{mem(), memadapter.NewShared[string, string](life).Process()}
}

// hurried is far, and prompt.
type hurried struct{ cache }

func (hurried) Far() bool    { return true }
func (hurried) Prompt() bool { return true }

type onlyLayers struct{ cache }

func (o onlyLayers) Layers() (near, far cache) { return o.cache, o.cache }
