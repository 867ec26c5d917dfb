package redisadapter_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// patience is within what all that should be quick must be over, on a machine
// that has other things to do.
const patience = 10 * time.Second

// sharer is what one process of a fleet has.
type sharer struct {
	link   redistest.Link
	client redis.UniversalClient
	cache  *redisadapter.Cache[string, int]
	loader *corral.Loader[string, int]
}

// sharers are processes that share servers and a source.
type sharers struct {
	t       *testing.T
	servers *redistest.Deployment
	prefix  string
	members []*sharer
	source  *numbered
}

// sharersOptions are those of every member.
type sharersOptions struct {
	loader corral.Options // TTL 0 is an hour
	client redis.UniversalOptions
	cache  redisadapter.Options[string, int]
	hook   redis.Hook
}

// sharersOf returns two members over servers. When the test ends all their
// connections are closed.
func sharersOf(t *testing.T, servers *redistest.Deployment, opts sharersOptions) *sharers {
	t.Helper()
	f := &sharers{t: t, servers: servers, prefix: t.Name(), source: &numbered{spans: map[string][]loadSpan{}}}
	if opts.loader.TTL == 0 {
		opts.loader.TTL = time.Hour
	}
	if opts.client.ReadTimeout == 0 {
		opts.client.ReadTimeout = time.Second
	}
	opts.cache.Prefix = f.prefix
	for range 2 {
		f.members = append(f.members, newMember(t, servers, opts))
	}
	return f
}

func newMember(t *testing.T, servers *redistest.Deployment, opts sharersOptions) *sharer {
	t.Helper()
	m := &sharer{}
	t.Cleanup(func() {
		err := redistest.Until(context.Background(), func(context.Context) error {
			if n := m.link.Open.Load(); n != 0 {
				return fmt.Errorf("%d connections are open", n)
			}
			return nil
		})
		if err != nil {
			t.Errorf("after the client was closed: %v", err)
		}
	})
	opts.client.Dialer = m.link.Dial
	m.client = servers.Client(t, opts.client)
	if opts.hook != nil {
		m.client.AddHook(opts.hook)
	}
	m.cache = redisadapter.New(m.client, opts.cache)
	var err error
	m.loader, err = corral.New(m.cache, opts.loader)
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
		defer cancel()
		if err := m.loader.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return m
}

// numbered is a source that numbers its loads and returns the number.
type numbered struct {
	mu    sync.Mutex
	last  int                   // guarded by mu, as all below
	spans map[string][]loadSpan // of each key's loads
	fn    func(key string)      // called inside each load
}

// loadSpan is from the beginning to the end of a load.
type loadSpan struct{ began, ended time.Time }

func (s *numbered) load(_ context.Context, key string) (int, error) {
	s.mu.Lock()
	s.last++
	number, fn, i := s.last, s.fn, len(s.spans[key])
	s.spans[key] = append(s.spans[key], loadSpan{began: time.Now()})
	s.mu.Unlock()
	if fn != nil {
		fn(key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spans[key][i].ended = time.Now()
	return number, nil
}

// during has fn called inside each load from now on.
func (s *numbered) during(fn func(key string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fn = fn
}

// takes makes each load take d, real time.
func (s *numbered) takes(d time.Duration) { s.during(func(string) { time.Sleep(d) }) }

// count returns the number of all loads, which is also the last one's.
func (s *numbered) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// of returns the loads of key.
func (s *numbered) of(key string) []loadSpan {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]loadSpan(nil), s.spans[key]...)
}

// heldLoad is a load that goes on until it is let go.
type heldLoad struct {
	began, letGo chan struct{}
	over         <-chan callerReply
}

// callerReply is what one caller got.
type callerReply struct {
	corral.Result[int]
	err error
}

// hold has member i load key, and returns once the load runs.
func (f *sharers) hold(i int, key string) *heldLoad {
	f.t.Helper()
	h := &heldLoad{began: make(chan struct{}), letGo: make(chan struct{})}
	var taken atomic.Bool
	f.source.during(func(k string) {
		if k == key && !taken.Swap(true) {
			close(h.began)
			<-h.letGo
		}
	})
	h.over = f.ask(i, key)
	select {
	case <-h.began:
	case <-time.After(patience):
		f.t.Fatal("no load began")
	}
	return h
}

// ask has member i look key up, and returns where the reply will come.
func (f *sharers) ask(i int, key string) <-chan callerReply {
	over := make(chan callerReply, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r, err := f.members[i].loader.Lookup(ctx, key, f.source.load)
		over <- callerReply{r, err}
	}()
	return over
}

// soon returns what comes from c, which must not take long.
func soon[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience + 5*time.Second): // a caller's deadline, and an allowance
		t.Fatalf("%s: nothing came", what)
	}
	return v
}

