package redisadapter_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/redisadapter"
)

// slot is the hash slot of a key as the Redis Cluster specification gives it:
// CRC-16/XMODEM of what the first pair of braces holds, or of the whole key.
func slot(key string) uint16 {
	if _, rest, found := strings.Cut(key, "{"); found {
		if tag, _, found := strings.Cut(rest, "}"); found && tag != "" {
			key = tag
		}
	}
	var crc uint16
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc % 16384
}

// oddKeys hold braces, and what stands for them, in odd places.
var oddKeys = []string{
	"", "{", "}", "{}", "}{", "{{", "}}", "{a", "a{", "}a", "a}", "{a}", "a{b}c", "{}a", "a{}b", "{a}{b}", "{{a}}", "}{a}",
	`\`, `\}`, `\\}`, `\{`, `}\`, "42", ":", ":{", "}:", "}:lease", "a}:lease", "\x00", "\xff", "kö{}nig", " ", "\r\n",
}

func name(prefix, key string) string {
	return redisadapter.Name(redisadapter.Options[string, string]{Prefix: prefix})(key)
}

// A key that belongs to an entry's, such as a lease's, is in the same slot.
func TestKeysThatBelongTogetherShareASlot(t *testing.T) {
	for _, key := range oddKeys {
		value := name("users", key)
		for _, belonging := range []string{":lease", "{x}", "}", "{}"} {
			if slot(value) != slot(value+belonging) {
				t.Errorf("%q and %q are in two slots", value, value+belonging)
			}
		}
	}
}

func TestNoTwoKeysMeet(t *testing.T) {
	names := map[string][2]string{}
	for _, prefix := range []string{"", "a", "a:", ":", "a:b", `\`, "users", "42"} {
		for _, key := range oddKeys {
			own := name(prefix, key)
			for _, n := range []string{own, own + ":lease"} {
				if other, taken := names[n]; taken {
					t.Errorf("%q and %q share %q", other, [2]string{prefix, key}, n)
				}
				names[n] = [2]string{prefix, key}
			}
		}
	}
}

func TestKeysAreReadable(t *testing.T) {
	for _, c := range [][3]string{
		{"users", "42", "users:{42}"},
		{"", "42", "{42}"},
		{"users", "", `users:{\}`},
		{"users", "}x", `users:{\}x}`},
		{"users", `\x`, `users:{\\x}`},
		{"a:b", "c d", "a:b:{c d}"},
	} {
		if got := name(c[0], c[1]); got != c[2] {
			t.Errorf("%q and %q are written %q, want %q", c[0], c[1], got, c[2])
		}
	}
	plain := redisadapter.PlainName(redisadapter.Options[string, string]{Prefix: "a{"})
	if got := plain("}b"); got != "a{}b" {
		t.Errorf("a plain key is written %q", got)
	}
}

// FuzzKeys looks for two that meet, or one whose slot its lease does not share.
func FuzzKeys(f *testing.F) {
	for i, key := range oddKeys {
		f.Add("users", key, "", oddKeys[len(oddKeys)-1-i])
	}
	f.Fuzz(func(t *testing.T, prefix1, key1, prefix2, key2 string) {
		if strings.ContainsAny(prefix1+prefix2, "{}") {
			return
		}
		one, two := name(prefix1, key1), name(prefix2, key2)
		if same := prefix1 == prefix2 && key1 == key2; (one == two) != same || one == two+":lease" {
			t.Errorf("%q, %q is written %q; %q, %q is written %q", prefix1, key1, one, prefix2, key2, two)
		}
		if slot(one) != slot(one+":lease") {
			t.Errorf("%q and its lease are in two slots", one)
		}
	})
}

func TestCheckNamesWhatCannotWork(t *testing.T) {
	type point struct{ X, Y int }
	var none *redis.Client
	client := redis.NewClient(&redis.Options{})
	defer client.Close()
	options := func(change func(*redisadapter.Options[int, User])) redisadapter.Options[int, User] {
		var opts redisadapter.Options[int, User]
		change(&opts)
		return opts
	}
	negative := options(func(o *redisadapter.Options[int, User]) { o.MaxValueBytes = -1 })
	huge := options(func(o *redisadapter.Options[int, User]) { o.MaxValueBytes = 512<<20 + 1 })
	short := options(func(o *redisadapter.Options[int, User]) { o.Lease = 10*time.Millisecond - 1 })
	long := options(func(o *redisadapter.Options[int, User]) { o.Lease = time.Hour + 1 })
	past := options(func(o *redisadapter.Options[int, User]) { o.Lease = -time.Second })
	braced := options(func(o *redisadapter.Options[int, User]) { o.Prefix = "a{b" })
	for _, c := range []struct {
		name  string
		cache corral.Checker
		want  string
	}{
		{"no client", users(nil), "redisadapter.New: client is nil: required"},
		{"a nil pointer", users(none), "redisadapter.New: client is nil: required"},
		{"no plain client", plainUsers(nil), "redisadapter.Plain: client is nil: required"},
		{"a nil pointer, plain", plainUsers(none), "redisadapter.Plain: client is nil: required"},
		{"a struct key", redisadapter.New(client, redisadapter.Options[point, User]{}), "redisadapter.Options.Key is nil: required"},
		{"a plain float key", redisadapter.Plain(client, redisadapter.Options[float64, User]{}), "the key is a float64"},
		{"a negative bound", redisadapter.New(client, negative), "MaxValueBytes is -1: must be from 0"},
		{"a huge bound", redisadapter.Plain(client, huge), "to 536870912"},
		{"a short lease", redisadapter.New(client, short), "Options.Lease is 9.999999ms: must be 0 (2s), or from 10ms to 1h0m0s"},
		{"a long lease", redisadapter.Plain(client, long), "Options.Lease is 1h0m0.000000001s: must be"},
		{"a negative lease", redisadapter.New(client, past), "Options.Lease is -1s: must be"},
		{"a brace in the prefix", redisadapter.New(client, braced), `Prefix is "a{b": must hold no brace`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var fault *corral.OptionError
			if err := c.cache.Check(); !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Check = %v, want %q", err, c.want)
			}
		})
	}
	for _, fine := range []corral.Checker{users(client), plainUsers(client), redisadapter.Plain(client, braced)} {
		must(t, fine.Check())
	}
}

// Whoever does not ask Check gets its answer from every call.
func TestABrokenCacheNeverPanics(t *testing.T) {
	for name, call := range calls(nil) {
		var fault *corral.OptionError
		if err := call(t.Context()); !errors.As(err, &fault) {
			t.Errorf("%s: %v, want what Check says", name, err)
		}
	}
	client := redis.NewClient(&redis.Options{})
	defer client.Close()
	if err := plainUsers(client).Set(t.Context(), 1, nil); err == nil {
		t.Error("a nil entry was stored")
	}
}

// A key that no server would take costs it no connection, and the cache no rest.
func TestKeysAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, client := mini(t)
		must(t, client.Ping(t.Context()).Err()) // there is a server from the first connection on
		sent := spyOn(m)
		for _, cache := range []interface {
			corral.Cache[string, string]
			corral.Leaser[string, string]
		}{
			redisadapter.New(client, redisadapter.Options[string, string]{Prefix: "users"}),
			redisadapter.Plain(client, redisadapter.Options[string, string]{Prefix: "users:"}),
		} {
			loader, err := corral.New[string, string](cache, corral.Options{TTL: time.Minute})
			must(t, err)
			most, long := strings.Repeat("k", 1<<20), strings.Repeat("k", 1<<20+1)
			load := func(context.Context, string) (string, error) { return "v", nil }
			r, err := loader.Lookup(t.Context(), most, load)
			if err != nil || !r.Stored {
				t.Errorf("of 1 MiB: %v, stored: %v", err, r.Stored)
			}
			sent.take()
			for range 10 {
				if r, err = loader.Lookup(t.Context(), long, load); err != nil || r.Value != "v" || r.Stored {
					t.Errorf("longer: %v, stored: %v", err, r.Stored)
				}
			}
			for _, err := range []error{loader.Set(t.Context(), long, "v"), loader.Delete(t.Context(), long)} {
				if !errors.Is(err, corral.ErrRefused) || !strings.Contains(err.Error(), "its key has 1048577 bytes, 1048576 is the most") {
					t.Errorf("a write of it: %v", err)
				}
			}
			if got := sent.take(); got != "" {
				t.Errorf("the server was sent %q", got)
			}
			if n := loader.Stats().CacheErrors; n != 0 {
				t.Errorf("CacheErrors is %d", n)
			}
			must(t, loader.Close(t.Context()))
		}
		time.Sleep(2 * time.Second)
	})
}
