package adaptertest

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// What broken leases do in place of one step.

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
