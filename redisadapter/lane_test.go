package redisadapter_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// crowded returns a cache that holds keys 0 to n-1, each with its number as the
// name, and the wire to it.
func crowded(t *testing.T, n int) (*cache, *redistest.Wire, *spy) {
	t.Helper()
	m, wire, client := mini(t)
	c := users(client)
	for key := range n {
		must(t, c.Set(t.Context(), key, fresh(User{Name: strconv.Itoa(key)})))
	}
	warm(t, wire, 4, func(i int) { _, _ = c.Get(t.Context(), i) })
	return c, wire, spyOn(m)
}

// warm makes connections for n calls at once, so that later ones dial none.
func warm(t *testing.T, wire *redistest.Wire, n int, call func(i int)) {
	t.Helper()
	wire.Delay(time.Microsecond)
	inAll(n, call)
	wire.Delay(0)
}

// reads gets a key and checks whose value came.
func reads(t *testing.T, c *cache, key int) {
	t.Helper()
	e, err := c.Get(t.Context(), key)
	if err != nil || e == nil || e.Value.Name != strconv.Itoa(key) {
		t.Errorf("Get(%d) = %v, %v", key, e, err)
	}
}

// inAll runs call with each number below n at once and returns what all took.
func inAll(n int, call func(i int)) time.Duration {
	start := time.Now()
	var callers sync.WaitGroup
	for i := range n {
		callers.Go(func() { call(i) })
	}
	callers.Wait()
	return time.Since(start)
}

const trip = 100 * time.Microsecond // less than a convoy's patience

// The first few go at once, or those who were ready together; the others in one
// pipeline when one of those is back.
func TestACrowdGoesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 64
		c, wire, seen := crowded(t, n)
		wire.Delay(trip)
		for range 3 {
			if took := inAll(n, func(i int) { reads(t, c, i) }); took != trip && took != 2*trip {
				t.Errorf("took %v, want one or two round trips", took)
			}
			if gets := strings.Count(seen.take(), "GET"); gets != n {
				t.Errorf("%d GETs, want one for each call", gets)
			}
		}
	})
}

// Who leads a convoy takes along who is ready to go. That a round is one round trip
// is up to the scheduler, so most of them have to be.
//
// Red when lead, in lane.go, does not let others run.
func TestWhoIsReadyGoesAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		const n, rounds = 16, 40
		c, wire, _ := crowded(t, n)
		wire.Delay(trip)
		together := 0
		for range rounds {
			if inAll(n, func(i int) { reads(t, c, i) }) == trip {
				together++
			}
		}
		if together <= rounds/2 {
			t.Errorf("all went together in %d of %d rounds", together, rounds)
		}
	})
}

func TestAFewDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, wire, _ := crowded(t, 64)
		wire.Delay(trip)
		for _, n := range []int{1, 4} {
			if took := inAll(n, func(i int) { reads(t, c, i) }); took != trip {
				t.Errorf("%d calls took %v, want one round trip", n, took)
			}
		}
		inAll(64, func(i int) { reads(t, c, i) })
		if took := inAll(1, func(i int) { reads(t, c, i) }); took != trip {
			t.Errorf("a call after a crowd took %v, want one round trip", took)
		}
		inAll(2, func(i int) { reads(t, c, i) }) // the crowd has gone
		if took := inAll(4, func(i int) { reads(t, c, i) }); took != trip {
			t.Errorf("4 calls after a crowd took %v, want one round trip", took)
		}
	})
}

func TestNoPipelineGoesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, wire, client := mini(t)
		c := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "users", NoPipeline: true})
		must(t, c.Set(t.Context(), 42, fresh(User{Name: "Ann"})))
		warm(t, wire, 8, func(int) { get(t, c, 42) })
		wire.Delay(trip)
		if took := inAll(8, func(int) { get(t, c, 42) }); took != trip {
			t.Errorf("took %v, want one round trip of each", took)
		}
	})
}

// What hangs holds up nobody for longer than a convoy's patience, and those who
// come after that not at all.
func TestAConvoyDoesNotWaitForWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, wire, _ := crowded(t, 300)
		reads(t, c, 0)
		for range 2 {
			wire.Delay(time.Second)
			var hung sync.WaitGroup
			for i := range 4 {
				hung.Go(func() { reads(t, c, i) })
			}
			synctest.Wait()
			wire.Delay(0)
			if took := inAll(10, func(i int) { reads(t, c, i) }); took != time.Millisecond {
				t.Errorf("a convoy waited %v, want 1ms", took)
			}
			if took := inAll(1, func(i int) { reads(t, c, i) }); took != 0 {
				t.Errorf("a call after it waited %v", took)
			}
			hung.Wait()
		}
	})
}

// A convoy that is full waits for nothing.
func TestAFullConvoyLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, wire, _ := crowded(t, 128)
		wire.Delay(time.Second)
		var hung sync.WaitGroup
		for i := range 4 {
			hung.Go(func() { reads(t, c, i) })
		}
		synctest.Wait()
		wire.Delay(0)
		if took := inAll(128, func(i int) { reads(t, c, i) }); took != 0 {
			t.Errorf("128 waited %v", took)
		}
		hung.Wait()
	})
}

