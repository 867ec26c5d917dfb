package adaptertest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// fallen runs the suite, or the one clause that is named, on a cache and returns
// what each clause that it failed said.
func fallen[K comparable, V any](t *testing.T, only string, cfg Config[K, V]) map[string]string {
	t.Helper()
	cfg, err := cfg.complete()
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, c := range clauses[K, V]() {
		if only != "" && only != c.name || !c.applies(&cfg) {
			continue
		}
		if err := c.test(t, cfg); err != nil {
			said[c.name] = c.explain(err)
		}
	}
	return said
}

// wantFallen fails unless the suite catches the cache where it should.
func wantFallen[K comparable, V any](t *testing.T, clause string, cfg Config[K, V]) {
	t.Helper()
	said := fallen(t, clause, cfg)[clause]
	if said == "" {
		t.Errorf("the clause %q let it pass", clause)
	}
	t.Log(said)
}

var brokenCaches = []struct {
	name, clause string
	cache        func() cache
}{
	{"error for a miss", "miss", errorForMiss},
	{"entry for a miss", "miss", entryForMiss},
	{"Set does nothing", "set-then-get", setNothing},
	{"Set shows up late", "set-then-get", setLate},
	{"LoadTime lost", "set-then-get", func() cache { return storing(func(e *entry) { e.LoadTime = 0 }) }},
	{"TTL in seconds", "set-then-get", func() cache {
		return storing(func(e *entry) { e.TTL = e.TTL.Truncate(time.Second) })
	}},
	{"Keep lost", "set-then-get", func() cache { return storing(func(e *entry) { e.Keep = e.TTL }) }},
	{"LoadedAt is when it was set", "keep-from-load", func() cache {
		return storing(func(e *entry) { e.LoadedAt = time.Now() })
	}},
	{"monotonic clock lost", "monotonic-clock", func() cache {
		return storing(func(e *entry) { e.LoadedAt = e.LoadedAt.Round(0) })
	}},
	{"zero time through nanoseconds", "unknown-age", func() cache {
		return storing(func(e *entry) { e.LoadedAt = time.Unix(0, e.LoadedAt.UnixNano()) })
	}},
	{"Absent lost", "absent", func() cache { return storing(func(e *entry) { e.Absent = false }) }},
	{"absent entries not stored", "absent", dropAbsent},
	{"Set writes to the entry", "shared-entry", setWrites},
	{"Get reuses its entry", "shared-entry", getReuses},
	{"zero value is a miss", "zero-value", zeroIsMiss},
	{"absent is a reserved value", "odd-values", sentinel},
	{"bytes that are not UTF-8 lost", "odd-values", func() cache {
		return storing(func(e *entry) { e.Value = strings.ToValidUTF8(e.Value, "?") })
	}},
	{"first Set wins", "overwrite", firstWins},
	{"Delete does nothing", "delete", deleteNothing},
	{"Delete shows the old value for a while", "delete", deleteLate},
	{"a Set under way lands after Delete", "delete", setOvertakes},
	{"error for Delete of a missing key", "delete-missing", deleteMissing},
	{"tombstone takes later Sets", "set-after-delete", tombstone},
	{"keys cut to 12 bytes", "keys", func() cache {
		return keyed(func(k string) string { return k[:min(12, len(k))] })
	}},
	{"keys end at NUL", "keys", func() cache {
		return keyed(func(k string) string { k, _, _ = strings.Cut(k, "\x00"); return k })
	}},
	{"keys trimmed", "keys", func() cache { return keyed(strings.TrimSpace) }},
	{"Delete by prefix", "keys", deletePrefix},
	{"panic on the empty key", "keys", func() cache {
		return keyed(func(k string) string { return k[:1] + k[1:] })
	}},
	{"kept for ever", "keep", func() cache {
		return keeping(func(time.Duration) time.Duration { return math.MaxInt64 })
	}},
	{"Keep rounded down to seconds", "keep", func() cache {
		return keeping(func(d time.Duration) time.Duration { return d.Truncate(time.Second) })
	}},
	{"half a second becomes an hour", "keep", func() cache {
		return keeping(func(d time.Duration) time.Duration {
			if d < time.Second {
				return time.Hour
			}
			return d
		})
	}},
	{"kept for TTL", "keep-from-load", func() cache { return keepingTTL() }},
	{"Keep from Set", "keep-from-load", keepFromSet},
	{"entry that is over is not written", "keep-from-load", overIsIgnored},
	{"Keep overflows", "huge-keep", overflow},
	{"one scratch for all Sets", "concurrent-reads", scratch},
	{"a slow Get fills a near copy after Delete", "concurrent-reads", lateFill},
	{"Sets dropped when contended", "concurrent-writes", dropContended},
	{"hang on an ended context", "ended-context", hangEnded},
	{"nothing done on an ended context, without error", "ended-context", nothingEnded},
	{"broken by an ended context", "ended-context", brokenByEnded},
	{"Glance of the cache inside", "glance", func() cache { return &overridden{Cache: memadapter.New[string, string]()} }},
	{"Glance is always quiet", "glance", func() cache { return &calm{Cache: memadapter.New[string, string]()} }},
	{"Glance has another value", "glance", func() cache { return &squinting{Cache: memadapter.New[string, string]()} }},
	{"Far changes", "far", func() cache { return &fickle{faulty: mem()} }},
	{"far and does not say so", "far", func() cache { s := newServer(); s.hasNoFar = true; return s }},
	{"Settle does not settle", "settle", func() cache { return &hasty{faulty: setLate().(*faulty)} }},
	{"Settle fails without a Set", "settle", func() cache { return &forgetful{faulty: mem()} }},
	{"Check fails", "check", func() cache { return &anxious{faulty: mem()} }},
	{"Listen does not end", "listen", func() cache { return &deaf{faulty: mem()} }},
	{"a goroutine for each Set", "goroutines", goroutinePerSet},
	{"plain and Config does not say so", "plain", func() cache { return plain() }},
}

