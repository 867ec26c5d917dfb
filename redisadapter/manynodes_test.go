package redisadapter_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// D6: a node that is gone, or hangs, takes its own keys along. The others are
// served before the caller's time is over.
func TestManyKeysAndANodeOfACluster(t *testing.T) {
	for what, ail := range map[string]func(*redistest.Wire){
		"gone":  func(w *redistest.Wire) { w.TakeDown() },
		"hangs": func(w *redistest.Wire) { w.Swallow(true) },
	} {
		for kind := range bothMany(nil) {
			t.Run(what+"/"+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, b, both := twoNodes(t)
					client := cluster(t, both)
					c := bothMany(client)[kind]
					keys := upTo(20)
					must(t, c.SetMany(t.Context(), keys, named(keys)))
					if a, b := len(a.Keys()), len(b.Keys()); a+b != len(keys) || a*b == 0 {
						t.Fatalf("%d and %d keys on the nodes", a, b)
					}
					there := slices.DeleteFunc(upTo(20), func(key int) bool { return onNode(b.Keys(), key) })
					away := slices.DeleteFunc(upTo(20), func(key int) bool { return !onNode(b.Keys(), key) })
					ail(both[nodeB])
					tokens := slices.Repeat([]string{"a"}, len(keys))
					asks := slices.Repeat([]corral.LeaseRequest[User]{{Token: "a", Force: true}}, len(keys))
					for _, call := range manyCalls(c, keys, tokens, asks) {
						if call.name == "DeleteMany" {
							continue
						}
						start := time.Now()
						err := call.run(timeout(t, 800*time.Millisecond))
						wantKeys(t, err, func(error) bool { return true }, away...)
						if took := time.Since(start); took > 700*time.Millisecond {
							t.Errorf("%s took %v, want at most 7/8 of its time", call.name, took)
						}
					}
					got, err := c.GetMany(timeout(t, 800*time.Millisecond), keys)
					wantNamed(t, keys, got, away...)
					wantKeys(t, err, func(error) bool { return true }, away...)
					wantKeys(t, c.DeleteMany(timeout(t, 800*time.Millisecond), keys), func(error) bool { return true }, away...)
					got, err = c.GetMany(timeout(t, 800*time.Millisecond), there)
					must(t, err)
					wantNamed(t, there, got, there...)
					both[nodeB].Swallow(false)
					time.Sleep(time.Minute)
				})
			})
		}
	}
}

func onNode(names []string, key int) bool {
	return slices.Contains(names, fmt.Sprintf("users:{%d}", key)) || slices.Contains(names, fmt.Sprintf("users:%d", key))
}

// What a node grants after nobody waits for it any more is given back.
func TestLateLeasesOfManyKeysAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, both := twoNodes(t)
		c := users(cluster(t, both))
		keys := upTo(20)
		asks := slices.Repeat([]corral.LeaseRequest[User]{{Token: "a"}}, len(keys))
		_, err := c.AcquireMany(t.Context(), keys, asks) // the nodes know the scripts
		must(t, err)
		must(t, c.ReleaseMany(t.Context(), keys, slices.Repeat([]string{"a"}, len(keys))))
		both[nodeB].Delay(time.Second)
		if _, err := c.AcquireMany(timeout(t, 800*time.Millisecond), keys, asks); err == nil {
			t.Fatal("the slow node was waited for")
		}
		time.Sleep(500 * time.Millisecond)
		if len(a.Keys()) == 0 || len(b.Keys()) == 0 {
			t.Fatal("a node granted nothing")
		}
		time.Sleep(1300 * time.Millisecond) // the slow one gets the message 1 s later
		if left := b.Keys(); len(left) != 0 {
			t.Errorf("%q are still held on the slow node", left)
		}
	})
}

// On a Ring each shard gets its part.
func TestManyKeysOnARing(t *testing.T) {
	for _, noLease := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b, both := twoNodes(t)
			c := redisadapter.New(ring(t, both), redisadapter.Options[int, User]{Prefix: "users", NoLease: noLease})
			keys := upTo(20)
			must(t, c.SetMany(t.Context(), keys, named(keys)))
			if a, b := len(a.Keys()), len(b.Keys()); a+b != len(keys) || a*b == 0 {
				t.Errorf("%d and %d keys on the shards", a, b)
			}
			got, err := c.GetMany(t.Context(), keys)
			must(t, err)
			wantNamed(t, keys, got)
			onB := slices.DeleteFunc(upTo(20), func(key int) bool { return !onNode(b.Keys(), key) })
			both[nodeB].TakeDown()
			got, err = c.GetMany(t.Context(), keys)
			wantNamed(t, keys, got, onB...)
			wantKeys(t, err, func(error) bool { return true }, onB...)
			var some *corral.KeyErrors[int]
			if err := c.DeleteMany(t.Context(), keys); !errors.As(err, &some) || len(some.Errors) < len(onB) {
				t.Errorf("DeleteMany: %v, want the keys of the shard that is gone", err)
			} else if gone := slices.Collect(maps.Keys(some.Errors)); !containsAll(gone, onB) {
				t.Errorf("DeleteMany failed for %v, want %v", gone, onB)
			}
		})
	}
}

func containsAll(got, want []int) bool {
	return !slices.ContainsFunc(want, func(key int) bool { return !slices.Contains(got, key) })
}
