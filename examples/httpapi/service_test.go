package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/ristrettoadapter"
)

const (
	delay   = 100 * time.Millisecond
	timeout = time.Second
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard)
	m.Run()
}

// in runs test in a bubble, with a service whose options leave nothing to chance.
func in(t *testing.T, test func(t *testing.T, s *service)) {
	synctest.Test(t, func(t *testing.T) {
		opts := options
		opts.Jitter = 0
		s, err := newService(t.Context(), filepath.Join(t.TempDir(), "users.db"), delay, timeout, opts)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.close(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		test(t, s)
	})
}

// sub is in for a sub-test.
func sub(t *testing.T, name string, test func(t *testing.T, s *service)) {
	t.Run(name, func(t *testing.T) { in(t, test) })
}

// do makes a request and returns the answer and how long it took.
func do(ctx context.Context, s *service, method, path, body string) (*httptest.ResponseRecorder, time.Duration) {
	start := time.Now()
	w := httptest.NewRecorder()
	s.routes().ServeHTTP(w, httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body)))
	return w, time.Since(start)
}

// together makes n requests at once and returns how many got each answer: its
// status, its Cache-Status and what it took.
func together(s *service, n int, path func(i int) string) map[string]int {
	var mu sync.Mutex
	got := map[string]int{}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			w, took := do(context.Background(), s, "GET", path(i), "")
			mu.Lock()
			defer mu.Unlock()
			got[fmt.Sprintf("%d %s; %v", w.Code, w.Header().Get("Cache-Status"), took)]++
		})
	}
	wg.Wait()
	return got
}

func same(t *testing.T, got, want map[string]int) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got:  %v\nwant: %v", got, want)
	}
}

func queries(t *testing.T, s *service, want int64) {
	t.Helper()
	if got := s.store.queries.Load(); got != want {
		t.Errorf("%d queries, want %d", got, want)
	}
}

func TestGet(t *testing.T) {
	user42 := func(int) string { return "/users/42" }

	sub(t, "OneQueryForAll", func(t *testing.T, s *service) {
		same(t, together(s, 1000, user42), map[string]int{
			"200 corral; fwd=uri-miss; stored; ttl=10; 100ms":            1,
			"200 corral; fwd=uri-miss; collapsed; stored; ttl=10; 100ms": 999,
		})
		same(t, together(s, 1000, user42), map[string]int{"200 corral; hit; ttl=10; 0s": 1000})
		queries(t, s, 1)
		w, _ := do(t.Context(), s, "GET", "/users/42", "")
		if got := w.Body.String(); got != `{"id":42,"name":"user 42"}`+"\n" {
			t.Errorf("body %q", got)
		}
	})
	sub(t, "OneQueryPerUser", func(t *testing.T, s *service) {
		got := together(s, 160, func(i int) string { return fmt.Sprintf("/users/%d", 1+i%options.MaxLoads) })
		same(t, got, map[string]int{
			"200 corral; fwd=uri-miss; stored; ttl=10; 100ms":            16,
			"200 corral; fwd=uri-miss; collapsed; stored; ttl=10; 100ms": 144,
		})
		queries(t, s, 16)
	})
	sub(t, "SQLHasMaxLoadsToDo", func(t *testing.T, s *service) {
		got := together(s, 2*options.MaxLoads, func(i int) string { return fmt.Sprintf("/users/%d", 1+i) })
		same(t, got, map[string]int{
			"200 corral; fwd=uri-miss; stored; ttl=10; 100ms": 16,
			"200 corral; fwd=uri-miss; stored; ttl=10; 200ms": 16,
		})
	})
	sub(t, "StaleWithoutWaiting", func(t *testing.T, s *service) {
		do(t.Context(), s, "GET", "/users/42", "")
		time.Sleep(options.TTL)
		same(t, together(s, 1000, user42), map[string]int{"200 corral; hit; ttl=0; 0s": 1000})
		time.Sleep(delay)
		synctest.Wait()
		same(t, together(s, 1000, user42), map[string]int{"200 corral; hit; ttl=10; 0s": 1000})
		queries(t, s, 2)
	})
	sub(t, "AbsentIsRemembered", func(t *testing.T, s *service) {
		nobody := func(int) string { return "/users/5000" }
		same(t, together(s, 1000, nobody), map[string]int{
			"404 corral; fwd=uri-miss; stored; ttl=5; 100ms":            1,
			"404 corral; fwd=uri-miss; collapsed; stored; ttl=5; 100ms": 999,
		})
		same(t, together(s, 1000, nobody), map[string]int{"404 corral; hit; ttl=5; 0s": 1000})
		queries(t, s, 1)
		time.Sleep(options.AbsentTTL)
		do(t.Context(), s, "GET", "/users/5000", "")
		queries(t, s, 2)
	})
	sub(t, "StaleWhileSQLIsDown", func(t *testing.T, s *service) {
		do(t.Context(), s, "GET", "/users/42", "")
		if err := s.store.db.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(options.TTL + options.StaleFor)
		same(t, together(s, 1, user42), map[string]int{"200 corral; fwd=stale; ttl=-61; detail=stale-if-error; 100ms": 1})
		w, _ := do(t.Context(), s, "GET", "/users/43", "")
		if got := w.Body.String(); w.Code != 500 || got != "Internal Server Error\n" {
			t.Errorf("%d %q, want 500 and nothing of what SQL said", w.Code, got)
		}
	})
}