// Large values go alone: whoever waits behind one loses more than a GET costs.
func TestLargeValuesGoAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, wire, client := mini(t)
		c := users(client)
		must(t, c.Set(t.Context(), 1, fresh(User{Name: strings.Repeat("x", 1<<20)})))
		for range 10 {
			get(t, c, 1)
		}
		warm(t, wire, 8, func(int) { get(t, c, 1) })
		wire.Delay(trip)
		if took := inAll(8, func(int) { get(t, c, 1) }); took != trip {
			t.Errorf("took %v, want one round trip of each", took)
		}
	})
}

// Each call of a convoy has its own answer.
func TestEachOfAConvoyHasItsOwnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, wire, client := mini(t)
		c := users(client)
		must(t, c.Set(t.Context(), 0, fresh(User{Name: "0"})))
		_, err := m.Push("users:{2}", "a list")
		must(t, err)
		must(t, m.Set("users:{3}", "no entry"))
		must(t, m.Set("users:{4}", ""))
		wire.Delay(trip)
		inAll(100, func(i int) {
			e, err := c.Get(t.Context(), i%5)
			ok := false
			switch i % 5 {
			case 0:
				ok = err == nil && e != nil && e.Value.Name == "0"
			case 1:
				ok = err == nil && e == nil
			default:
				ok = e == nil && err != nil && (i%5 == 4 || errors.Is(err, corral.ErrUndecodable))
			}
			if !ok {
				t.Errorf("key %d: %v, %v", i%5, e, err)
			}
		})
	})
}

// No answer is an error for each of a convoy, never a miss.
func TestAConvoyThatGetsNoAnswer(t *testing.T) {
	breaks := map[string]func(*redistest.Wire, *redis.Client){
		"gone":   func(wire *redistest.Wire, _ *redis.Client) { wire.Swallow(true) },
		"down":   func(wire *redistest.Wire, _ *redis.Client) { wire.TakeDown() },
		"closed": func(_ *redistest.Wire, client *redis.Client) { _ = client.Close() },
	}
	for name, cut := range breaks {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, wire, client := mini(t)
				c := users(client)
				must(t, c.Set(t.Context(), 1, fresh(User{})))
				warm(t, wire, 4, func(int) { get(t, c, 1) })
				wire.Delay(trip)
				var callers sync.WaitGroup
				for i := range 50 {
					callers.Go(func() {
						if e, err := c.Get(t.Context(), i); err == nil {
							t.Errorf("Get = %v, nil", e)
						}
					})
				}
				synctest.Wait()
				cut(wire, client)
				callers.Wait()
			})
		})
	}
}

// A caller leaves a convoy when its own context ends, whoever leads.
func TestACallerLeavesAConvoy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, wire, _ := crowded(t, 10)
		wire.Delay(50 * time.Millisecond)
		inAll(10, func(i int) {
			if i%2 == 0 {
				reads(t, c, i)
				return
			}
			start := time.Now()
			_, err := c.Get(timeout(t, 20*time.Millisecond), i)
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 20*time.Millisecond {
				t.Errorf("%v after %v, want the deadline's error after 20ms", err, took)
			}
		})
	})
}

// crash is a hook that panics in pipelines.
type crash struct{ on bool }

func (*crash) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*crash) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h *crash) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if h.on {
			panic("boom")
		}
		return next(ctx, cmds)
	}
}

// A panic of the client ends nobody's wait but with an error.
func TestAConvoyWhoseLeaderPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, wire, client := mini(t)
		hook := &crash{}
		client.AddHook(hook)
		c := users(client)
		must(t, c.Set(t.Context(), 1, fresh(User{})))
		warm(t, wire, 4, func(int) { get(t, c, 1) })
		wire.Delay(trip)
		hook.on = true
		var failed atomic.Int64
		inAll(50, func(i int) {
			if _, err := c.Get(timeout(t, time.Minute), 1); err != nil {
				failed.Add(1)
			}
		})
		if n := failed.Load(); n != 46 {
			t.Errorf("%d calls failed, want the 46 that went together", n)
		}
		hook.on = false
		inAll(2, func(int) { get(t, c, 1) })
		if took := inAll(4, func(int) { get(t, c, 1) }); took != trip {
			t.Errorf("afterwards 4 calls took %v, want one round trip", took)
		}
	})
}

// Before the server's time is known, a convoy asks for it too.
func TestAConvoyAsksForTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, wire, client := mini(t)
		must(t, users(client).Set(t.Context(), 1, fresh(User{Name: "1"})))
		wire.Delay(trip)
		c := users(client)
		inAll(64, func(int) {
			if e := get(t, c, 1); e.LoadedAt.IsZero() {
				t.Error("the age is not known")
			}
		})
	})
}

// A crowd over a real server: each has its own value, with one GET for each.
func TestServerACrowd(t *testing.T) {
	s := redistest.StartServer(t)
	client := redistest.ClientWith(t, &redis.Options{Addr: s.Addr, Dialer: (&net.Dialer{}).DialContext})
	c := users(client)
	const n, rounds = 64, 200
	for key := range n {
		must(t, c.Set(t.Context(), key, fresh(User{Name: strconv.Itoa(key)})))
	}
	s.Do("CONFIG", "RESETSTAT")
	inAll(n, func(i int) {
		for r := range rounds {
			reads(t, c, (i+r)%n)
		}
	})
	stats, _ := s.Do("INFO", "commandstats").(string)
	if want := "cmdstat_get:calls=" + strconv.Itoa(n*rounds) + ","; !strings.Contains(stats, want) {
		t.Errorf("no %q in\n%s", want, stats)
	}
}
