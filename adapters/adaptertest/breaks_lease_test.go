package adaptertest

import (
	"context"
	"errors"
	"time"

	"github.com/corralcache/corral"
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
