package redisadapter

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/bytestore"
	"github.com/corralcache/corral/internal/stored"
)

// Cache makes a [corral.Cache] of a Redis, for keys that only caches like it
// write. It is safe for concurrent use. It starts no goroutine that outlives its
// calls, but for calls that were left behind and, while somebody watches a lease,
// a subscription; it does not close the client.
type Cache[K comparable, V any] struct {
	server   server[K]
	envelope bytestore.Envelope[V]
	lane     lane
	prompt   prompt
}

var (
	_ corral.Cache[string, any]  = (*Cache[string, any])(nil)
	_ corral.Far                 = (*Cache[string, any])(nil)
	_ corral.Prompt              = (*Cache[string, any])(nil)
	_ corral.Checker             = (*Cache[string, any])(nil)
	_ corral.Listener[string]    = (*Cache[string, any])(nil)
	_ corral.Leaser[string, any] = (*Cache[string, any])(nil)

	_ corral.BatchCache[string, any]  = (*Cache[string, any])(nil)
	_ corral.BatchLeaser[string, any] = (*Cache[string, any])(nil)
)

// New returns a cache over client. Whether the parts fit is what [Cache.Check]
// says, which [corral.New] asks.
func New[K comparable, V any](client redis.UniversalClient, opts Options[K, V]) *Cache[K, V] {
	write := braced(opts.Prefix)
	c := &Cache[K, V]{
		server: server[K]{
			client:  client,
			text:    stored.Text(opts.Key),
			write:   write,
			parse:   stored.Parser(opts.ParseKey, opts.Key != nil),
			leaseOf: func(name string) string { return name + ":lease" },
			fault:   firstError(checkClient(client, "New"), opts.check(), opts.checkBraces()),
			timer:   newTimer(client, write("clock")),
			leases:  opts.leases(),
			news:    newNews(opts.Prefix, ""),
		},
		envelope: bytestore.Envelope[V]{Codec: opts.codec(), MaxValueBytes: opts.bound(), MayKeep: true},
	}
	c.server.match, c.server.unwrite = unbraced(opts.Prefix)
	c.server.init()
	c.lane.off = opts.NoPipeline
	c.prompt.client, _ = client.(*redis.Client)
	return c
}

// Check says whether the cache can work: a client, a Key function where one is
// needed, a Prefix without braces, a MaxValueBytes within its bounds. It does
// not ask the server. Every call of a cache that cannot work returns the same
// error.
func (c *Cache[K, V]) Check() error { return c.server.fault }

// Far returns true: a call is a round trip.
func (c *Cache[K, V]) Far() bool { return true }

// Prompt returns true if the client is a *redis.Client: the waits of a GET are then
// bounded by the client itself.
func (c *Cache[K, V]) Prompt() bool { return c.server.one }

// Get returns the entry of key, nil if there is none. The error is
// [corral.ErrUndecodable] for what is no entry of key, else the client's or the
// server's.
//
// Through a *redis.Client, calls that come while others are under way share a round
// trip: their GETs wait until one of those has returned, a millisecond at the most,
// and go as one pipeline. See Options.NoPipeline. Values that the codec stores as
// they are, as it does bytes and strings, are parts of the reply and no copies.
func (c *Cache[K, V]) Get(ctx context.Context, key K) (*corral.Entry[V], error) {
	if ends, t, ok := c.prompt.within(ctx, c.server.timer); ok {
		p, err := c.server.place(key)
		if err != nil {
			return nil, err
		}
		return c.get(ends, t, p)
	}
	return on(ctx, &c.server, key, func(ctx context.Context, p place) (*corral.Entry[V], error) {
		return c.get(ctx, c.server.timer, p)
	})
}

func (c *Cache[K, V]) get(ctx context.Context, t timer, p place) (*corral.Entry[V], error) {
	data, err := c.read(ctx, t, p).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, failed("GET", err)
	}
	return c.open(p, data)
}

// read sends the GET: with others where all are for one server.
func (c *Cache[K, V]) read(ctx context.Context, t timer, p place) *redis.StringCmd {
	if !c.server.one {
		return run(ctx, t, false, func(r redis.Cmdable) *redis.StringCmd { return r.Get(ctx, p.name) })
	}
	cmd := c.lane.get(ctx, t, p.name)
	c.prompt.note(replied(cmd.Err()))
	return cmd
}

// open returns the entry that data holds.
func (c *Cache[K, V]) open(p place, data []byte) (*corral.Entry[V], error) {
	e, err := c.envelope.Open(p.name, data, c.server.timer.clock.now())
	if e != nil {
		e.Version = versionOf(data)
	}
	return e, err
}

// versionOf tells an entry's bytes from those of another: when it was loaded,
// the lower half, and the checksum. Scripts read it in the same place.
func versionOf(data []byte) uint64 { return binary.BigEndian.Uint64(data[versionAt:]) }

const (
	versionAt  = 8
	versionEnd = 16
)

// Set stores e for what is left of its Keep, and ends the lease of key: what is
// being loaded for it anywhere is older. If nothing is left, or the error is
// [corral.ErrRefused], the key is not on the server afterwards: what stood there
// is older than e.
func (c *Cache[K, V]) Set(ctx context.Context, key K, e *corral.Entry[V]) error {
	return does(ctx, &c.server, key, func(ctx context.Context, p place) error {
		data, life, err := c.seal(ctx, p, e)
		return c.server.store(ctx, p, data, life, err)
	})
}

// seal returns the bytes that stand for e and how long they have to live: 0 if
// the key is to hold nothing, as it is with [corral.ErrRefused].
func (c *Cache[K, V]) seal(ctx context.Context, p place, e *corral.Entry[V]) ([]byte, time.Duration, error) {
	if err := c.server.timer.know(ctx); err != nil {
		return nil, 0, err
	}
	now := c.server.timer.clock.now()
	data, err := c.envelope.Seal(p.name, e, now)
	if err != nil {
		return nil, 0, err
	}
	return data, stored.Left(e, now.Local), nil
}

// Delete removes key from the server, and ends its lease: what is being loaded
// for it anywhere will not be stored.
func (c *Cache[K, V]) Delete(ctx context.Context, key K) error {
	return does(ctx, &c.server, key, func(ctx context.Context, p place) error {
		return c.server.put(ctx, p, nil, 0)
	})
}