// Each break is caught by the sub-test that names the promise it breaks.
func TestBrokenCachesAreCaught(t *testing.T) {
	for _, tt := range brokenCaches {
		t.Run(tt.name, func(t *testing.T) {
			wantFallen(t, tt.clause, Config[string, string]{
				New: func(*testing.T) cache { return tt.cache() },
			})
		})
	}
}

// What lingers is what Set wrote last, and not for longer than it may.
func TestLingeringIsBounded(t *testing.T) {
	for name, broken := range map[string]struct {
		clause string
		cache  func() cache
	}{
		"for ever": {"keep", func() cache { return keeping(func(time.Duration) time.Duration { return math.MaxInt64 }) }},
		"a nanosecond too long": {"keep", func() cache {
			return keeping(func(d time.Duration) time.Duration { return min(d, time.Hour) + 3*time.Second + 2 })
		}},
		"the value before": {"keep-from-load", overIsIgnored},
	} {
		t.Run(name, func(t *testing.T) {
			wantFallen(t, broken.clause, Config[string, string]{
				Linger: 3 * time.Second,
				New:    func(*testing.T) cache { return broken.cache() },
			})
		})
	}
}

type pair struct{ a, b string }

func TestKeysThatPrintAlikeAreCaught(t *testing.T) {
	wantFallen(t, "keys", Config[pair, string]{
		New: func(*testing.T) corral.Cache[pair, string] { return printed{memadapter.New[string, string]()} },
		Key: func(n int) pair {
			if n < 2 {
				return []pair{{"a b", "c"}, {"a", "b c"}}[n]
			}
			return pair{"k", fmt.Sprint(n)}
		},
	})
}

// printed is a cache that makes text of its keys.
type printed struct{ inner corral.Cache[string, string] }

func (c printed) Get(ctx context.Context, key pair) (*entry, error) {
	return c.inner.Get(ctx, fmt.Sprint(key))
}
func (c printed) Set(ctx context.Context, key pair, e *entry) error {
	return c.inner.Set(ctx, fmt.Sprint(key), e)
}
func (c printed) Delete(ctx context.Context, key pair) error {
	return c.inner.Delete(ctx, fmt.Sprint(key))
}

