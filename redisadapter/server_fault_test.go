package redisadapter_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// The faults of this file are done to a server and to the network. In each,
// callers get values within their deadline, the source is asked a bounded number
// of times, and the fleet recovers by itself.

// faulty returns a server and a fleet that shared "before" over it.
func faulty(t *testing.T, opts sharersOptions) (*redistest.Server, *sharers) {
	t.Helper()
	t.Parallel()
	s := redistest.StartServer(t)
	f := sharersOf(t, redistest.Alone(s), opts)
	f.shares("before")
	return s, f
}

// passTime lets real time pass, where a server's does.
func passTime(t *testing.T, d time.Duration) {
	t.Helper()
	soon(t, "the time", time.After(d))
}

// wantDeleteFails wants a Delete that cannot be made to say so.
func wantDeleteFails(t *testing.T, f *sharers) {
	t.Helper()
	for i, m := range f.members {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		start := time.Now()
		if err := m.loader.Delete(ctx, fmt.Sprint("deleted ", i)); err == nil {
			t.Error("a Delete that cannot have been made returned nil")
		}
		if took := time.Since(start); took > patience {
			t.Errorf("Delete took %v", took)
		}
		cancel()
	}
}

func TestServer_Fault_StoppedForLongerThanALease(t *testing.T) {
	const life = 500 * time.Millisecond
	s, f := faulty(t, sharersOptions{cache: redisadapter.Options[string, int]{Lease: life}})
	load := f.hold(0, "held")
	s.Pause()
	close(load.letGo)
	if r := soon(t, "the caller", load.over); r.err != nil || r.Value != 2 {
		t.Errorf("the caller got %+v", r)
	}
	f.serves(3)
	wantDeleteFails(t, f)
	passTime(t, life)
	s.Resume()
	f.recovers("before", "held")
}

func TestServer_Fault_KilledAndBackEmpty(t *testing.T) {
	s, f := faulty(t, sharersOptions{})
	load := f.hold(0, "held")
	s.Kill()
	close(load.letGo)
	if r := soon(t, "the caller", load.over); r.err != nil || r.Value != 2 || r.Stored {
		t.Errorf("the caller got %+v", r)
	}
	f.serves(3)
	wantDeleteFails(t, f)
	s.Restart()
	f.recovers("before", "held")
	for _, key := range []string{"before", "held"} {
		if n := s.Do("EXISTS", f.key(key)).(int64); n != 1 {
			t.Errorf("%q is not on the server", key)
		}
	}
}

// A server that is back empty while a load runs knows nothing of its lease: what
// is loaded is not stored, lest it be older than a Delete.
func TestServer_Fault_BackEmptyDuringALoad(t *testing.T) {
	s, f := faulty(t, sharersOptions{})
	load := f.hold(0, "held")
	s.Restart()
	close(load.letGo)
	if r := soon(t, "the caller", load.over); r.err != nil || r.Value != 2 || r.Stored {
		t.Errorf("the caller got %+v", r)
	}
	f.recovers("before", "held")
}

// breaks are where a reply can end, and how.
var breaks = []struct {
	after int
	err   error
}{
	{0, syscall.ECONNRESET}, {0, io.EOF}, {1, syscall.ECONNRESET}, {1, io.EOF}, {5, syscall.ECONNRESET}, {5, io.EOF}, {9, io.EOF},
}

// The client repeats what it got half a reply to. What the server had done by
// then counts as done: the lease is the caller's, the fill is its own.
func TestServer_Fault_RepliesCutShortAreAskedForAgain(t *testing.T) {
	_, f := faulty(t, sharersOptions{client: redis.UniversalOptions{MinRetryBackoff: -1}})
	link := &f.members[0].link
	for i, b := range breaks {
		for _, where := range []string{"get", "acquire", "fill"} {
			key := fmt.Sprint(where, i)
			switch where {
			case "fill":
				f.source.during(func(string) { link.Cut("evalsha", b.after, b.err) })
			case "get":
				link.Cut("get", b.after, b.err)
			case "acquire":
				link.Cut("evalsha", b.after, b.err)
			}
			before := f.source.count()
			r := soon(t, "the caller", f.ask(0, key))
			f.source.during(nil)
			if r.err != nil || r.Value != before+1 || !r.Stored || link.Cuts() != 0 {
				t.Errorf("%s, cut after %d by %v: %+v", where, b.after, b.err, r)
			}
			if r := soon(t, "the other", f.ask(1, key)); r.Source != corral.SourceHit || r.Value != before+1 {
				t.Errorf("%s, cut after %d by %v: the other got %+v", where, b.after, b.err, r)
			}
		}
	}
	stats := f.members[0].loader.Stats()
	if stats.Discarded != 0 || stats.LeaseWaits > 1 { // it may have waited for "before"
		t.Errorf("%d of its own fills were discarded, and it waited for %d leases", stats.Discarded, stats.LeaseWaits)
	}
}

// A client that does not repeat anything loads with what it has.
func TestServer_Fault_RepliesCutShortForGood(t *testing.T) {
	_, f := faulty(t, sharersOptions{
		client: redis.UniversalOptions{MaxRetries: -1},
		cache:  redisadapter.Options[string, int]{Lease: 200 * time.Millisecond}, // so long lasts one that nobody knows of
	})
	link := &f.members[0].link
	for i, b := range breaks {
		for _, command := range []string{"get", "evalsha"} {
			key := fmt.Sprint(command, i)
			link.Cut(command, b.after, b.err)
			if r := soon(t, "the caller", f.ask(0, key)); r.err != nil {
				t.Errorf("%s, cut after %d by %v: %v", command, b.after, b.err, r.err)
			}
			if n := len(f.source.of(key)); n != 1 || link.Cuts() != 0 {
				t.Errorf("%s, cut after %d by %v: %d loads, %d cuts to come", command, b.after, b.err, n, link.Cuts())
			}
			f.recovers(key)
		}
	}
	link.Cut("evalsha", 0, syscall.ECONNRESET)
	if err := f.members[0].loader.Delete(t.Context(), "before"); err == nil {
		t.Error("a Delete whose reply was lost returned nil")
	}
	must(t, f.members[0].loader.Delete(t.Context(), "before"))
	f.recovers("before")
}