// round has callers of each member ask for key at once. All of them must get a
// value. It returns them.
func (f *sharers) round(key string, callers int) []int {
	f.t.Helper()
	var replies []<-chan callerReply
	for i := range f.members {
		for range callers {
			replies = append(replies, f.ask(i, key))
		}
	}
	var values []int
	for _, c := range replies {
		r := soon(f.t, "a caller", c)
		if r.err != nil {
			f.t.Errorf("a caller got %v", r.err)
		}
		values = append(values, r.Value)
	}
	return values
}

// shares wants one load to serve a round of all members, whatever they had.
func (f *sharers) shares(key string) {
	f.t.Helper()
	before := f.source.count()
	values := f.round(key, 10)
	if n := f.source.count() - before; n != 1 {
		f.t.Errorf("%d loads, want 1", n)
	}
	for _, v := range values {
		if v != before+1 {
			f.t.Errorf("a caller got %d, want %d", v, before+1)
		}
	}
}

// serves has rounds of all members ask for keys that are not there. All get
// values, by a bounded number of loads: a caller that comes late finds the first
// flight landed, and so may each member have two in a round.
func (f *sharers) serves(rounds int) {
	f.t.Helper()
	f.source.takes(50 * time.Millisecond)
	before := f.source.count()
	for i := range rounds {
		f.round(fmt.Sprint("served ", i), 10)
	}
	if n, most := f.source.count()-before, rounds*2*len(f.members); n < rounds || n > most {
		f.t.Errorf("%d loads in %d rounds, want up to %d", n, rounds, most)
	}
	f.source.during(nil)
}

// recovers waits until one member stores what the other one hits, with key and
// with a new one, and both delete: nobody does anything for it.
func (f *sharers) recovers(keys ...string) {
	f.t.Helper()
	f.source.during(nil)
	tries := 0
	for _, key := range append(keys, "new") {
		err := redistest.Until(context.Background(), func(ctx context.Context) error {
			if tries++; tries > 1 {
				time.Sleep(50 * time.Millisecond)
			}
			if tries > 400 {
				return redistest.Never(errors.New("400 tries"))
			}
			return f.hits(ctx, key)
		})
		if err != nil {
			f.t.Fatalf("%s: %v", key, err)
		}
	}
	for _, m := range f.members {
		must(f.t, redistest.Until(context.Background(), func(ctx context.Context) error {
			return m.loader.Delete(ctx, "new")
		}))
	}
}

// hits returns nil if all members hit key, having looked once before.
func (f *sharers) hits(ctx context.Context, key string) error {
	for _, times := range []string{"first", "second"} {
		for i, m := range f.members {
			r, err := m.loader.Lookup(ctx, key, f.source.load)
			switch {
			case err != nil:
				return redistest.Never(err)
			case times == "second" && r.Source != corral.SourceHit:
				return fmt.Errorf("member %d: %v, want a hit", i, r.Source)
			}
		}
	}
	return nil
}

// key returns how key is written on the servers.
func (f *sharers) key(key string) string { return name(f.prefix, key) }
