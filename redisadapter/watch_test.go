package redisadapter_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// woken reports whether ended was sent to by now.
func woken(ended <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// watch watches key 42 on a subscription that has begun.
func watch(t *testing.T, c corral.Leaser[int, User]) (<-chan struct{}, func()) {
	t.Helper()
	ended, stop := c.Watch(42)
	if !woken(ended) {
		t.Error("a watcher is not woken when the subscription begins: the lease may have ended before")
	}
	return ended, stop
}

func TestAWatcherHearsWhateverEndsALease(t *testing.T) {
	bothKinds(t, func(t *testing.T, c *leased) {
		ctx := t.Context()
		other := leasedOver(c.client, map[bool]string{true: "Plain", false: "New"}[c.value == "users:42"])
		ended, stop := watch(t, other)
		defer stop()
		for _, end := range []struct {
			name string
			end  func() error
		}{
			{"Fill", func() error { return c.Fill(ctx, 42, "a", entry("Ann")) }},
			{"Fill of nil", func() error { return c.Fill(ctx, 42, "a", nil) }},
			{"Release", func() error { return c.Release(ctx, 42, "a") }},
			{"Set", func() error { return c.Set(ctx, 42, entry("Ann")) }},
			{"Delete", func() error { return c.Delete(ctx, 42) }},
		} {
			_, err := c.Acquire(ctx, 42, corral.LeaseRequest[User]{Token: "a", Force: true})
			must(t, err)
			must(t, c.Renew(ctx, 42, "a"))
			_, err = c.Acquire(ctx, 42, corral.LeaseRequest[User]{Token: "b", Force: true})
			must(t, err)
			must(t, c.Release(ctx, 42, "b"))
			must(t, c.Delete(ctx, 43))
			if woken(ended) {
				t.Errorf("before %s: woken without a reason", end.name)
			}
			must(t, end.end())
			if !woken(ended) {
				t.Errorf("%s does not wake", end.name)
			}
		}
		must(t, c.Set(ctx, 42, entry("Ann")))
		if woken(ended) {
			t.Error("a Set where there is no lease wakes")
		}
	})
}

// One subscription for all watchers, none when nobody watches, and a lost one is
// made again while somebody does.
func TestTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, wire, client := mini(t)
		c := users(client)
		must(t, c.Delete(t.Context(), 1))
		dials := wire.Dials.Load()
		dialled := func(want int64) {
			t.Helper()
			synctest.Wait()
			if n := wire.Dials.Load() - dials; n != want {
				t.Errorf("%d connections were made, want %d", n, want)
			}
			dials = wire.Dials.Load()
		}
		subscribed := func(want int) {
			t.Helper()
			synctest.Wait()
			if n := m.PubSubNumSub("users:leases")["users:leases"]; n != want {
				t.Errorf("%d subscriptions, want %d", n, want)
			}
		}
		first, stop1 := watch(t, c)
		second, stop2 := c.Watch(42)
		third, stop3 := c.Watch(43)
		subscribed(1)
		dialled(1)
		publish := func() {
			want(t, acquire(t, c, "a"), corral.Lease[User]{State: corral.LeaseHeld, Empty: true})
			must(t, c.Release(t.Context(), 42, "a"))
		}
		publish()
		if !woken(first) || !woken(second) || woken(third) {
			t.Error("not exactly the watchers of the key were woken")
		}
		publish()
		publish() // nobody looks: there is room for one, and nobody waits for more

		time.Sleep(time.Minute)
		dialled(0)
		stop1()
		stop1() // as often as one likes
		stop2()
		time.Sleep(time.Minute)
		subscribed(1) // of 43
		stop3()
		time.Sleep(time.Second - 1)
		subscribed(1)
		_, stop := c.Watch(44)
		time.Sleep(time.Minute)
		subscribed(1) // the one there was
		dialled(0)
		stop()
		time.Sleep(2 * time.Second)
		subscribed(0)
		if !woken(second) {
			t.Error("a stopped watcher lost what it was sent")
		}
	})
}

