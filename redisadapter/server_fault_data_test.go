package redisadapter_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
)

// The faults of this file are done to what the server holds, and to its clock.

// afterwards does something to the server's keys and wants the next round to be
// served by one load, which is stored.
func (f *sharers) afterwards(t *testing.T, what string, do func(name string)) {
	t.Helper()
	key := "key " + what
	f.shares(key)
	do(f.key(key))
	f.shares(key)
	must(t, f.hits(t.Context(), key))
}

func TestServer_Fault_AnotherType(t *testing.T) {
	s, f := faulty(t, sharersOptions{})
	f.afterwards(t, "value", func(name string) {
		s.Do("DEL", name)
		s.Do("LPUSH", name, "Ann")
	})
	f.afterwards(t, "lease", func(name string) {
		s.Do("DEL", name)
		s.Do("LPUSH", name+":lease", "Ann")
	})
	f.afterwards(t, "both", func(name string) {
		s.Do("DEL", name)
		s.Do("HSET", name, "a", "b")
		s.Do("SADD", name+":lease", "Ann")
	})
	s.Do("LPUSH", f.key("deleted"), "Ann")
	must(t, f.members[0].loader.Delete(t.Context(), "deleted"))
	if n := s.Do("EXISTS", f.key("deleted")).(int64); n != 0 {
		t.Error("a list is there after Delete")
	}
}

func TestServer_Fault_TruncatedAndForeignPayloads(t *testing.T) {
	s, f := faulty(t, sharersOptions{})
	other := s.Do("GET", f.key("before")).(string)
	for what, change := range map[string]func(data string) string{
		"empty":              func(string) string { return "" },
		"half a header":      func(data string) string { return data[:20] },
		"a header":           func(data string) string { return data[:30] },
		"all but one":        func(data string) string { return data[:len(data)-1] },
		"one more":           func(data string) string { return data + "0" },
		"a bit":              func(data string) string { return data[:30] + string(data[30]^1) + data[31:] },
		"another version":    func(data string) string { return data[:1] + "\xff" + data[2:] },
		"another key's":      func(string) string { return other },
		"text":               func(string) string { return "Ann" },
		"a number":           func(string) string { return "42" },
		"much":               func(string) string { return text(1 << 20) },
		"a header and noise": func(data string) string { return data[:2] + text(200) },
	} {
		key := "key " + what
		f.shares(key)
		before := f.source.count()
		s.Do("SET", f.key(key), change(s.Do("GET", f.key(key)).(string)))
		if r := soon(t, "a caller", f.ask(1, key)); r.err != nil || r.Value != before+1 || !r.Stored {
			t.Errorf("%s: a caller got %+v", what, r)
		}
		if r := soon(t, "the other", f.ask(0, key)); r.Value != before+1 || r.Source != corral.SourceHit {
			t.Errorf("%s: the other got %+v", what, r)
		}
	}
	stats := f.members[1].loader.Stats()
	if stats.Undecodable < 12 || stats.CacheErrors != 0 {
		t.Errorf("%d payloads were undecodable and %d calls failed, want 12 or more, and none: the server is well",
			stats.Undecodable, stats.CacheErrors)
	}
}

func TestServer_Fault_ValueEvicted(t *testing.T) {
	s, f := faulty(t, sharersOptions{})
	f.afterwards(t, "evicted", func(name string) { s.Do("DEL", name) })
	f.afterwards(t, "all", func(string) { s.Do("FLUSHALL") })
}

// A load whose lease the server evicted may be older than a Delete that found
// no lease to end: it is not stored.
func TestServer_Fault_LeaseEvicted(t *testing.T) {
	s, f := faulty(t, sharersOptions{})
	load := f.hold(0, "held")
	if n := s.Do("DEL", f.key("held")+":lease").(int64); n != 1 {
		t.Fatal("the server had no lease of that name")
	}
	close(load.letGo)
	if r := soon(t, "the caller", load.over); r.err != nil || r.Value != 2 || r.Stored {
		t.Errorf("the caller got %+v", r)
	}
	if n := f.members[0].loader.Stats().Discarded; n != 1 {
		t.Errorf("%d discarded, want 1", n)
	}
	f.recovers("held")
}

// Another process loads once the lease is gone. Two loads then run, and only
// the second one's value is stored.
func TestServer_Fault_LeaseEvictedAndTaken(t *testing.T) {
	s, f := faulty(t, sharersOptions{})
	load := f.hold(0, "held")
	s.Do("DEL", f.key("held")+":lease")
	if r := soon(t, "the other", f.ask(1, "held")); r.err != nil || r.Value != 3 || !r.Stored {
		t.Errorf("the other got %+v", r)
	}
	close(load.letGo)
	if r := soon(t, "the caller", load.over); r.err != nil || r.Value != 2 || r.Stored {
		t.Errorf("the caller got %+v", r)
	}
	for _, m := range []int{0, 1} {
		if r := soon(t, "a later caller", f.ask(m, "held")); r.Value != 3 || r.Source != corral.SourceHit {
			t.Errorf("a later caller got %+v", r)
		}
	}
}

// shifted is a client's hook that makes the server's clock another one: whatever
// asks for the time gets it shifted, in scripts too.
type shifted struct{ by time.Duration }

func (h shifted) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h shifted) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		h.shift(cmd)
		return err
	}
}

func (h shifted) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			h.shift(cmd)
		}
		return err
	}
}

// shift changes the time in a reply: TIME's own, or the seconds that a script
// gives with its outcome. No script decides by the time that it reports.
func (h shifted) shift(cmd redis.Cmder) {
	switch cmd := cmd.(type) {
	case *redis.TimeCmd:
		if cmd.Err() == nil {
			cmd.SetVal(cmd.Val().Add(h.by))
		}
	case *redis.Cmd:
		parts, err := cmd.Slice()
		if err != nil || len(parts) != 5 {
			return
		}
		if sec, ok := parts[2].(string); ok && sec != "" {
			var n int64
			_, _ = fmt.Sscan(sec, &n)
			parts[2] = fmt.Sprint(n + int64(h.by/time.Second))
		}
	}
}

// A fleet whose clocks are all an hour behind the server's, or ahead, knows as
// well how old an entry is.
func TestServer_Fault_ClocksApart(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			const ttl = 300 * time.Millisecond
			_, f := faulty(t, sharersOptions{hook: shifted{by}})
			if r := soon(t, "a caller", f.ask(1, "before")); r.Source != corral.SourceHit || r.Age < 0 || r.Age > patience {
				t.Errorf("%+v, want a hit of some milliseconds' age", r)
			}
			short := sharersOf(t, f.servers, sharersOptions{hook: shifted{by}, loader: corral.Options{TTL: ttl, StaleIfError: time.Hour}})
			short.shares("key")
			passTime(t, 2*ttl)
			short.shares("key")
		})
	}
}
