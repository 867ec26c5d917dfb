package redisadapter_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// calls are the calls of both caches.
func calls(client redis.UniversalClient) map[string]func(context.Context) error {
	c, p := users(client), plainUsers(client)
	return map[string]func(context.Context) error{
		"Get":      func(ctx context.Context) error { _, err := c.Get(ctx, 42); return err },
		"Set":      func(ctx context.Context) error { return c.Set(ctx, 42, fresh(User{Name: "Ann"})) },
		"Delete":   func(ctx context.Context) error { return c.Delete(ctx, 42) },
		"GetValue": func(ctx context.Context) error { _, _, _, err := p.GetValue(ctx, 42); return err },
		"SetValue": func(ctx context.Context) error { return p.SetValue(ctx, 42, User{Name: "Ann"}, time.Minute) },
		"plain Get": func(ctx context.Context) error {
			_, err := p.Get(ctx, 42)
			return err
		},
		"plain Set":    func(ctx context.Context) error { return p.Set(ctx, 42, fresh(User{Name: "Ann"})) },
		"plain Delete": func(ctx context.Context) error { return p.Delete(ctx, 42) },
		"GetMany":      func(ctx context.Context) error { _, err := c.GetMany(ctx, some); return err },
		"SetMany":      func(ctx context.Context) error { return c.SetMany(ctx, some, freshOnes()) },
		"DeleteMany":   func(ctx context.Context) error { return c.DeleteMany(ctx, some) },
		"plain GetMany": func(ctx context.Context) error {
			_, err := p.GetMany(ctx, some)
			return err
		},
		"plain SetMany":    func(ctx context.Context) error { return p.SetMany(ctx, some, freshOnes()) },
		"plain DeleteMany": func(ctx context.Context) error { return p.DeleteMany(ctx, some) },
	}
}

// some keys of calls with many.
var some = []int{42, 43, 44}

func freshOnes() []*corral.Entry[User] {
	return []*corral.Entry[User]{fresh(User{Name: "Ann"}), fresh(User{Name: "Ann"}), fresh(User{Name: "Ann"})}
}

var clients = map[string]redis.Options{
	"deadlines ignored by the client": {MaxRetries: -1, PoolSize: 1},
	"ContextTimeoutEnabled":           {MaxRetries: -1, PoolSize: 1, ContextTimeoutEnabled: true},
}

// A caller in a hurry gets away in time, and the connection is as good as
// before: nothing is dialled again.
func TestAShortDeadlineBreaksNoConnection(t *testing.T) {
	for kind, opts := range clients {
		for name := range calls(nil) {
			t.Run(kind+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					wire := redistest.NewWire(redistest.Mini(t))
					opts.Dialer = wire.Dial
					client := redistest.ClientWith(t, &opts)
					call := calls(client)[name]
					for range 2 { // the second time in the way of all later ones
						must(t, call(t.Context()))
					}
					dials := wire.Dials.Load()
					wire.Delay(time.Second)

					cause := errors.New("the caller went home")
					ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, cause)
					defer cancel()
					start := time.Now()
					if err := call(ctx); !errors.Is(err, cause) {
						t.Errorf("err = %v, want the caller's cause", err)
					}
					if took := time.Since(start); took != 100*time.Millisecond {
						t.Errorf("the caller waited %v, want 100ms", took)
					}
					time.Sleep(10 * time.Second)
					must(t, call(t.Context()))
					if n := wire.Dials.Load(); n != dials {
						t.Errorf("%d connections were made, want none", n-dials)
					}
				})
			})
		}
	}
}

func TestAServerThatIsGone(t *testing.T) {
	for name := range calls(nil) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, wire, client := mini(t)
				call := calls(client)[name]
				must(t, call(t.Context()))
				wire.Swallow(true)
				start := time.Now()
				if err := call(timeout(t, 100*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("err = %v, want the deadline's", err)
				}
				if took := time.Since(start); took != 100*time.Millisecond {
					t.Errorf("the caller waited %v, want 100ms", took)
				}
				wantFailure(t, call(t.Context())) // the client's own ReadTimeout ends it
				wire.Swallow(false)
				time.Sleep(10 * time.Second)
				must(t, call(t.Context()))
			})
		})
	}
}

// Nobody holds a connection while waiting: 100 callers and one connection.
func TestAPoolOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := redistest.NewWire(redistest.Mini(t))
		client := redistest.ClientWith(t, &redis.Options{Dialer: wire.Dial, MaxRetries: -1, PoolSize: 1})
		c := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "users", NoPipeline: true})
		must(t, c.Set(t.Context(), 42, fresh(User{Name: "Ann"})))
		dials := wire.Dials.Load()
		wire.Delay(time.Millisecond)
		start := time.Now()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { get(t, c, 42) })
		}
		wg.Wait()
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("took %v, want 100 round trips of 1ms", took)
		}
		if n := wire.Dials.Load(); n != dials {
			t.Errorf("%d connections were made, want none", n-dials)
		}
	})
}

// A pool without a free connection is the client's error, in the client's time.
// Newer clients have another pool for pipelines, so these calls use none.
func TestAnExhaustedPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := redistest.NewWire(redistest.Mini(t))
		client := redistest.ClientWith(t, &redis.Options{
			Dialer: wire.Dial, MaxRetries: -1, PoolSize: 1, PoolTimeout: time.Second,
		})
		must(t, client.Ping(t.Context()).Err())
		wire.Delay(2 * time.Second)
		var wg sync.WaitGroup
		wg.Go(func() { must(t, users(client).Delete(t.Context(), 1)) })
		synctest.Wait()
		all := calls(client)
		for _, name := range []string{"Delete", "SetValue", "plain Delete"} {
			wg.Go(func() {
				start := time.Now()
				wantFailure(t, all[name](t.Context()))
				if took := time.Since(start); took != time.Second {
					t.Errorf("%s took %v, want PoolTimeout", name, took)
				}
			})
		}
		wg.Wait()
	})
}

func TestAnEndedContextSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, client := mini(t)
		must(t, client.Ping(t.Context()).Err())
		seen := spyOn(m)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for name, call := range calls(client) {
			if err := call(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, want the context's error", name, err)
			}
		}
		if got := seen.take(); got != "" {
			t.Errorf("sent %q", got)
		}
	})
}

func TestAClosedClientIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, client := mini(t)
		must(t, client.Close())
		for _, call := range calls(client) {
			if err := call(t.Context()); !errors.Is(err, redis.ErrClosed) {
				t.Errorf("err = %v, want the client's", err)
			}
		}
	})
}

// A Set along with the question for the time is one that can fail, too.
func TestAPipelinedSetIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, client := mini(t)
		c := users(client)
		must(t, c.Set(t.Context(), 42, fresh(User{})))
		must(t, client.Close())
		time.Sleep(time.Hour)
		if err := c.Set(t.Context(), 42, fresh(User{})); !errors.Is(err, redis.ErrClosed) {
			t.Errorf("err = %v, want the client's", err)
		}
		if _, err := c.Get(t.Context(), 42); !errors.Is(err, redis.ErrClosed) {
			t.Errorf("err = %v, want the client's", err)
		}
	})
}

func TestAPanicOfTheKeyFunctionIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, client := mini(t)
		c := redisadapter.New(client, redisadapter.Options[int, User]{Key: func(int) string { panic("boom") }})
		_, err := c.Get(timeout(t, time.Minute), 1)
		wantFailure(t, err)
		wantFailure(t, c.Delete(t.Context(), 1))
	})
}
