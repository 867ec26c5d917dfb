package adaptertest

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// answering changes what the honest Acquire answers.
func answering(change func(got *answer, r request)) func(*leased) {
	return func(l *leased) {
		l.acquire = func(ctx context.Context, key string, r request) (answer, error) {
			got, err := l.lease(ctx, key, r)
			change(&got, r)
			return got, err
		}
	}
}

// asking changes what the honest Acquire is asked.
func asking(change func(r *request)) func(*leased) {
	return func(l *leased) {
		l.acquire = func(ctx context.Context, key string, r request) (answer, error) {
			change(&r)
			return l.lease(ctx, key, r)
		}
	}
}

// filling changes what Fill stores.
func filling(change func(e *entry)) func(*leased) {
	return func(l *leased) {
		l.fill = func(ctx context.Context, key, token string, e *entry) error {
			if e != nil {
				changed := *e
				change(&changed)
				e = &changed
			}
			return l.process.Fill(ctx, key, token, e)
		}
	}
}

// refilling calls then after each Fill that was applied.
func refilling(then func(l *leased, key, token string, e *entry) error) func(*leased) {
	return func(l *leased) {
		l.fill = func(ctx context.Context, key, token string, e *entry) error {
			if err := l.process.Fill(ctx, key, token, e); err != nil {
				return err
			}
			return then(l, key, token, e)
		}
	}
}

