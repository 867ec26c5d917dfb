package bytestore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/stored"
)

// Store is the user's store of bytes. All methods are called concurrently.
//
//   - Get returns ok false for a key that is not there. The bytes are neither
//     changed nor kept; the store does not change them either.
//   - Set stores value, which is its own from then on, for life, which is above
//     zero and up to 292 years. A store that counts in seconds rounds it up, one
//     that knows no such life takes its longest, and one that cannot end lives
//     may ignore it: what has outlived its Keep is not served. A nil error says
//     that the next Get finds the value, unless the store evicted it.
//   - Delete of a key that is not there is no error.
//
// A key is any text, of any length. A store that is particular, as memcached is
// with spaces and with more than 250 bytes, is given a hash of it: the envelope
// tells if two keys meet.
//
// A method should return soon after ctx ended. If it does not, its caller goes on
// without it and the call's goroutine waits for it; if it panics, the caller
// gets an error.
type Store interface {
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)
	Set(ctx context.Context, key string, value []byte, life time.Duration) error
	Delete(ctx context.Context, key string) error
}

// Options of a [Cache]. The zero value works for keys whose kind is string or
// integer.
type Options[K comparable, V any] struct {
	// Prefix sets the keys of this cache apart from all others in the store. It
	// may be any text, also none.
	Prefix string

	// Key turns a key into text, two different keys into two different texts. It
	// is called concurrently. It may be nil where K's kind is string or integer.
	Key func(K) string

	// Codec turns values into bytes; nil is [DefaultCodec].
	Codec Codec[V]

	// MaxValueBytes is how large a stored value may be, envelope included. Larger
	// ones are refused: served, not stored. Zero is [DefaultMaxValueBytes].
	MaxValueBytes int
}

// Cache makes a [corral.Cache] of a [Store]. It is safe for concurrent use and
// holds nothing but what it was made of.
type Cache[K comparable, V any] struct {
	store    Store
	text     func(K) string
	prefix   string
	envelope Envelope[V]
	fault    error // what Check returns
}

var (
	_ corral.Cache[string, any] = (*Cache[string, any])(nil)
	_ corral.Far                = (*Cache[string, any])(nil)
	_ corral.Checker            = (*Cache[string, any])(nil)
)

// New returns a cache over store. Whether the parts fit is what [Cache.Check]
// says, which [corral.New] asks.
func New[K comparable, V any](store Store, opts Options[K, V]) *Cache[K, V] {
	c := &Cache[K, V]{
		store:    store,
		text:     stored.Text(opts.Key),
		prefix:   strconv.Itoa(len(opts.Prefix)) + ":" + opts.Prefix + ":",
		envelope: Envelope[V]{Codec: opts.Codec, MaxValueBytes: opts.MaxValueBytes},
	}
	if stored.IsNil(opts.Codec) {
		c.envelope.Codec = DefaultCodec[V]()
	}
	c.fault = c.check()
	return c
}

// Check says whether the cache can work: a store, a Key function where one is
// needed, a MaxValueBytes from zero to what the envelope can say. Every call of
// a cache that cannot work returns the same error.
func (c *Cache[K, V]) Check() error { return c.fault }

func (c *Cache[K, V]) check() error {
	if stored.IsNil(c.store) {
		return &corral.OptionError{Field: "bytestore.New: store", Value: "nil", Bound: "required"}
	}
	if n := c.envelope.MaxValueBytes; n < 0 || n > maxPayload {
		return &corral.OptionError{
			Field: "bytestore.Options.MaxValueBytes",
			Value: n,
			Bound: fmt.Sprintf("must be from 0 (%d) to %d", DefaultMaxValueBytes, maxPayload),
		}
	}
	return stored.CheckText(c.text, "bytestore.Options.Key")
}

// Far returns true: a store of bytes costs at least the decoding, most of them
// a round trip.
func (c *Cache[K, V]) Far() bool { return true }

// Get returns the entry of key, nil if there is none. The error is
// [corral.ErrUndecodable] for bytes that are no entry of key, else the store's.
func (c *Cache[K, V]) Get(ctx context.Context, key K) (*corral.Entry[V], error) {
	return bounded.Do(ctx, func(ctx context.Context) (*corral.Entry[V], error) {
		name, err := c.name(key)
		if err != nil {
			return nil, err
		}
		data, ok, err := c.store.Get(ctx, name)
		if err != nil || !ok {
			return nil, err
		}
		return c.envelope.Open(name, data, wallClock())
	})
}

// Set stores e for what is left of its Keep. If nothing is left, or the error is
// [corral.ErrRefused], the key is not in the store afterwards: what stood there
// is older than e.
//
// If ctx ends first, the store may still carry the call out.
func (c *Cache[K, V]) Set(ctx context.Context, key K, e *corral.Entry[V]) error {
	_, err := bounded.Do(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.set(ctx, key, e)
	})
	return err
}

func (c *Cache[K, V]) set(ctx context.Context, key K, e *corral.Entry[V]) error {
	name, err := c.name(key)
	if err != nil {
		return err
	}
	now := wallClock()
	data, err := c.envelope.Seal(name, e, now)
	switch {
	case errors.Is(err, corral.ErrRefused):
		// A Delete that fails leaves an older value behind, which is worse news.
		if failed := c.store.Delete(ctx, name); failed != nil {
			return failed
		}
		return err
	case err != nil:
		return err
	}
	life := stored.Left(e, now.Local)
	if life == 0 {
		return c.store.Delete(ctx, name)
	}
	return c.store.Set(ctx, name, data, life)
}

// Delete removes key from the store.
//
// If ctx ends first, the store may still carry the call out.
func (c *Cache[K, V]) Delete(ctx context.Context, key K) error {
	_, err := bounded.Do(ctx, func(ctx context.Context) (struct{}, error) {
		name, err := c.name(key)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, c.store.Delete(ctx, name)
	})
	return err
}

func (c *Cache[K, V]) name(key K) (string, error) {
	if c.fault != nil {
		return "", c.fault
	}
	text, err := stored.TextOf(key, c.text)
	return c.prefix + text, err
}

func wallClock() Instant {
	now := time.Now()
	return Instant{Local: now, Store: now.UnixNano()}
}
