package layered

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/stored"
)

// DefaultUnheard is what a zero [Options].Unheard means.
const DefaultUnheard = time.Second

// Options of a [Cache]. The zero value is ready to use.
type Options struct {
	// Unheard is how long a copy is served, counted from when far was asked for
	// it, while other processes' writes are not heard: before the first
	// subscription, while one is lost, and always over a far cache that is no
	// [corral.Listener]. It is how old a value may be in such times that another
	// process has replaced. Zero is [DefaultUnheard].
	Unheard time.Duration

	// NearError is told of errors of near that fail no call, since far has what
	// near could not take; nil tells nobody. A refusal ([corral.ErrRefused]) is
	// none. It is called concurrently, on the goroutine of the call, and under no
	// lock.
	NearError func(err error)
}

func (o Options) withDefaults() Options {
	if o.Unheard == 0 {
		o.Unheard = DefaultUnheard
	}
	return o
}

// Check says whether the two caches can work together: both given, near in
// memory and of entries, far a far one that is not layered itself,
// Options.Unheard not below zero. Else it returns what their own Checks say.
// Every call of a cache that cannot work returns the same error.
func (c *Cache[K, V]) Check() error {
	if c.fault != nil {
		return c.fault
	}
	return cmp.Or(checked("near", c.near), checked("far", c.far))
}

func check[K comparable, V any](near, far corral.Cache[K, V], opts Options) (err error) {
	defer bounded.Recover("the cache", &err)
	_, plain := near.(corral.PlainCache[K, V])
	_, layers := far.(corral.Layered[K, V])
	switch {
	case stored.IsNil(near):
		return option("New: near", "nil", "required")
	case stored.IsNil(far):
		return option("New: far", "nil", "required")
	case isFar(near):
		return option("New: near", fmt.Sprintf("a far cache (%T)", near), "must be in this process's memory: every caller reads it")
	case plain:
		return option("New: near", fmt.Sprintf("a cache of bare values (%T)", near), "must hold entries: a copy has its times")
	case !isFar(far):
		return option("New: far", fmt.Sprintf("not a far cache (%T)", far), "must say that it is far, or near saves nothing")
	case layers:
		return option("New: far", fmt.Sprintf("a layered cache (%T)", far), "must be one cache")
	case opts.Unheard < 0:
		return option("Options.Unheard", opts.Unheard, fmt.Sprintf("must not be below 0 (%v)", DefaultUnheard))
	}
	return nil
}

func option(field string, value any, bound string) error {
	return &corral.OptionError{Field: "layered." + field, Value: value, Bound: bound}
}

func isFar(cache any) bool {
	f, ok := cache.(corral.Far)
	return ok && f.Far()
}

// checked returns what a cache says of itself.
func checked(layer string, cache any) (err error) {
	defer bounded.Recover("the "+layer+" cache", &err)
	if c, ok := cache.(corral.Checker); ok {
		return c.Check()
	}
	return nil
}

// broken stands for the caches of a Cache that cannot work.
type broken[K comparable, V any] struct{ fault error }

func (b broken[K, V]) Get(context.Context, K) (*corral.Entry[V], error) { return nil, b.fault }
func (b broken[K, V]) Set(context.Context, K, *corral.Entry[V]) error   { return b.fault }
func (b broken[K, V]) Delete(context.Context, K) error                  { return b.fault }