var brokenLeases = []struct {
	name, clause string
	spoil        func(l *leased)
}{
	{"LeaseLife changes", "leases", lifeChanges},
	{"LeaseLife below zero", "leases", func(l *leased) { l.life = func() time.Duration { return -1 } }},

	{"everybody has the lease", "lease-acquire", answering(func(got *answer, _ request) { got.State = corral.LeaseHeld })},
	{"leases of one process", "lease-acquire", ownLeases},
	{"Empty left out", "lease-acquire", answering(func(got *answer, _ request) { got.Empty = false })},
	{"Empty over an entry", "lease-acquire", answering(func(got *answer, _ request) { got.Empty = true })},
	{"Left as the server says it", "lease-acquire", answering(func(got *answer, _ request) { got.Left = min(got.Left, 0) - 2 })},
	{"Left in another unit", "lease-acquire", answering(func(got *answer, _ request) { got.Left *= 1000 })},
	{"an unknown state", "lease-acquire", answering(func(got *answer, _ request) { got.State = 7 })},
	{"one's own lease is busy", "lease-again", ownIsBusy},
	{"keys of leases trimmed", "lease-keys", trimmedLeases},
	{"a lease is an entry", "lease-keys", leaseIsEntry},
	{"a lease is an entry, and Get finds it", "lease-beside", leaseIsEntry},
	{"Acquire removes the entry", "lease-beside", acquireRemoves},

	{"no Version", "lease-unseen", noVersion},
	{"no Version with LeaseChanged", "lease-unseen", answering(func(got *answer, _ request) {
		if got.Entry != nil {
			bare := *got.Entry
			bare.Version = 0
			got.Entry = &bare
		}
	})},
	{"changed without an entry", "lease-unseen", answering(func(got *answer, _ request) { got.Entry = nil })},
	{"changed with half an entry", "lease-unseen", answering(func(got *answer, _ request) {
		if got.Entry != nil {
			got.Entry = &entry{Value: got.Entry.Value, Version: got.Entry.Version}
		}
	})},
	{"changed, and the lease too", "lease-unseen", changedTakes},
	{"busy comes before changed", "lease-unseen", busyFirst},
	{"nothing seen is not compared", "lease-unseen", asking(func(r *request) { r.Force = r.Force || r.Seen == nil })},
	{"any entry that was seen will do", "lease-replaced", asking(func(r *request) { r.Force = r.Force || r.Seen != nil })},
	{"the entry that was seen comes back", "lease-replaced", answering(func(got *answer, r request) {
		if got.Entry != nil && r.Seen != nil {
			got.Entry = r.Seen
		}
	})},
	{"nobody is told that it is gone", "lease-gone", answering(func(got *answer, r request) { got.Empty = got.Empty && r.Seen == nil })},
	{"gone is changed", "lease-gone", answering(func(got *answer, r request) {
		if got.Empty && r.Seen != nil {
			got.State = corral.LeaseChanged
		}
	})},
	{"Force ignored", "lease-force", asking(func(r *request) { r.Force = false })},
	{"Force steals", "lease-force", forceSteals},

	{"Fill does nothing", "lease-fill", func(l *leased) {
		l.fill = func(context.Context, string, string, *entry) error { return nil }
	}},
	{"Fill leaves the lease", "lease-fill", refilling(func(l *leased, key, token string, _ *entry) error {
		_, err := l.process.Acquire(context.Background(), key, request{Token: token, Force: true})
		return err
	})},
	{"Fill once", "lease-fill-again", fillOnce},
	{"Fill with nil again is lost", "lease-fill-again", func(l *leased) {
		l.fill = func(ctx context.Context, key, token string, e *entry) error {
			if e == nil && l.process.Renew(ctx, key, token) != nil {
				return corral.ErrLeaseLost
			}
			return l.process.Fill(ctx, key, token, e)
		}
	}},
	{"Fill with nil only releases", "lease-fill-nil", func(l *leased) {
		l.fill = func(ctx context.Context, key, token string, e *entry) error {
			if e == nil {
				return l.process.Release(ctx, key, token)
			}
			return l.process.Fill(ctx, key, token, e)
		}
	}},
	{"Fill with nil leaves the lease", "lease-fill-nil", refilling(func(l *leased, key, token string, e *entry) error {
		if e == nil {
			_, _ = l.process.Acquire(context.Background(), key, request{Token: token})
		}
		return nil
	})},
	{"Fill with nil panics", "lease-fill-nil", func(l *leased) {
		l.fill = func(ctx context.Context, key, token string, e *entry) error {
			_ = e.Value
			return l.process.Fill(ctx, key, token, e)
		}
	}},
	{"Absent lost by Fill", "lease-fill-absent", filling(func(e *entry) { e.Absent = false })},
	{"Keep counts from Fill", "lease-fill-absent", filling(func(e *entry) { e.LoadedAt = time.Time{} })},

	{"Fill ignores the token", "lease-lost", func(l *leased) {
		l.fill = func(ctx context.Context, key, _ string, e *entry) error {
			if e == nil {
				return l.process.Delete(ctx, key)
			}
			return l.process.Set(ctx, key, e)
		}
	}},
	{"Fill with nil ignores the token", "lease-lost", func(l *leased) {
		l.fill = func(ctx context.Context, key, token string, e *entry) error {
			if e == nil {
				return l.process.Delete(ctx, key)
			}
			return l.process.Fill(ctx, key, token, e)
		}
	}},
	{"Fill is refused after it stored", "lease-lost", func(l *leased) {
		l.fill = func(ctx context.Context, key, token string, e *entry) error {
			err := l.process.Fill(ctx, key, token, e)
			if err != nil && e != nil {
				_ = l.keepLease(ctx, key, func() error { return l.process.Set(ctx, key, e) })
			}
			return err
		}
	}},
	{"Fill that is refused ends the lease", "lease-lost", func(l *leased) {
		l.fill = func(ctx context.Context, key, token string, e *entry) error {
			err := l.process.Fill(ctx, key, token, e)
			if last, ok := l.last.Load(key); ok && err != nil {
				_ = l.process.Release(ctx, key, last.(string))
			}
			return err
		}
	}},
	{"the store's own error", "lease-lost", func(l *leased) {
		l.renew = func(ctx context.Context, key, token string) error {
			if l.process.Renew(ctx, key, token) != nil {
				return errors.New("store: not the owner")
			}
			return nil
		}
	}},
	{"Renew takes a lease that ran out", "lease-lost", func(l *leased) {
		l.renew = func(ctx context.Context, key, token string) error {
			got, err := l.lease(ctx, key, request{Token: token, Force: true})
			if got.State != corral.LeaseHeld {
				err = corral.ErrLeaseLost
			}
			return err
		}
	}},

	{"Release of anybody's", "lease-release", func(l *leased) {
		l.release = func(ctx context.Context, key, _ string) error {
			last, _ := l.last.Load(key)
			token, _ := last.(string)
			return l.process.Release(ctx, key, token)
		}
	}},
	{"Release does nothing", "lease-release", func(l *leased) {
		l.release = func(context.Context, string, string) error { return nil }
	}},
	{"Release fails without a lease", "lease-release", func(l *leased) {
		l.release = func(ctx context.Context, key, token string) error {
			if err := l.process.Renew(ctx, key, token); err != nil {
				return err
			}
			return l.process.Release(ctx, key, token)
		}
	}},
	{"Release deletes the entry", "lease-release", func(l *leased) {
		l.release = func(ctx context.Context, key, token string) error {
			if l.process.Renew(ctx, key, token) != nil {
				return nil
			}
			return l.process.Delete(ctx, key)
		}
	}},
	{"Set leaves the lease", "lease-set", func(l *leased) {
		l.set = func(ctx context.Context, key string, e *entry) error {
			return l.keepLease(ctx, key, func() error { return l.process.Set(ctx, key, e) })
		}
	}},
	{"Delete leaves the lease", "lease-delete", func(l *leased) {
		l.remove = func(ctx context.Context, key string) error {
			return l.keepLease(ctx, key, func() error { return l.process.Delete(ctx, key) })
		}
	}},
	{"Delete of nothing leaves the lease", "lease-delete", func(l *leased) {
		l.remove = func(ctx context.Context, key string) error {
			if e, _ := l.process.Get(ctx, key); e == nil {
				return nil
			}
			return l.process.Delete(ctx, key)
		}
	}},
	{"every grant has the same token", "lease-grant", sameGrant},
	{"Renew does nothing", "lease-renew", func(l *leased) {
		l.renew = func(context.Context, string, string) error { return nil }
	}},
	{"Renew goes on by itself", "lease-renew", func(l *leased) {
		l.renew = func(ctx context.Context, key, token string) error {
			time.AfterFunc(shortLife/2, func() { _ = l.process.Renew(ctx, key, token) })
			return l.process.Renew(ctx, key, token)
		}
	}},
	{"Acquire looks, then takes", "lease-race", looksThenTakes},
	{"Fill looks, then writes", "lease-fence", func(l *leased) {
		l.fill = func(ctx context.Context, key, token string, e *entry) error {
			if err := l.process.Renew(ctx, key, token); err != nil {
				return err
			}
			time.Sleep(1)
			return l.process.Set(ctx, key, e)
		}
	}},
	{"Delete takes the entry, then the lease", "lease-fence", func(l *leased) {
		l.remove = func(ctx context.Context, key string) error {
			_ = l.keepLease(ctx, key, func() error { return l.process.Delete(ctx, key) })
			time.Sleep(1)
			if last, ok := l.last.Load(key); ok {
				_ = l.process.Release(ctx, key, last.(string))
			}
			return nil
		}
	}},

	{"Watch never signals", "lease-watch", func(l *leased) {
		l.watch = func(string) (<-chan struct{}, func()) { return make(chan struct{}, 1), func() {} }
	}},
	{"Fill is not told", "lease-watch", told(false, "Fill", signalOne)},
	{"Release is not told", "lease-watch", told(false, "Release", signalOne)},
	{"Set is not told", "lease-watch", told(false, "Set", signalOne)},
	{"Delete is not told", "lease-watch", told(false, "Delete", signalOne)},
	{"only one's own process is told", "lease-watch", told(true, "", signalOne)},
	{"the channel is closed", "lease-watch", told(false, "", func(c chan struct{}) { close(c) })},
	{"no room", "lease-watch", func(l *leased) {
		l.watch = func(string) (<-chan struct{}, func()) { return make(chan struct{}), func() {} }
	}},
	{"no channel", "lease-watch", func(l *leased) {
		l.watch = func(string) (<-chan struct{}, func()) { return nil, nil }
	}},
	{"writers wait for who watches", "lease-watch-end", told(false, "", func(c chan struct{}) { c <- struct{}{} })},
	{"a goroutine for each Watch", "lease-watch-end", func(l *leased) {
		l.watch = func(key string) (<-chan struct{}, func()) {
			go func() { select {} }()
			return l.process.Watch(key)
		}
	}},

	{"Fill swallows an outage", "outage", func(l *leased) {
		l.fill = func(ctx context.Context, key, token string, e *entry) error {
			if l.down.Load() {
				return nil
			}
			return l.process.Fill(ctx, key, token, e)
		}
	}},
	{"an outage is a lost lease", "outage", func(l *leased) {
		l.fill = func(ctx context.Context, key, token string, e *entry) error {
			if l.down.Load() {
				return corral.ErrLeaseLost
			}
			return l.process.Fill(ctx, key, token, e)
		}
	}},

	{"Listen begins with a key", "listen-begins", func(l *leased) {
		l.hear = func(ctx context.Context, drop func(...string)) error {
			drop("k")
			return l.process.Listen(ctx, drop)
		}
	}},
	{"Listen begins in silence", "listen-begins", hearing(func([]string) bool { return false })},
	{"Listen hears nothing more", "listen-others", hearing(func(keys []string) bool { return len(keys) == 0 })},
	{"Listen hears one key", "listen-others", hearing(func(keys []string) bool { return len(keys) == 0 || keys[0] == "key-00000001" })},
	{"Listen hears its own", "listen-others", func(l *leased) {
		l.hear = l.store.Process().Listen
	}},
	{"Delete is not announced", "listen-others", deleteUnheard},
}

