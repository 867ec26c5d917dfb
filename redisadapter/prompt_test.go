package redisadapter_test

import (
	"context"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// onCaller is a hook that counts the GETs sent on the goroutine of a Loader's
// caller.
type onCaller struct{ gets atomic.Int64 }

func (*onCaller) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *onCaller) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "get" && strings.Contains(string(debug.Stack()), ".GetOrLoad(") {
			h.gets.Add(1)
		}
		return next(ctx, cmd)
	}
}

func (*onCaller) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// hanging is the options of clients whose own waits are longer than a Loader's.
var hanging = map[string]redis.Options{
	"deadlines ignored by the client": {MaxRetries: -1},
	"retries":                         {MaxRetries: 3},
	"ContextTimeoutEnabled":           {MaxRetries: -1, ContextTimeoutEnabled: true},
	"short waits of its own":          {MaxRetries: -1, ReadTimeout: 50 * time.Millisecond, WriteTimeout: 50 * time.Millisecond},
}

// A caller that cannot be called off reads on its own goroutine, gets away from a
// server that is gone about when CacheTimeout is over, and while it is gone another
// goroutine reads.
func TestAPromptReadKeepsToItsDeadline(t *testing.T) {
	for kind, opts := range hanging {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const limit = 100 * time.Millisecond
				wire := redistest.NewWire(redistest.Mini(t))
				opts.Dialer = wire.Dial
				client := redistest.ClientWith(t, &opts)
				hook := &onCaller{}
				client.AddHook(hook)
				var here int64 // where the client's waits are longer, it takes another client, with the same hooks
				if opts.ReadTimeout > 0 || redisadapter.HooksSurvive() {
					here = 1
				}
				l, err := corral.New(users(client), corral.Options{TTL: time.Hour, CacheTimeout: limit})
				must(t, err)
				defer func() { must(t, l.Close(context.Background())) }()
				call := func(wantHere int64) (User, time.Duration) {
					t.Helper()
					hook.gets.Store(0)
					start := time.Now()
					u, err := l.GetOrLoad(context.Background(), 42, func(context.Context, int) (User, error) { return User{"loaded"}, nil })
					must(t, err)
					if n := hook.gets.Load(); n != wantHere {
						t.Errorf("%d GETs on the caller's goroutine, want %d", n, wantHere)
					}
					return u, time.Since(start)
				}
				must(t, l.Set(t.Context(), 42, User{"Ann"}))
				call(0) // nothing was answered before
				if u, _ := call(here); u.Name != "Ann" {
					t.Errorf("got %v", u)
				}
				wire.Swallow(true)
				if u, took := call(here); u.Name != "loaded" || took > 2*limit+limit/4 { // the read, and the lease
					t.Errorf("got %v after %v", u, took)
				}
				if _, took := call(0); took > 2*limit {
					t.Errorf("the next one took %v", took)
				}
				wire.Swallow(false)
				time.Sleep(time.Minute)
				call(0)
				call(here)
			})
		})
	}
}

// A caller that could leave is not read for on its goroutine, and neither does one
// read by itself through a client of many nodes.
func TestWhoDoesNotReadPromptly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, wire, client := mini(t)
		hook := &onCaller{}
		client.AddHook(hook)
		l, err := corral.New(users(client), corral.Options{TTL: time.Hour, CacheTimeout: 100 * time.Millisecond})
		must(t, err)
		must(t, l.Set(t.Context(), 42, User{"Ann"}))
		load := func(context.Context, int) (User, error) { return User{"loaded"}, nil }
		for range 3 {
			_, err := l.GetOrLoad(t.Context(), 42, load)
			must(t, err)
		}
		wire.Delay(time.Second)
		start := time.Now()
		u, err := l.GetOrLoad(t.Context(), 42, load)
		must(t, err)
		if took := time.Since(start); u.Name != "loaded" || took > 200*time.Millisecond {
			t.Errorf("got %v after %v", u, took)
		}
		if n := hook.gets.Load(); n != 0 {
			t.Errorf("%d GETs on the caller's goroutine", n)
		}
		must(t, l.Close(context.Background()))
		ring := redis.NewRing(&redis.RingOptions{})
		defer ring.Close()
		if redisadapter.New(ring, redisadapter.Options[int, User]{}).Prompt() {
			t.Error("a Ring is prompt")
		}
	})
}

// stuck is a hook in which pipelines stand still.
type stuck struct{ on atomic.Bool }

func (*stuck) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*stuck) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h *stuck) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if h.on.Load() {
			time.Sleep(time.Hour)
		}
		return next(ctx, cmds)
	}
}

// Who reads promptly in a convoy leaves it when the time for the read is over, also
// if the one who leads it hangs.
//
// Red when the members of a convoy, in lane.get, wait for done alone.
func TestAPromptReadLeavesAConvoy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, callers = 100 * time.Millisecond, 10
		_, wire, client := mini(t)
		hook := &stuck{}
		client.AddHook(hook)
		hang := int64(0) // where reads are not on their callers' goroutines, the leader leaves too
		if redisadapter.KeepsHooks() {
			hang = 1
		}
		l, err := corral.New(users(client), corral.Options{TTL: time.Hour, CacheTimeout: limit})
		must(t, err)
		defer func() { must(t, l.Close(context.Background())) }()
		load := func(context.Context, int) (User, error) { return User{"loaded"}, nil }
		read := func(key int) {
			_, err := l.GetOrLoad(context.Background(), key, load)
			must(t, err)
		}
		for key := range callers {
			read(key)
		}
		warm(t, wire, 4, read)
		wire.Delay(trip)
		hook.on.Store(true)
		var left, hung atomic.Int64
		inAll(callers, func(key int) {
			start := time.Now()
			read(key)
			switch took := time.Since(start); {
			case took >= time.Hour:
				hung.Add(1)
			case took >= limit && took <= limit*5/4:
				left.Add(1)
			case took != trip:
				t.Errorf("a call took %v", took)
			}
		})
		if left.Load() != callers-4-hang || hung.Load() != hang {
			t.Errorf("%d of a convoy left in time and %d hung, want %d and %d", left.Load(), hung.Load(), callers-4-hang, hang)
		}
		time.Sleep(2 * time.Hour) // for the leader's call, if that was left behind
	})
}

// The first GET of a process does not wait for what is found out about the client: in
// some versions of go-redis a dial that fails is made again for 400 ms.
func TestFindingOutAboutHooksTakesNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		redisadapter.KeepsHooks()
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}
