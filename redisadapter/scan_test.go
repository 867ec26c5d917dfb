package redisadapter_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// scanned returns what the pages of a scan visit: the value of each key.
func scanned[V any](t testing.TB, s corral.Scanner[string, V], count int) (values map[string]V, pageSizes int) {
	t.Helper()
	values = map[string]V{}
	for cursor := ""; ; {
		items, next, err := s.ScanPage(t.Context(), cursor, count, false)
		must(t, err)
		pageSizes++
		for _, it := range items {
			values[it.Key] = it.Entry.Value
		}
		if cursor = next; cursor == "" {
			return values, pageSizes
		}
	}
}

// Prefixes that look like patterns, keys that look like leases, and what others put
// beside them: a scan visits what is this cache's own, whatever is on the server.
func TestScanVisitsItsOwnKeysAlone(t *testing.T) {
	for name, client := range map[string]redis.UniversalClient{
		"miniredis": func() redis.UniversalClient { _, _, c := mini(t); return c }(),
		"a server":  redistest.NewStandalone(t).Client(t, redis.UniversalOptions{}),
	} {
		t.Run(name, func(t *testing.T) {
			opts := func(prefix string) redisadapter.Options[string, string] {
				return redisadapter.Options[string, string]{Prefix: prefix, Lease: time.Minute}
			}
			keys := []string{"", "a", "}", "{", `\`, `\x`, "a}:lease", "a:lease", "cached", "é\x00", "*", "p:{a}"}
			prefixes := []string{"", "p", "p*", "p?", "[p]", `p\`, "pp", "x:{"}
			want := map[string]map[string]string{}
			for _, prefix := range prefixes {
				cache, plain := redisadapter.New(client, opts("n"+prefix)), redisadapter.Plain(client, opts("b"+prefix+":"))
				braced := strings.Contains(prefix, "{")
				of := map[string]string{}
				want[prefix] = of
				for _, key := range keys {
					of[key] = prefix + key
					if !braced {
						must(t, cache.Set(t.Context(), key, fresh(of[key])))
						_, err := cache.Acquire(t.Context(), key, corral.LeaseRequest[string]{Token: "t" + key, Force: true})
						must(t, err)
					}
					must(t, plain.SetValue(t.Context(), key, of[key], time.Hour))
					_, err := plain.Acquire(t.Context(), key, corral.LeaseRequest[string]{Token: "t" + key, Force: true})
					must(t, err)
				}
			}
			must(t, client.Set(t.Context(), "np:{foreign}", "no envelope", 0).Err())
			must(t, client.HSet(t.Context(), "bp:hash", "field", "value").Err())
			for _, prefix := range prefixes {
				if !strings.Contains(prefix, "{") {
					got, _ := scanned(t, redisadapter.New(client, opts("n"+prefix)), 10)
					if fmt.Sprint(got) != fmt.Sprint(want[prefix]) {
						t.Errorf("New, prefix %q: %q, want %q", prefix, got, want[prefix])
					}
				}
				got, _ := scanned(t, redisadapter.Plain(client, opts("b"+prefix+":")), 10)
				if fmt.Sprint(got) != fmt.Sprint(want[prefix]) {
					t.Errorf("Plain, prefix %q: %q, want %q", prefix, got, want[prefix])
				}
			}
		})
	}
}

// Without a prefix too, leases are no values.
func TestScanOfAPlainCacheWithoutPrefix(t *testing.T) {
	_, _, client := mini(t)
	c := redisadapter.Plain(client, redisadapter.Options[string, string]{Lease: time.Minute})
	keys := []string{"a", "c", "cached", "a}b", "{a}b", "x{{y}z", "{", "lease{x}", ""}
	for _, key := range keys {
		must(t, c.SetValue(t.Context(), key, key, time.Hour))
		if key != "lease{x}" { // the lease of x, to look at
			_, err := c.Acquire(t.Context(), key, corral.LeaseRequest[string]{Token: "t", Force: true})
			must(t, err)
		}
	}
	got, _ := scanned(t, c, 100)
	slices.Sort(keys)
	var found []string
	for key := range got {
		found = append(found, key)
	}
	if slices.Sort(found); !slices.Equal(found, keys) {
		t.Errorf("%q, want %q", found, keys)
	}
}

func TestScanKeysThatAreParsed(t *testing.T) {
	_, _, client := mini(t)
	type opts = redisadapter.Options[User, string]
	key := func(u User) string { return u.Name }
	lacks := redisadapter.New(client, opts{Prefix: "p", Key: key})
	var option *corral.OptionError
	for _, err := range []error{lacks.CheckScan(), second(lacks.ScanPage(t.Context(), "", 1, false))} {
		if !errors.As(err, &option) || option.Field != "redisadapter.Options.ParseKey" {
			t.Errorf("without ParseKey the error is %v", err)
		}
	}
	odd := errors.New("no user")
	able := redisadapter.New(client, opts{Prefix: "p", Key: key, ParseKey: func(text string) (u User, err error) {
		if strings.HasPrefix(text, "odd") {
			return u, odd
		}
		return User{Name: strings.ToLower(text)}, nil
	}})
	must(t, able.CheckScan())
	for _, name := range []string{"ann", "BOB", "odd"} { // bob's text is not BOB
		must(t, able.Set(t.Context(), User{Name: name}, fresh("of "+name)))
	}
	items, next, err := able.ScanPage(t.Context(), "", 100, false)
	if must(t, err); len(items) != 1 || items[0].Key.Name != "ann" || next != "" {
		t.Errorf("visited were %+v, next %q", items, next)
	}
	panics := redisadapter.New(client, opts{Prefix: "p", Key: key, ParseKey: func(string) (User, error) { panic("no") }})
	_, _, err = panics.ScanPage(t.Context(), "", 100, true)
	var panicked *corral.PanicError
	if !errors.As(err, &panicked) {
		t.Errorf("the error is %v, want that of a panic", err)
	}
}

func second[A, B any](_ A, _ B, err error) error { return err }

func TestScanOfAServerThatFails(t *testing.T) {
	m, _, client := mini(t)
	c := redisadapter.New(client, redisadapter.Options[string, string]{Prefix: "p"})
	must(t, c.Set(t.Context(), "ann", fresh("Ann")))
	m.SetError("LOADING Redis is loading the dataset in memory")
	items, next, err := c.ScanPage(t.Context(), "", 10, false)
	if err == nil || len(items) > 0 || next != "" || !strings.HasPrefix(err.Error(), "redisadapter: SCAN: ") {
		t.Errorf("%v, %q, %v", items, next, err)
	}
	_, _, err = c.ScanPage(t.Context(), "gone:6379/0", 10, false)
	var option *corral.OptionError
	if m.SetError(""); !errors.As(err, &option) {
		t.Errorf("of a node that is not there: %v", err)
	}
}

// Over real servers, of each kind, in pages, while others write: every key that stays.
func TestServer_Scan(t *testing.T) {
	for _, kind := range []string{"Standalone", "Cluster", "Ring"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			servers := redistest.Deployments[kind](t)
			client := servers.Client(t, redis.UniversalOptions{})
			opts := redisadapter.Options[string, string]{Prefix: "p"}
			cache := redisadapter.New(client, opts)
			const stay = 2000
			keys, entries := make([]string, stay), make([]*corral.Entry[string], stay)
			for n := range stay {
				keys[n], entries[n] = fmt.Sprint("stay", n), fresh(fmt.Sprint(n))
			}
			must(t, cache.SetMany(t.Context(), keys, entries))
			ctx, cancel := context.WithCancel(t.Context())
			writing := make(chan struct{})
			go func() {
				defer close(writing)
				for n := 0; ctx.Err() == nil; n++ {
					key := fmt.Sprint("goes", n%500)
					_ = cache.Set(t.Context(), key, fresh("x"))
					_ = cache.Delete(t.Context(), key)
				}
			}()
			another := redisadapter.New(servers.Client(t, redis.UniversalOptions{}), opts)
			_, cursor, err := cache.ScanPage(t.Context(), "", 100, true)
			if must(t, err); cursor == "" {
				t.Error("the first page was the last")
			}
			_, _, err = another.ScanPage(t.Context(), cursor, 100, true) // also in another process
			must(t, err)
			got, pages := scanned(t, cache, 100)
			for n, key := range keys {
				if got[key] != fmt.Sprint(n) {
					t.Fatalf("%s was visited with %q", key, got[key])
				}
			}
			if pages < 10 {
				t.Errorf("%d pages", pages)
			}
			cancel()
			<-writing
			if kind == "Standalone" {
				return
			}
			_, _, err = cache.ScanPage(t.Context(), "127.0.0.1:1/0", 100, true)
			var option *corral.OptionError
			if !errors.As(err, &option) {
				t.Errorf("of a node that is not there: %v", err)
			}
		})
	}
}