func TestBrokenLeasesAreCaught(t *testing.T) {
	for _, tt := range brokenLeases {
		t.Run(tt.name, func(t *testing.T) {
			wantFallen(t, tt.clause, leasedConfig(tt.spoil))
		})
	}
}

func TestLeaseLivesAreCaught(t *testing.T) {
	says := func(l *leased) { l.life = func() time.Duration { return shortLife } }
	for name, life := range map[string]time.Duration{
		"without an end":       math.MaxInt64,
		"a nanosecond short":   shortLife - 1,
		"two nanoseconds long": shortLife + 2,
		"half":                 shortLife / 2,
	} {
		t.Run(name, func(t *testing.T) { wantFallen(t, "lease-life", leasedFor(life, says)) })
	}
}

func TestPlainSetValueThatLeavesTheLeaseIsCaught(t *testing.T) {
	wantFallen(t, "lease-set", bareLeasedConfig(true))
}

// In the whole suite too, where what New returns is known before the clause.
func TestBadLeaseLifeIsCaughtByRun(t *testing.T) {
	cfg := leasedConfig(func(l *leased) { l.life = func() time.Duration { return -1 } })
	if said := fallen(t, "", cfg); said["leases"] == "" || len(said) != 1 {
		t.Errorf("fell: %v, want the clause leases alone", said)
	}
}