func acquire(t *testing.T, c corral.Leaser[int, User], token string) corral.Lease[User] {
	t.Helper()
	l, err := c.Acquire(t.Context(), 42, corral.LeaseRequest[User]{Token: token})
	must(t, err)
	return l
}

// cutter is a network whose connections can all be cut.
type cutter struct {
	*redistest.Wire
	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

func (c *cutter) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := c.Wire.Dial(ctx, network, addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conn)
	return conn, err
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

// A message may be lost between two subscriptions, so the second one's begin
// wakes all.
func TestALostSubscriptionIsMadeAgain(t *testing.T) {
	for name, fault := range map[string]func(*cutter){
		"cut": (*cutter).cut,
		"silent": func(c *cutter) {
			c.Swallow(true)
			time.Sleep(10 * time.Second)
			c.Swallow(false)
			time.Sleep(10 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wire := &cutter{Wire: redistest.NewWire(redistest.Mini(t))}
				client := redistest.Client(t, wire.Dial)
				c := users(client)
				ended, stop := watch(t, c)
				other, stopOther := c.Watch(43)
				fault(wire)
				if !woken(ended) || !woken(other) {
					t.Error("not all are woken")
				}
				acquire(t, c, "a")
				must(t, c.Release(t.Context(), 42, "a"))
				if !woken(ended) || woken(other) {
					t.Error("not exactly the watcher of the key is woken")
				}
				stop()
				stopOther()
				time.Sleep(2 * time.Second)
			})
		})
	}
}

// While there is no server the attempts become rare, and stop with the watcher.
func TestPausesBetweenSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, wire, client := mini(t)
		wire.TakeDown()
		c := users(client)
		_, stop := c.Watch(42)
		time.Sleep(time.Minute)
		first := wire.Dials.Load()
		time.Sleep(time.Minute)
		if n := wire.Dials.Load() - first; n == 0 || n > 80 {
			t.Errorf("%d attempts in a minute, of them 60 the client's own; want some and few", n)
		}
		stop()
		time.Sleep(2 * time.Second)
		_ = client.Close()
		time.Sleep(2 * time.Second)
	})
}

// F14: nobody holds a connection of the pool while waiting.
func TestAHundredWatchersAndAPoolOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := redistest.NewWire(redistest.Mini(t))
		client := redistest.ClientWith(t, &redis.Options{Dialer: wire.Dial, MaxRetries: -1, PoolSize: 1})
		c := users(client)
		want(t, acquire(t, c, "a"), corral.Lease[User]{State: corral.LeaseHeld, Empty: true})
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				ended, stop := c.Watch(42)
				defer stop()
				for acquire(t, c, fmt.Sprint("b", i)).State == corral.LeaseBusy {
					<-ended
				}
			})
		}
		time.Sleep(time.Second)
		must(t, c.Fill(t.Context(), 42, "a", entry("Ann")))
		wg.Wait()
		if n := wire.Dials.Load(); n != 2 {
			t.Errorf("%d connections, want that of the pool and the subscription's", n)
		}
		time.Sleep(2 * time.Second)
	})
}

// Whoever cannot be heard of hears nothing, and everything else goes on.
func TestWatchWhereThereIsNothingToHear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, wire, client := mini(t)
		for name, c := range map[string]*cache{
			"no client": users(nil),
			"NoLease":   redisadapter.New(client, redisadapter.Options[int, User]{NoLease: true}),
			"a panic of Key": redisadapter.New(client, redisadapter.Options[int, User]{
				Key: func(int) string { panic(strings.Repeat("x", 3)) },
			}),
		} {
			ended, stop := c.Watch(42)
			if woken(ended) {
				t.Errorf("%s: woken", name)
			}
			stop()
			stop()
		}
		if wire.Dials.Load() != 0 {
			t.Error("a connection was made")
		}
	})
}
