package redisadapter_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// TestServer_Kinds does over real servers of each kind what a fleet does.
func TestServer_Kinds(t *testing.T) {
	for kind, start := range redistest.Deployments {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			servers := start(t)
			for _, test := range []struct {
				name string
				run  func(*testing.T, *redistest.Deployment)
			}{
				{"calls", callsOverAll},
				{"odd keys", oddKeysOverAll},
				{"one load per expiry", oneLoadPerExpiry},
				{"a delete revokes", aDeleteRevokes},
				{"a set revokes", aSetRevokes},
				{"a watch wakes", aWatchWakes},
				{"a waiter is served", aWaiterIsServed},
				{"a listener hears", aListenerHears},
			} {
				t.Run(test.name, func(t *testing.T) { test.run(t, servers) })
			}
		})
	}
}

func callsOverAll(t *testing.T, servers *redistest.Deployment) {
	client := servers.Client(t, redis.UniversalOptions{})
	c, p := users(client), plainUsers(client)
	const n = 64
	for key := range n {
		u := User{Name: fmt.Sprint(key)}
		must(t, c.Set(t.Context(), key, fresh(u)))
		must(t, p.SetValue(t.Context(), key, u, time.Hour))
	}
	for _, node := range servers.Nodes {
		must(t, redistest.Until(t.Context(), func(context.Context) error { // a replica hears a moment later
			if node.Do("DBSIZE").(int64) == 0 {
				return errors.New("no keys on " + node.Addr)
			}
			return nil
		}))
	}
	for key := range n {
		if e := get(t, c, key); e.Value.Name != fmt.Sprint(key) || e.LoadedAt.IsZero() {
			t.Errorf("%d: %+v", key, e)
		}
		u, life, ok, err := p.GetValue(t.Context(), key)
		if u.Name != fmt.Sprint(key) || life < 59*time.Minute || !ok || err != nil {
			t.Errorf("%d: %v, %v, %v, %v", key, u, life, ok, err)
		}
		must(t, c.Delete(t.Context(), key))
		must(t, p.Delete(t.Context(), key))
		if e, err := c.Get(t.Context(), key); e != nil || err != nil {
			t.Errorf("%d: %v, %v after Delete", key, e, err)
		}
		if _, _, ok, err := p.GetValue(t.Context(), key); ok || err != nil {
			t.Errorf("%d: %v, %v after a plain Delete", key, ok, err)
		}
	}
}

// A script whose keys are in two slots is an error on a Cluster, of which any
// call of a lease would tell.
func oddKeysOverAll(t *testing.T, servers *redistest.Deployment) {
	f := sharersOf(t, servers, sharersOptions{})
	// Caches of their own: what the members hear of a late write has them load anew.
	client := f.members[1].client
	entries := redisadapter.New(client, redisadapter.Options[string, int]{Prefix: "odd"})
	plain := redisadapter.Plain(client, redisadapter.Options[string, int]{Prefix: "odd "})
	for _, key := range oddKeys {
		ctx, token := t.Context(), "token of "+key
		for kind, c := range map[string]bothPorts{"New": entries, "Plain": plain} {
			l, err := c.Acquire(ctx, key, corral.LeaseRequest[int]{Token: token})
			if err != nil || l.State != corral.LeaseHeld {
				t.Errorf("%s, %q: Acquire = %+v, %v", kind, key, l, err)
			}
			must(t, c.Renew(ctx, key, token))
			must(t, c.Fill(ctx, key, token, fresh(1)))
			must(t, c.Release(ctx, key, token))
			if e, err := c.Get(ctx, key); err != nil || e == nil || e.Value != 1 {
				t.Errorf("%s, %q: Get = %v, %v", kind, key, e, err)
			}
			must(t, c.Delete(ctx, key))
		}
		f.shares(key)
	}
}

// bothPorts is a cache with leases.
type bothPorts interface {
	corral.Cache[string, int]
	corral.Leaser[string, int]
}

// No load begins before what the one before it stored has expired, in whichever
// process. That is checked by the loads' own times, however long a caller waits
// for its turn on this machine.
func oneLoadPerExpiry(t *testing.T, servers *redistest.Deployment) {
	const ttl = 500 * time.Millisecond
	f := sharersOf(t, servers, sharersOptions{loader: corral.Options{TTL: ttl}})
	f.source.takes(20 * time.Millisecond)
	for end := time.Now().Add(3 * ttl); time.Now().Before(end); {
		f.round("hot", 10)
		time.Sleep(5 * time.Millisecond)
	}
	loads := f.source.of("hot")
	if len(loads) < 2 {
		t.Fatalf("%d loads, want one per expiry", len(loads))
	}
	for i := range loads[1:] {
		// How well the two know the server's clock depends on how busy the machine is.
		if gap := loads[i+1].began.Sub(loads[i].ended); gap < ttl/2 {
			t.Errorf("load %d began %v after the one before it, want %v", i+2, gap, ttl)
		}
	}
}

func aDeleteRevokes(t *testing.T, servers *redistest.Deployment) {
	revokes(t, servers, func(f *sharers) {
		must(t, f.members[1].loader.Delete(t.Context(), "key"))
	}, false)
}