func TestServer_Fault_SlowReplies(t *testing.T) {
	_, f := faulty(t, sharersOptions{loader: corral.Options{CacheTimeout: 400 * time.Millisecond}})
	slow := func(d time.Duration) {
		for _, m := range f.members {
			m.link.Slow(d)
		}
	}
	slow(30 * time.Millisecond) // all goes on as it does
	f.shares("slowly")
	slow(2 * time.Second) // longer than the cache and the client may take
	f.serves(3)
	wantDeleteFails(t, f)
	slow(0)
	f.recovers("before", "slowly")
}

func TestServer_Fault_Readonly(t *testing.T) {
	s, f := faulty(t, sharersOptions{})
	load := f.hold(0, "held")
	s.Do("REPLICAOF", "127.0.0.1", "1") // of nobody: it serves what it has
	close(load.letGo)
	if r := soon(t, "the caller", load.over); r.err != nil || r.Value != 2 || r.Stored {
		t.Errorf("the caller got %+v", r)
	}
	must(t, f.hits(t.Context(), "before"))
	wantDeleteFails(t, f)
	f.serves(3)
	s.Do("REPLICAOF", "NO", "ONE")
	f.recovers("before", "held")
}

func TestServer_Fault_OutOfMemory(t *testing.T) {
	s, f := faulty(t, sharersOptions{})
	load := f.hold(0, "held")
	s.Do("CONFIG", "SET", "maxmemory", "1")
	close(load.letGo)
	if r := soon(t, "the caller", load.over); r.err != nil || r.Value != 2 || r.Stored {
		t.Errorf("the caller got %+v", r)
	}
	must(t, f.hits(t.Context(), "before"))
	must(t, f.members[0].loader.Delete(t.Context(), "before")) // it takes no memory
	f.serves(3)
	for i := range 3 {
		if n := s.Do("EXISTS", f.key(fmt.Sprint("served ", i))).(int64); n != 0 {
			t.Error("the server stored more than it may")
		}
	}
	s.Do("CONFIG", "SET", "maxmemory", "0")
	f.recovers("before", "held")
}

// Scripts are known again after the first call that misses them, at the cost of
// one round trip.
func TestServer_Fault_ScriptsFlushed(t *testing.T) {
	s, f := faulty(t, sharersOptions{})
	for i := range 3 {
		s.Do("SCRIPT", "FLUSH")
		f.source.during(func(string) { s.Do("SCRIPT", "FLUSH") }) // between the lease and the fill
		f.shares(fmt.Sprint("key ", i))
		f.source.during(nil)
		must(t, f.hits(t.Context(), fmt.Sprint("key ", i)))
		s.Do("SCRIPT", "FLUSH")
		must(t, f.members[0].loader.Delete(t.Context(), fmt.Sprint("key ", i)))
	}
	for _, m := range f.members {
		if n := m.loader.Stats().CacheErrors; n != 0 {
			t.Errorf("%d errors of the cache", n)
		}
	}
}

// Waiters of a lease hold no connection, and neither does its holder.
func TestServer_Fault_PoolExhausted(t *testing.T) {
	_, f := faulty(t, sharersOptions{client: redis.UniversalOptions{PoolSize: 1}})
	const keys = 50
	letGo := make(chan struct{})
	f.source.during(func(string) { <-letGo })
	var replies []<-chan callerReply
	for i := range f.members {
		for key := range keys {
			replies = append(replies, f.ask(i, fmt.Sprint(key)))
		}
	}
	must(t, redistest.Until(t.Context(), func(context.Context) error {
		if n := f.source.count() - 1; n != keys {
			return fmt.Errorf("%d loads of %d", n, keys)
		}
		return nil
	}))
	for _, m := range f.members {
		must(t, m.client.Ping(t.Context()).Err())
	}
	close(letGo)
	for _, c := range replies {
		if r := soon(t, "a caller", c); r.err != nil {
			t.Errorf("a caller got %v", r.err)
		}
	}
	if n := f.source.count() - 1; n != keys {
		t.Errorf("%d loads, want %d", n, keys)
	}
	f.recovers("before")
}

// The error of a command that a server would not take says what it said.
func TestServer_Fault_ErrorsAreClear(t *testing.T) {
	var told []error
	s, f := faulty(t, sharersOptions{})
	for _, fault := range []struct {
		begin, end []any
		want       string
	}{
		{[]any{"REPLICAOF", "127.0.0.1", "1"}, []any{"REPLICAOF", "NO", "ONE"}, "READONLY"},
		{[]any{"CONFIG", "SET", "maxmemory", "1"}, []any{"CONFIG", "SET", "maxmemory", "0"}, "OOM"},
	} {
		s.Do(fault.begin...)
		err := f.members[0].loader.Set(t.Context(), "secret", 1)
		s.Do(fault.end...)
		if !redis.HasErrorPrefix(err, fault.want) || !strings.Contains(fmt.Sprint(err), fault.want) {
			t.Errorf("err = %v, want %s", err, fault.want)
		}
		told = append(told, err)
	}
	if text := fmt.Sprint(errors.Join(told...)); strings.Contains(text, "secret") {
		t.Errorf("the text %q holds a key", text)
	}
}