func TestProcessesThatShareNothingAreCaught(t *testing.T) {
	for name, other := range map[string]func(*testing.T) cache{
		"another store": func(*testing.T) cache { return memadapter.NewShared[string, string](shortLife).Process() },
		"nil":           func(*testing.T) cache { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := leasedConfig(func(*leased) {})
			cfg.Other = other
			for _, clause := range []string{"processes", "lease-acquire", "lease-watch", "listen-others"} {
				wantFallen(t, clause, cfg)
			}
		})
	}
	t.Run("no leases", func(t *testing.T) {
		cfg := leasedConfig(func(*leased) {})
		cfg.Other = func(*testing.T) cache { return mem() }
		wantFallen(t, "lease-acquire", cfg)
	})
}

func TestUndecodableLeases(t *testing.T) {
	for _, tt := range []struct {
		name string
		bad  func(l *leased, r request) error // of Acquire over bytes that nobody can read
		fine bool
	}{
		{"ErrUndecodable", func(_ *leased, r request) error {
			if r.Force {
				return nil
			}
			return corral.ErrUndecodable
		}, true},
		{"not looked at", func(*leased, request) error { return nil }, true},
		{"ErrUndecodable with Force", func(*leased, request) error { return corral.ErrUndecodable }, false},
		{"the codec's own error", func(_ *leased, r request) error {
			if r.Force {
				return nil
			}
			return errors.New("gob: bad data")
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var unreadable sync.Map
			cfg := leasedConfig(func(l *leased) {
				l.acquire = func(ctx context.Context, key string, r request) (answer, error) {
					if _, bad := unreadable.Load(key); bad {
						if err := tt.bad(l, r); err != nil {
							return answer{}, err
						}
						r.Force = true
					}
					return l.lease(ctx, key, r)
				}
			})
			cfg.Corrupt = func(_ *testing.T, key string, _ func([]byte) []byte) { unreadable.Store(key, true) }
			said := fallen(t, "lease-undecodable", cfg)["lease-undecodable"]
			if (said == "") != tt.fine {
				t.Errorf("fine %v, want %v: %s", said == "", tt.fine, said)
			}
		})
	}
}