var brokenPlainCaches = []struct {
	name, clause string
	spoil        func(b *bare)
}{
	{"life does not shrink", "plain-life", lifeStays},
	{"life in seconds", "plain-life", func(b *bare) {
		b.setValue = func(ctx context.Context, key, value string, life time.Duration) error {
			return b.PlainCache.SetValue(ctx, key, value, life.Truncate(time.Second))
		}
	}},
	{"no life is for ever", "plain-life", func(b *bare) {
		b.setValue = func(ctx context.Context, key, value string, life time.Duration) error {
			if life <= 0 {
				life = math.MaxInt64
			}
			return b.PlainCache.SetValue(ctx, key, value, life)
		}
	}},
	{"an entry that was just loaded", "plain-entry", func(b *bare) {
		b.returned = func(e *entry) { e.LoadedAt, e.TTL = time.Now(), e.Keep }
	}},
	{"an entry whose Keep is lost", "plain-entry", func(b *bare) { b.returned = func(e *entry) { e.Keep = 0 } }},
	{"an entry without an end", "plain-entry", func(b *bare) { b.returned = func(e *entry) { e.Keep = math.MaxInt64 } }},
	{"no end is no life", "plain-endless", func(b *bare) {
		b.getValue = func(ctx context.Context, key string) (string, time.Duration, bool, error) {
			v, life, ok, err := b.PlainCache.GetValue(ctx, key)
			return v, max(0, life), ok, err
		}
	}},
	{"absent is a zero value", "absent", func(b *bare) {
		b.set = func(ctx context.Context, key string, e *entry) error {
			return b.PlainCache.SetValue(ctx, key, e.Value, e.Keep-time.Since(e.LoadedAt))
		}
	}},
	{"absent leaves the value", "absent", func(b *bare) {
		b.set = func(ctx context.Context, key string, e *entry) error {
			if e.Absent {
				return nil
			}
			return b.PlainCache.Set(ctx, key, e)
		}
	}},
	{"zero value is a miss", "zero-value", func(b *bare) {
		b.getValue = func(ctx context.Context, key string) (string, time.Duration, bool, error) {
			v, life, ok, err := b.PlainCache.GetValue(ctx, key)
			return v, life, ok && v != "", err
		}
	}},
	{"GetValue finds what is missing", "miss", func(b *bare) {
		b.getValue = func(ctx context.Context, key string) (string, time.Duration, bool, error) {
			v, life, _, err := b.PlainCache.GetValue(ctx, key)
			return v, life, true, err
		}
	}},
}

func TestBrokenPlainCachesAreCaught(t *testing.T) {
	for _, tt := range brokenPlainCaches {
		t.Run(tt.name, func(t *testing.T) {
			cfg := plainConfig(tt.spoil)
			wantFallen(t, tt.clause, cfg)
		})
	}
}

func plainConfig(spoil func(b *bare)) Config[string, string] {
	var b *bare
	return Config[string, string]{
		Plain: true,
		New: func(*testing.T) cache {
			b = plain()
			spoil(b)
			return b
		},
		Endless: func(t *testing.T, key, value string) {
			if err := b.PlainCache.SetValue(t.Context(), key, value, math.MaxInt64); err != nil {
				t.Error(err)
			}
		},
	}
}

func TestEntriesCalledPlainAreCaught(t *testing.T) {
	wantFallen(t, "plain", Config[string, string]{
		Plain: true,
		New:   func(*testing.T) cache { return mem() },
	})
}

func TestBrokenFarCachesAreCaught(t *testing.T) {
	for _, tt := range []struct {
		name, clause string
		spoil        func(s *server)
	}{
		{"errors are misses", "outage", func(s *server) { s.silent = true }},
		{"contexts are ignored", "stalled-store", func(s *server) { s.patient = true }},
		{"no checksum", "undecodable", func(s *server) { s.encode, s.decode = body, trusting }},
		{"the codec's own error", "undecodable", func(s *server) { s.decode = ownError }},
		{"unreadable is a miss", "undecodable", func(s *server) { s.decode = unreadableIsMiss }},
		{"panic on short bytes", "undecodable", func(s *server) { s.decode = short }},
		{"memory by the bytes' own claim", "undecodable", func(s *server) { s.decode = claimed }},
		{"no key in the envelope", "foreign-key", func(s *server) {
			s.encode = func(_ string, e *entry) []byte { return seal("", e) }
			s.decode = func(_ string, b []byte) (*entry, error) { return unseal("", b) }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantFallen(t, tt.clause, serverConfig(tt.spoil))
		})
	}
}

func serverConfig(spoil func(s *server)) Config[string, string] {
	s := new(server)
	cfg := s.config()
	cfg.New = func(*testing.T) cache {
		fresh := newServer()
		spoil(fresh)
		s.items, s.down, s.stall = fresh.items, false, nil
		s.encode, s.decode, s.silent, s.patient = fresh.encode, fresh.decode, fresh.silent, fresh.patient
		return s
	}
	return cfg
}

