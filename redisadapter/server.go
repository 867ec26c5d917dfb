package redisadapter

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/stored"
)

// server is what both caches have: a client and the way to its keys.
type server[K comparable] struct {
	client  redis.UniversalClient
	text    func(K) string
	write   func(text string) string                 // how a key's text becomes the server's key
	leaseOf func(name string) string                 // the key of its lease
	parse   func(string) (K, error)                  // text backwards; nil if nobody knows how
	match   string                                   // the pattern that every server's key has
	unwrite func(name string) (text string, ok bool) // write backwards; not of a lease
	fault   error                                    // what Check returns
	timer   timer
	leases  leases
	news    news
	watches watches
	one     bool        // client is that of one server
	apart   atomic.Bool // MGET does not work
}

// init makes what needs the other fields.
func (s *server[K]) init() {
	_, s.one = s.client.(*redis.Client)
	s.watches.hear = func(ctx context.Context, began func(), tell func(string)) error {
		return hear(ctx, s.client, s.news.ended, began, tell)
	}
}

// watch is Watch of both caches. A key that has no place has no lease either:
// Acquire says why.
func (s *server[K]) watch(key K) (ended <-chan struct{}, stop func()) {
	p, err := s.place(key)
	if err != nil || s.leases.off {
		return make(chan struct{}), func() {}
	}
	return s.watches.watch(p.text)
}

// place is where a key is on the server.
type place struct {
	text string // as announcements name it
	name string // the server's key
}

// checkClient says whether there is one.
func checkClient(client redis.UniversalClient, function string) error {
	if !stored.IsNil(client) {
		return nil
	}
	return &corral.OptionError{Field: "redisadapter." + function + ": client", Value: "nil", Bound: "required"}
}

func (s *server[K]) place(key K) (place, error) {
	if s.fault != nil {
		return place{}, s.fault
	}
	text, err := stored.TextOf(key, s.text)
	if err != nil {
		return place{}, err
	}
	if len(text) > maxKeyBytes {
		return place{}, fmt.Errorf("%w: its key has %d bytes, %d is the most", corral.ErrRefused, len(text), maxKeyBytes)
	}
	return place{text: text, name: s.write(text)}, nil
}

// maxKeyBytes is how long a key's text may be. A script carries it several times,
// and a server ends the connection on which one comes that is too large for it.
const maxKeyBytes = 1 << 20

// on calls fn with the server's key, so that the caller gets away when ctx ends
// and the connections do not notice.
func on[K comparable, T any](ctx context.Context, s *server[K], key K, fn func(context.Context, place) (T, error)) (T, error) {
	return bounded.Do(ctx, func(ctx context.Context) (T, error) {
		p, err := s.place(key)
		if err != nil {
			var zero T
			return zero, err
		}
		return fn(context.WithoutCancel(ctx), p)
	})
}

// does is on for calls that return nothing but an error.
func does[K comparable](ctx context.Context, s *server[K], key K, fn func(context.Context, place) error) error {
	_, err := on(ctx, s, key, func(ctx context.Context, p place) (struct{}, error) { return struct{}{}, fn(ctx, p) })
	return err
}

// px returns life as the server counts it: in whole milliseconds, the part of
// one as a whole one, so that the shortest life is not zero, which would be an
// error. The longest, 292 years, is far from where the server's sums overflow.
func px(life time.Duration) time.Duration {
	const ms = time.Millisecond
	if part := life % ms; part > 0 && life <= math.MaxInt64-ms {
		return life - part + ms
	}
	return life - life%ms
}