func TestBrokenLayersAreCaught(t *testing.T) {
	for _, tt := range []struct {
		name, clause string
		spoil        func(d *double)
	}{
		{"no near", "layers", func(d *double) { d.layers = func() (cache, cache) { return nil, d.process } }},
		{"no far", "layers", func(d *double) { d.layers = func() (cache, cache) { return d.near, nil } }},
		{"the wrong way round", "layers", func(d *double) { d.layers = func() (cache, cache) { return d.process, d.near } }},
		{"made anew", "layers", func(d *double) {
			d.layers = func() (cache, cache) { return d.near, &faulty{Cache: (*back)(d)} }
		}},
		{"far is bare", "near-copy", func(d *double) { d.layers = func() (cache, cache) { return d.near, d.process } }},
		{"copies lose their TTL", "near-copy", func(d *double) {
			d.copied = func(e *entry) *entry { c := *e; c.TTL = 0; return &c }
		}},
		{"near is not dropped", "near-drop", func(d *double) { d.keepNear = true }},
		{"far is not deleted", "near-drop", func(d *double) { d.keepFar = true }},
		{"copies live anew", "near-keep", func(d *double) {
			d.copied = func(e *entry) *entry { c := *e; c.LoadedAt = time.Now(); return &c }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) { wantFallen(t, tt.clause, layeredConfig(tt.spoil)) })
	}
}

func lifeChanges(l *leased) {
	var asked atomic.Int64
	l.life = func() time.Duration { return shortLife + time.Duration(asked.Add(1)) }
}

// ownLeases keeps leases in the process. Nothing else is shared through them.
func ownLeases(l *leased) {
	own := memadapter.NewShared[string, string](shortLife).Process()
	l.acquire = func(ctx context.Context, key string, r request) (answer, error) {
		e, _ := l.process.Get(ctx, key)
		got, err := own.Acquire(ctx, key, r)
		got.Empty = e == nil
		return got, err
	}
}

func ownIsBusy(l *leased) {
	l.acquire = func(ctx context.Context, key string, r request) (answer, error) {
		if l.process.Renew(ctx, key, r.Token) == nil {
			e, _ := l.process.Get(ctx, key)
			return answer{State: corral.LeaseBusy, Empty: e == nil}, nil
		}
		return l.lease(ctx, key, r)
	}
}

func trimmedLeases(l *leased) {
	l.acquire = func(ctx context.Context, key string, r request) (answer, error) {
		return l.lease(ctx, strings.TrimSpace(key), r)
	}
	l.fill = func(ctx context.Context, key, token string, e *entry) error {
		err := l.process.Fill(ctx, strings.TrimSpace(key), token, nil)
		if err == nil && e != nil {
			err = l.process.Set(ctx, key, e)
		}
		return err
	}
}

// sameGrant makes of the attempt's token what looks like that of a grant.
func sameGrant(l *leased) {
	const mark = "granted to "
	l.acquire = func(ctx context.Context, key string, r request) (answer, error) {
		got, err := l.lease(ctx, key, r)
		got.Token = mark + r.Token
		return got, err
	}
	l.renew = func(ctx context.Context, key, token string) error {
		return l.process.Renew(ctx, key, strings.TrimPrefix(token, mark))
	}
	l.fill = func(ctx context.Context, key, token string, e *entry) error {
		return l.process.Fill(ctx, key, strings.TrimPrefix(token, mark), e)
	}
	l.release = func(ctx context.Context, key, token string) error {
		return l.process.Release(ctx, key, strings.TrimPrefix(token, mark))
	}
}

func leaseIsEntry(l *leased) {
	l.get = func(ctx context.Context, key string) (*entry, error) {
		e, err := l.process.Get(ctx, key)
		if token, ok := l.last.Load(key); ok && l.process.Renew(ctx, key, token.(string)) == nil {
			e = &entry{Value: token.(string)}
		}
		return e, err
	}
}

func acquireRemoves(l *leased) {
	l.acquire = func(ctx context.Context, key string, r request) (answer, error) {
		got, err := l.lease(ctx, key, r)
		if got.State == corral.LeaseHeld {
			_ = l.keepLease(ctx, key, func() error { return l.process.Delete(ctx, key) })
		}
		return got, err
	}
}

func noVersion(l *leased) {
	strip := func(e *entry) *entry {
		if e == nil {
			return nil
		}
		bare := *e
		bare.Version = 0
		return &bare
	}
	l.get = func(ctx context.Context, key string) (*entry, error) {
		e, err := l.process.Get(ctx, key)
		return strip(e), err
	}
	answering(func(got *answer, _ request) { got.Entry = strip(got.Entry) })(l)
}