func TestBrokenWrappersAreCaught(t *testing.T) {
	far, near := cache(newServer()), cache(mem())
	settling := cache(&settled{faulty: mem()})
	for _, tt := range []struct {
		name  string
		outer cache
		inner []any
		says  string
	}{
		{"Far hidden", &faulty{Cache: far}, []any{far}, "lacks Far"},
		{"Far invented", &fickle{faulty: mem()}, []any{near}, "has Far"},
		{"Settler hidden behind one of two", mem(), []any{settling, near}, "lacks Settler"},
		{"Settler invented", &settled{faulty: mem()}, []any{near, near}, "has Settler"},
		{"Checker hidden", mem(), []any{&anxious{}}, "lacks Checker"},
		{"Listener hidden", mem(), []any{&deaf{}, near}, "lacks Listener"},
		{"Leaser hidden", mem(), []any{near, onlyLeases(shortLife)}, "lacks Leaser"},
		{"Leaser invented", onlyLeases(shortLife), []any{near, mem()}, "has Leaser"},
		{"leases of another life", onlyLeases(2 * shortLife), []any{near, onlyLeases(shortLife)}, "LeaseLife"},
		{"Layered hidden", mem(), []any{onlyLayers{mem()}, near}, "lacks Layered"},
		{"BatchCache hidden", &faulty{}, []any{manyLayer(mem()), manyLayer(mem())}, "lacks BatchCache"},
		{"BatchLeaser hidden", onlyLeases(shortLife), []any{near, manyLeases()}, "lacks BatchLeaser"},
		{"PlainCache hidden", manyLayer(mem()), []any{plain()}, "lacks PlainCache"},
		{"Prompt hidden", far, []any{near, hurried{far}}, "lacks Prompt"},
		{"Prompt invented", hurried{far}, []any{near, far}, "has Prompt"},
		{"nothing inside", mem(), nil, "no cache"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := Config[string, string]{
				New:   func(*testing.T) cache { return tt.outer },
				Inner: func() []any { return tt.inner },
			}
			wantFallen(t, "wrapper", cfg)
			if said := fallen(t, "wrapper", cfg)["wrapper"]; !strings.Contains(said, tt.says) {
				t.Errorf("said %q, want %q", said, tt.says)
			}
		})
	}
}

// The whole suite gets to its end whatever a cache does.
func TestSuiteSurvivesBrokenCaches(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cache  func() cache
		caught []string
	}{
		{"error for a miss", errorForMiss, []string{"miss", "delete", "keys", "keep", "concurrent-reads"}},
		{"Set does nothing", setNothing, []string{"set-then-get", "overwrite", "keys", "keep", "concurrent-writes"}},
		{"panic on everything", func() cache { return new(faulty) }, []string{"miss", "absent", "keys", "concurrent-reads", "ended-context", "far"}},
		{"hang on everything", hangAlways, []string{"miss", "absent", "keys", "concurrent-reads", "ended-context", "far"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			said := fallen(t, "", Config[string, string]{New: func(*testing.T) cache { return tt.cache() }})
			for _, clause := range tt.caught {
				if said[clause] == "" {
					t.Errorf("the clause %q let it pass", clause)
				}
			}
		})
	}
}

// The suite lets honest caches of every kind pass, on either clock.
func TestHonestCachesPass(t *testing.T) {
	settling := func(*testing.T) cache { return buffered() }
	for name, cfg := range map[string]Config[string, string]{
		"near":     {New: func(*testing.T) cache { return mem() }},
		"plain":    plainConfig(func(*bare) {}),
		"far":      serverConfig(func(*server) {}),
		"buffered": {New: settling},
		"lingering": {Linger: 3 * time.Second, New: func(*testing.T) cache {
			return lasting(func(e *entry) time.Duration { return e.Keep + min(3*time.Second, math.MaxInt64-e.Keep) })
		}},
		"leased":       leasedConfig(func(*leased) {}),
		"plain leased": bareLeasedConfig(false),
		"layered":      layeredConfig(func(*double) {}),
		"wrapper":      {New: settling, Inner: func() []any { return []any{mem(), buffered()} }},
	} {
		t.Run(name, func(t *testing.T) {
			for clause, said := range fallen(t, "", cfg) {
				t.Errorf("%s: %s", clause, said)
			}
		})
		t.Run(name+" in real time", func(t *testing.T) {
			cfg.RealTime = true
			if left := inBubble(t, func(t *testing.T) {
				for clause, said := range fallen(t, "", cfg) {
					t.Errorf("%s: %s", clause, said)
				}
			}); left {
				t.Error("goroutines are left")
			}
		})
	}
}

// Names are what people grep for and select with -run.
func TestClauseNamesAreUnique(t *testing.T) {
	var names []string
	for _, c := range clauses[string, string]() {
		if slices.Contains(names, c.name) || strings.ContainsAny(c.name, " /_") {
			t.Errorf("bad or second clause %q", c.name)
		}
		if c.rule == "" || c.why == "" || c.cause == "" {
			t.Errorf("clause %q explains nothing", c.name)
		}
		names = append(names, c.name)
	}
}
