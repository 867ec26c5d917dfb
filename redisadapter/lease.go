package redisadapter

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
)

// leases are on, and last for life unless they are renewed, or off.
type leases struct {
	off  bool
	life time.Duration
}

// length is what LeaseLife returns.
func (l leases) length() time.Duration {
	if l.off {
		return 0
	}
	return l.life
}

var (
	errNoLease = errors.New("redisadapter: leases are off (Options.NoLease)")
	errNoToken = errors.New("redisadapter: a lease needs a token that is not empty")
)

// check returns why token cannot have a lease.
func (l leases) check(token string) error {
	switch {
	case l.off:
		return errNoLease
	case token == "":
		return errNoToken
	default:
		return nil
	}
}

// checkMany returns why a call with so many keys and tokens cannot work.
func (l leases) checkMany(call string, keys, tokens int) error {
	if l.off {
		return errNoLease
	}
	return fits(call, keys, tokens)
}

// acquire runs script, whose last argument is what the caller has seen.
func (s *server[K]) acquire(ctx context.Context, script *redis.Script, p place, token string, force bool, seen string) (answer, error) {
	if err := s.leases.check(token); err != nil {
		return answer{}, err
	}
	return s.call(ctx, script, p, s.acquisition(token, force, seen)...)
}

// acquisition, renewal, ending and filling are the arguments of their scripts.
func (s *server[K]) acquisition(token string, force bool, seen string) []any {
	flag := "0"
	if force {
		flag = "1"
	}
	return []any{token, inMillis(s.leases.life), flag, seen}
}

func (s *server[K]) renewal(token string) []any { return []any{token, inMillis(s.leases.life)} }

func (s *server[K]) ending(p place, token string) []any { return []any{token, s.news.ended, p.text} }

func (s *server[K]) filling(p place, token string, data []byte, life time.Duration) []any {
	return []any{token, s.news.ended, p.text, inMillis(life), data}
}

// leaseFrom reads what acquire returned, but for a changed entry.
func leaseFrom[V any](a answer, err error) (corral.Lease[V], error) {
	if err != nil {
		return corral.Lease[V]{}, err
	}
	switch a.outcome {
	case "held":
		return corral.Lease[V]{State: corral.LeaseHeld, Token: a.value}, nil
	case "held, empty":
		return corral.Lease[V]{State: corral.LeaseHeld, Empty: true, Token: a.value}, nil
	case "busy":
		return corral.Lease[V]{State: corral.LeaseBusy, Left: a.left}, nil
	case "busy, empty":
		return corral.Lease[V]{State: corral.LeaseBusy, Left: a.left, Empty: true}, nil
	default:
		return corral.Lease[V]{}, failed("EVALSHA", errReply)
	}
}

// renew gives the lease its whole life again.
func (s *server[K]) renew(ctx context.Context, p place, token string) error {
	if err := s.leases.check(token); err != nil {
		return err
	}
	a, err := s.call(ctx, scriptRenew, p, s.renewal(token)...)
	return done(a, err)
}

// release ends the lease if token has it.
func (s *server[K]) release(ctx context.Context, p place, token string) error {
	if err := s.leases.check(token); err != nil {
		return err
	}
	a, err := s.call(ctx, scriptRelease, p, s.ending(p, token)...)
	return done(a, err)
}

// fill writes what was sealed, and ends the lease, if token has it. See
// [server.store] for what was refused.
func (s *server[K]) fill(ctx context.Context, p place, token string, data []byte, life time.Duration, refused error) error {
	if refused != nil && !errors.Is(refused, corral.ErrRefused) {
		return refused
	}
	a, err := s.call(ctx, scriptFill, p, s.filling(p, token, data, life)...)
	if err = done(a, err); err != nil {
		return err
	}
	return refused
}

// done returns the error of a script that does one thing or, without the lease,
// nothing.
func done(a answer, err error) error {
	switch {
	case err != nil:
		return err
	case a.outcome == "lost":
		return corral.ErrLeaseLost
	case a.outcome != "done":
		return failed("EVALSHA", errReply)
	default:
		return nil
	}
}