func TestGetHasTheContextOfItsRequest(t *testing.T) {
	sub(t, "ClientGone", func(t *testing.T, s *service) {
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(delay/2, leave)
		if w, took := do(ctx, s, "GET", "/users/42", ""); w.Code != statusClientGone || took != delay/2 {
			t.Errorf("%d after %v", w.Code, took)
		}
		// The query goes on, and the next client gets what it found.
		if w, took := do(t.Context(), s, "GET", "/users/42", ""); w.Code != 200 || took != delay/2 {
			t.Errorf("%d after %v", w.Code, took)
		}
		queries(t, s, 1)
	})
	sub(t, "TimeoutShorterThanTheQuery", func(t *testing.T, s *service) {
		s.store.delay = 3 * timeout / 2
		user42 := func(int) string { return "/users/42" }
		same(t, together(s, 100, user42), map[string]int{
			"504 corral; fwd=uri-miss; 1s":            1,
			"504 corral; fwd=uri-miss; collapsed; 1s": 99,
		})
		same(t, together(s, 100, user42), map[string]int{
			"200 corral; fwd=uri-miss; collapsed; stored; ttl=10; 500ms": 100,
		})
		queries(t, s, 1)
	})
}

func TestPut(t *testing.T) {
	name := func(t *testing.T, s *service, path, want string) {
		t.Helper()
		w, _ := do(t.Context(), s, "GET", path, "")
		var u User
		if err := json.Unmarshal(w.Body.Bytes(), &u); err != nil || u.Name != want {
			t.Errorf("GET %s: %d %q, want the name %q", path, w.Code, w.Body, want)
		}
	}
	sub(t, "ThenGetIsNew", func(t *testing.T, s *service) {
		name(t, s, "/users/42", "user 42")
		if w, _ := do(t.Context(), s, "PUT", "/users/42", `{"name":"Ann"}`); w.Code != http.StatusNoContent {
			t.Errorf("PUT: %d %q", w.Code, w.Body)
		}
		name(t, s, "/users/42", "Ann")
	})
	sub(t, "OfAnAbsentUser", func(t *testing.T, s *service) {
		do(t.Context(), s, "GET", "/users/5000", "")
		do(t.Context(), s, "PUT", "/users/5000", `{"name":"Ann"}`)
		name(t, s, "/users/5000", "Ann")
	})
	sub(t, "DuringAQueryThatSawTheOldRow", func(t *testing.T, s *service) {
		go do(t.Context(), s, "GET", "/users/42", "")
		time.Sleep(delay / 2)
		synctest.Wait()
		s.store.delay = 0 // the write is faster than the answer that is under way
		do(t.Context(), s, "PUT", "/users/42", `{"name":"Ann"}`)
		name(t, s, "/users/42", "Ann")
		time.Sleep(delay)
		synctest.Wait()
		name(t, s, "/users/42", "Ann")
		if got := s.users.Stats().Discarded; got != 1 {
			t.Errorf("%d loads discarded, want the old one", got)
		}
	})
	sub(t, "WhoseClientLeftAfterTheWrite", func(t *testing.T, s *service) {
		s.move(t, nil)
		name(t, s, "/users/42", "user 42")
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(delay/2, leave)
		if w, took := do(ctx, s, "PUT", "/users/42", `{"name":"Ann"}`); w.Code != statusClientGone || took != delay/2 {
			t.Errorf("PUT: %d after %v", w.Code, took)
		}
		name(t, s, "/users/42", "Ann")
	})
	sub(t, "WhenTheCacheCannotDelete", func(t *testing.T, s *service) {
		s.move(t, errors.New("the cache is gone"))
		if w, _ := do(t.Context(), s, "PUT", "/users/42", `{"name":"Ann"}`); w.Code != http.StatusInternalServerError {
			t.Errorf("PUT: %d %q, want 500: the old value may still be cached", w.Code, w.Body)
		}
	})
	sub(t, "NeverAnOlderOneAfterwards", neverOlder)
}