func aSetRevokes(t *testing.T, servers *redistest.Deployment) {
	revokes(t, servers, func(f *sharers) {
		must(t, f.members[1].loader.Set(t.Context(), "key", -1))
	}, true)
}

// revokes has one member write while the other one loads: what is loaded is
// older than the write, goes to who waits for it, and is not stored.
func revokes(t *testing.T, servers *redistest.Deployment, write func(*sharers), stands bool) {
	f := sharersOf(t, servers, sharersOptions{})
	load := f.hold(0, "key")
	write(f)
	close(load.letGo)
	if r := soon(t, "the caller", load.over); r.Value != 1 || r.err != nil || r.Stored {
		t.Errorf("the caller of the load got %+v", r)
	}
	if n := f.members[0].loader.Stats().Discarded; n != 1 {
		t.Errorf("%d discarded, want 1", n)
	}
	r := soon(t, "a later caller", f.ask(1, "key"))
	switch {
	case r.err != nil:
		t.Error(r.err)
	case stands && (r.Value != -1 || r.Source != corral.SourceHit):
		t.Errorf("after Set: %+v", r)
	case !stands && (r.Value != 2 || r.Source != corral.SourceLoaded):
		t.Errorf("after Delete: %+v", r)
	}
}

// A watch is told of whatever ends the lease, by whichever process. It may be
// told without a reason, and be a moment late to hear, so all is done again
// until it was heard.
func aWatchWakes(t *testing.T, servers *redistest.Deployment) {
	f := sharersOf(t, servers, sharersOptions{})
	holder, watcher := f.members[0].cache, f.members[1].cache
	for end, do := range map[string]func(ctx context.Context, key string) error{
		"fill":    func(ctx context.Context, key string) error { return holder.Fill(ctx, key, "token", fresh(1)) },
		"release": func(ctx context.Context, key string) error { return holder.Release(ctx, key, "token") },
		"set":     func(ctx context.Context, key string) error { return holder.Set(ctx, key, fresh(1)) },
		"delete":  holder.Delete,
	} {
		for shard := range 4 { // of a Ring and a Cluster the keys are on all of them
			key := fmt.Sprint(end, shard)
			ended, stop := watcher.Watch(key)
			must(t, redistest.Until(t.Context(), func(ctx context.Context) error {
				_, err := holder.Acquire(ctx, key, corral.LeaseRequest[int]{Token: "token", Force: true})
				must(t, err)
				must(t, do(ctx, key))
				select {
				case <-ended:
					return nil
				case <-time.After(100 * time.Millisecond):
					return errors.New(end + " was not heard")
				}
			}))
			stop()
		}
	}
}

func aWaiterIsServed(t *testing.T, servers *redistest.Deployment) {
	f := sharersOf(t, servers, sharersOptions{})
	load := f.hold(0, "key")
	waiting := f.ask(1, "key")
	must(t, redistest.Until(t.Context(), func(context.Context) error {
		if f.members[1].loader.Stats().LeaseWaits == 0 {
			return errors.New("nobody waits")
		}
		return nil
	}))
	close(load.letGo)
	for what, c := range map[string]<-chan callerReply{"the holder": load.over, "the waiter": waiting} {
		if r := soon(t, what, c); r.Value != 1 || r.err != nil || !r.Stored {
			t.Errorf("%s got %+v", what, r)
		}
	}
	if n := f.source.count(); n != 1 {
		t.Errorf("%d loads, want 1", n)
	}
}

func aListenerHears(t *testing.T, servers *redistest.Deployment) {
	f := sharersOf(t, servers, sharersOptions{})
	var hears corral.Listener[string] = f.members[1].cache
	var mu sync.Mutex
	heard, began := map[string]bool{}, false
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		for ctx.Err() == nil { // as a Loader does: on a busy machine a server may be silent for too long
			_ = hears.Listen(ctx, func(keys ...string) {
				mu.Lock()
				defer mu.Unlock()
				began = began || len(keys) == 0
				for _, key := range keys {
					heard[key] = true
				}
			})
		}
	}()
	until := func(what error, is func() bool) {
		must(t, redistest.Until(t.Context(), func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			if !is() {
				return what
			}
			return nil
		}))
	}
	until(errors.New("it does not listen"), func() bool { return began })
	must(t, f.members[1].cache.Set(t.Context(), "own", fresh(1)))
	writer := f.members[0].cache
	for i := range 16 {
		set, deleted := fmt.Sprint("set ", i), fmt.Sprint("deleted ", i)
		must(t, redistest.Until(t.Context(), func(ctx context.Context) error {
			must(t, writer.Set(ctx, set, fresh(1)))
			must(t, writer.Delete(ctx, deleted))
			mu.Lock()
			defer mu.Unlock()
			if !heard[set] || !heard[deleted] {
				return errors.New("a write was not heard")
			}
			return nil
		}))
	}
	mu.Lock()
	if heard["own"] {
		t.Error("its own write was heard")
	}
	mu.Unlock()
	cancel()
	soon(t, "Listen", over)
}
