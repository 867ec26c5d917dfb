package corral_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// process is a process's view of a shared store, whose calls can be counted,
// slowed down, broken and made to hang. A call that hangs is carried out later.
type process struct {
	*memadapter.Process[string, int]
	acquires, renews, fills, releases, gets atomic.Int64

	unreadable bool // nobody can read what the others wrote
	fillErr    error

	acquireLost error // what Acquire returns once it was carried out

	mu    sync.Mutex
	err   error         // guarded by mu
	lost  error         // what a call that was carried out returns; guarded by mu
	hang  chan struct{} // guarded by mu
	quiet bool          // Watch says nothing; guarded by mu
}

func (p *process) break_(err, lost error, hang chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err, p.lost, p.hang = err, lost, hang
}

func (p *process) call(calls *atomic.Int64, do func() error) error {
	calls.Add(1)
	p.mu.Lock()
	err, lost, hang := p.err, p.lost, p.hang
	p.mu.Unlock()
	if hang != nil {
		<-hang
	}
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return lost
}

func (p *process) Get(ctx context.Context, key string) (e *corral.Entry[int], err error) {
	err = p.call(&p.gets, func() error { e, err = p.Process.Get(ctx, key); return err })
	if e != nil && p.unreadable {
		return nil, corral.ErrUndecodable
	}
	return e, err
}

func (p *process) Acquire(ctx context.Context, key string, r corral.LeaseRequest[int]) (got corral.Lease[int], err error) {
	err = p.call(&p.acquires, func() error { got, err = p.Process.Acquire(ctx, key, r); return err })
	if err == nil && p.acquireLost != nil {
		return corral.Lease[int]{}, p.acquireLost
	}
	if got.State == corral.LeaseChanged && p.unreadable {
		return got, corral.ErrUndecodable
	}
	return got, err
}

func (p *process) Renew(ctx context.Context, key, token string) error {
	return p.call(&p.renews, func() error { return p.Process.Renew(ctx, key, token) })
}

func (p *process) Fill(ctx context.Context, key, token string, e *corral.Entry[int]) error {
	return p.call(&p.fills, func() error {
		if p.fillErr != nil {
			return p.fillErr
		}
		return p.Process.Fill(ctx, key, token, e)
	})
}

func (p *process) Release(ctx context.Context, key, token string) error {
	return p.call(&p.releases, func() error { return p.Process.Release(ctx, key, token) })
}

func (p *process) Watch(key string) (<-chan struct{}, func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quiet {
		return nil, func() {}
	}
	return p.Process.Watch(key)
}

const leaseLife = 2 * time.Second

// layers puts copies in memory in front of a process's view of the store; it
// never fills them, and hears what the other processes write.
type layers struct {
	*process
	near corral.Cache[string, int]
}

func (c layers) Layers() (near, far corral.Cache[string, int]) { return c.near, c.process }

// fleet is n processes over one store, each with a Loader.
type fleet struct {
	store   *memadapter.Shared[string, int]
	process []*process
	loader  []*corral.Loader[string, int]
}

func newFleet(t *testing.T, n int, opts corral.Options) *fleet {
	t.Helper()
	f := &fleet{store: memadapter.NewShared[string, int](leaseLife)}
	for range n {
		p := &process{Process: f.store.Process()}
		f.process = append(f.process, p)
		f.loader = append(f.loader, newLoader[string, int](t, p, opts))
	}
	return f
}

// all calls GetOrLoad of every Loader, callers times each, and returns the
// answers once all are there.
func (f *fleet) all(t *testing.T, callers int, key string, load corral.LoadFunc[string, int]) []reply {
	t.Helper()
	answers := make([]reply, len(f.loader)*callers)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			start := time.Now()
			v, err := f.loader[i/callers].GetOrLoad(t.Context(), key, load)
			answers[i] = reply{v, err, time.Since(start)}
		})
	}
	wg.Wait()
	return answers
}

type reply struct {
	value int
	err   error
	took  time.Duration
}