func changedTakes(l *leased) {
	l.acquire = func(ctx context.Context, key string, r request) (answer, error) {
		got, err := l.lease(ctx, key, r)
		if got.State == corral.LeaseChanged {
			_, err = l.lease(ctx, key, request{Token: r.Token, Force: true})
		}
		return got, err
	}
}

func busyFirst(l *leased) {
	l.acquire = func(ctx context.Context, key string, r request) (answer, error) {
		last, _ := l.last.Load(key)
		if token, ok := last.(string); ok && token != r.Token && l.process.Renew(ctx, key, token) == nil {
			e, _ := l.process.Get(ctx, key)
			return answer{State: corral.LeaseBusy, Empty: e == nil}, nil
		}
		return l.lease(ctx, key, r)
	}
}

func forceSteals(l *leased) {
	l.acquire = func(ctx context.Context, key string, r request) (answer, error) {
		if last, ok := l.last.Load(key); ok && r.Force {
			_ = l.process.Release(ctx, key, last.(string))
		}
		return l.lease(ctx, key, r)
	}
}

func fillOnce(l *leased) {
	var filled sync.Map
	l.fill = func(ctx context.Context, key, token string, e *entry) error {
		if _, again := filled.LoadOrStore(token, true); again {
			return corral.ErrLeaseLost
		}
		return l.process.Fill(ctx, key, token, e)
	}
}

func looksThenTakes(l *leased) {
	l.acquire = func(ctx context.Context, key string, r request) (answer, error) {
		if last, _ := l.last.Load(key); last != nil {
			return answer{State: corral.LeaseBusy, Empty: true}, nil
		}
		time.Sleep(1)
		l.last.Store(key, r.Token)
		return answer{State: corral.LeaseHeld, Empty: true}, nil
	}
}

// hearing tells only what passes.
func hearing(passes func(keys []string) bool) func(*leased) {
	return func(l *leased) {
		l.hear = func(ctx context.Context, drop func(...string)) error {
			return l.process.Listen(ctx, func(keys ...string) {
				if passes(keys) {
					drop(keys...)
				}
			})
		}
	}
}

// deleteUnheard tells of no key under which nothing is stored.
func deleteUnheard(l *leased) {
	l.hear = func(ctx context.Context, drop func(...string)) error {
		return l.process.Listen(ctx, func(keys ...string) {
			if e, _ := l.process.Get(ctx, append(keys, "")[0]); len(keys) > 0 && e == nil {
				return
			}
			drop(keys...)
		})
	}
}

// board is where watchers of a broken cache are signalled.
type board struct {
	mu       sync.Mutex
	watchers map[string]map[chan struct{}]bool // guarded by mu
}

func (b *board) watch(key string) (<-chan struct{}, func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := make(chan struct{}, 1)
	if b.watchers[key] == nil {
		b.watchers[key] = map[chan struct{}]bool{}
	}
	b.watchers[key][c] = true
	return c, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers[key], c)
	}
}

func (b *board) tell(key string, signal func(chan struct{})) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.watchers[key] {
		signal(c)
	}
}

func signalOne(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// told signals after each write but those of one kind, to all processes or only
// to the one that wrote.
func told(own bool, but string, signal func(chan struct{})) func(*leased) {
	return func(l *leased) {
		b := &board{watchers: map[string]map[chan struct{}]bool{}}
		if !own {
			shared, _ := l.last.LoadOrStore(boardKey{}, b)
			b = shared.(*board)
		}
		after := func(what, key string, err error) error {
			if what != but {
				b.tell(key, signal)
			}
			return err
		}
		l.watch = b.watch
		l.set = func(ctx context.Context, key string, e *entry) error {
			return after("Set", key, l.process.Set(ctx, key, e))
		}
		l.remove = func(ctx context.Context, key string) error {
			return after("Delete", key, l.process.Delete(ctx, key))
		}
		l.fill = func(ctx context.Context, key, token string, e *entry) error {
			return after("Fill", key, l.process.Fill(ctx, key, token, e))
		}
		l.release = func(ctx context.Context, key, token string) error {
			return after("Release", key, l.process.Release(ctx, key, token))
		}
	}
}

type boardKey struct{}