// neverOlder has readers check that a GET shows no version older than the last
// PUT that was answered before it began.
func neverOlder(t *testing.T, s *service) {
	var written atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(rand.N(delay)):
				}
				least := written.Load()
				w, _ := do(t.Context(), s, "GET", "/users/42", "")
				var u User
				var version int64
				if err := json.Unmarshal(w.Body.Bytes(), &u); err != nil {
					t.Errorf("GET: %d %q", w.Code, w.Body)
				}
				if _, err := fmt.Sscanf(u.Name, "version %d", &version); err != nil && u.Name != "user 42" {
					t.Errorf("name %q", u.Name)
				}
				if version < least {
					t.Errorf("GET shows version %d after the PUT of %d was answered", version, least)
				}
			}
		})
	}
	for version := range int64(50) {
		time.Sleep(rand.N(3 * delay))
		if w, _ := do(t.Context(), s, "PUT", "/users/42", fmt.Sprintf(`{"name":"version %d"}`, version+1)); w.Code != http.StatusNoContent {
			t.Errorf("PUT: %d %q", w.Code, w.Body)
		}
		written.Store(version + 1)
	}
	close(stop)
	wg.Wait()
}

// distant is a cache that is as quick to give up as one behind a network.
type distant struct {
	corral.Cache[int64, User]
	err error // what Delete returns
}

func (d distant) Delete(ctx context.Context, id int64) error {
	if err := cmp.Or(d.err, ctx.Err()); err != nil {
		return err
	}
	return d.Cache.Delete(ctx, id)
}

// move puts the service's Loader over a distant cache.
func (s *service) move(t *testing.T, deleteErr error) {
	cache := distant{ristrettoadapter.New(s.cache, ristrettoadapter.Options[User]{}), deleteErr}
	users, err := corral.New(cache, options)
	if err != nil {
		t.Fatal(err)
	}
	s.users = users
}

func TestBadRequests(t *testing.T) {
	in(t, func(t *testing.T, s *service) {
		for _, tc := range []struct {
			method, path, body string
			want               int
		}{
			{"GET", "/users/ann", "", 400},
			{"GET", "/users/99999999999999999999", "", 400},
			{"GET", "/users/-1", "", 404},
			{"GET", "/users/", "", 404},
			{"DELETE", "/users/42", "", 405},
			{"PUT", "/users/ann", `{"name":"Ann"}`, 400},
			{"PUT", "/users/42", ``, 400},
			{"PUT", "/users/42", `{}`, 400},
			{"PUT", "/users/42", `{"name":7}`, 400},
			{"PUT", "/users/42", `{"name":"` + strings.Repeat("x", maxBody) + `"}`, 400},
		} {
			if w, _ := do(t.Context(), s, tc.method, tc.path, tc.body); w.Code != tc.want {
				t.Errorf("%s %s %.20q: %d, want %d", tc.method, tc.path, tc.body, w.Code, tc.want)
			}
		}
		queries(t, s, 1)
	})
}

func TestStats(t *testing.T) {
	in(t, func(t *testing.T, s *service) {
		for range 3 {
			do(t.Context(), s, "GET", "/users/42", "")
		}
		do(t.Context(), s, "GET", "/users/5000", "")
		w, _ := do(t.Context(), s, "GET", "/debug/stats", "")
		var got struct {
			Queries int64
			corral.Stats
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.Queries != 2 || got.Loads != 2 || got.Absent != 1 || got.Hits != 2 || got.Misses != 2 || got.LoadTimes.Sum != 2*delay {
			t.Errorf("%+v", got)
		}
	})
}
