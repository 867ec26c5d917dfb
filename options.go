package corral

import (
	"math"
	"time"

	"github.com/corralcache/corral/internal/flight"
)

// Options says how a [Loader] works. TTL is required; the zero value of every
// other field switches its feature off, or stands for the default that is named
// with it. Durations are exact; sums that would overflow stay at the greatest.
type Options struct {
	// TTL is how long a value is fresh: served, and nothing starts. Required.
	TTL time.Duration

	// StaleFor is how long after its TTL a value is still served at once, while
	// one refresh runs in the background. Zero: it is not.
	StaleFor time.Duration

	// StaleIfError is how long after its TTL a value is served if the load that
	// callers wait for fails, or is not done at their deadline. Zero: it is not.
	StaleIfError time.Duration

	// AbsentTTL is how long it is remembered that the source has no value, which
	// a load says with [ErrNotFound]. Zero: it is not.
	AbsentTTL time.Duration

	// EarlyExpiry is the β of probabilistic early expiry: before a value's TTL
	// ends, a call may start its refresh in the background, the likelier the
	// nearer the end and the longer its load took. 1 is the usual choice, more
	// refreshes earlier. Zero is off.
	EarlyExpiry float64

	// Jitter is the share of its TTL, from 0 to 1, by which a value may be fresh
	// for a shorter time, so that values stored together do not expire together.
	Jitter float64

	// LoadTimeout is how long a load may run before its callers get
	// [ErrLoadTimeout] and its context ends. Zero is 30 s.
	LoadTimeout time.Duration

	// SoftTimeout is how long callers wait for a load while a value within
	// StaleIfError exists, which they get then; the load goes on. It needs
	// StaleIfError. Zero: they wait until it fails or their deadline comes.
	SoftTimeout time.Duration

	// RetryMin and RetryMax bound the pause after a failed load of a key for
	// which a stale value exists: RetryMin after the first, doubling, with jitter,
	// never above RetryMax. Zero is 100 ms and 10 s, or as far from that as the
	// other one demands.
	RetryMin, RetryMax time.Duration

	// CacheTimeout bounds one call of the cache made inside a flight or by Set
	// and Delete. Zero is 500 ms.
	CacheTimeout time.Duration

	// MaxLoads is how many loads may run at once, a bulk load being one, whatever
	// the number of its keys, as it is for MaxRefreshes; further ones queue, and their
	// callers wait on their own contexts. A load made inside a load uses that
	// one's place, and so do all parts of MaxBatch of a bulk load made there. Zero is
	// no limit.
	MaxLoads int

	// MaxRefreshes is how many background refreshes may run at once; further ones
	// are dropped, to be tried by a later call. The parts of MaxBatch that refresh
	// together keep their places until the last of them has ended; with leases, those
	// of their keys that another process was loading are one load more. Zero is 64.
	MaxRefreshes int

	// MaxBatch is how many keys a bulk load gets at the most; a call of
	// [Loader.GetOrLoadMany] that misses more makes several, 16 of them at once and
	// those that another load waits for. Zero is no limit.
	MaxBatch int

	// Shards is the number of locks that the flights are spread over, rounded up
	// to a power of two, at most 65536. Zero chooses from GOMAXPROCS.
	Shards int

	// CancelAbandoned cancels the context of a load once every caller has left
	// it; without it the load runs to its end and is stored. Background refreshes
	// and [Loader.Refresh] are never abandoned.
	CancelAbandoned bool

	// FailClosed makes a call return the error of a cache that cannot be read,
	// instead of going to the source.
	FailClosed bool

	// Hooks tell of what happens.
	Hooks Hooks
}

const (
	defaultLoadTimeout  = 30 * time.Second
	defaultRetryMin     = 100 * time.Millisecond
	defaultRetryMax     = 10 * time.Second
	defaultCacheTimeout = 500 * time.Millisecond
	defaultMaxRefreshes = 64
)

// withDefaults returns the options with every default filled in.
func (o Options) withDefaults() Options {
	o.LoadTimeout = orDefault(o.LoadTimeout, defaultLoadTimeout)
	o.CacheTimeout = orDefault(o.CacheTimeout, defaultCacheTimeout)
	o.MaxRefreshes = orDefault(o.MaxRefreshes, defaultMaxRefreshes)
	switch {
	case o.RetryMin == 0 && o.RetryMax == 0:
		o.RetryMin, o.RetryMax = defaultRetryMin, defaultRetryMax
	case o.RetryMin == 0:
		o.RetryMin = min(defaultRetryMin, o.RetryMax)
	case o.RetryMax == 0:
		o.RetryMax = max(defaultRetryMax, o.RetryMin)
	}
	return o
}

func orDefault[T comparable](value, def T) T {
	var zero T
	if value == zero {
		return def
	}
	return value
}

// check returns an [*OptionError] for the first field that cannot work.
func (o *Options) check() error {
	if o.TTL <= 0 {
		return &OptionError{"Options.TTL", o.TTL, "it must be above zero"}
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"StaleFor", o.StaleFor}, {"StaleIfError", o.StaleIfError}, {"AbsentTTL", o.AbsentTTL},
		{"LoadTimeout", o.LoadTimeout}, {"SoftTimeout", o.SoftTimeout}, {"RetryMin", o.RetryMin},
		{"RetryMax", o.RetryMax}, {"CacheTimeout", o.CacheTimeout},
	} {
		if d.value < 0 {
			return &OptionError{"Options." + d.field, d.value, "it may not be negative"}
		}
	}
	for _, n := range []struct {
		field      string
		value, max int
	}{
		{"MaxLoads", o.MaxLoads, math.MaxInt}, {"MaxRefreshes", o.MaxRefreshes, math.MaxInt},
		{"MaxBatch", o.MaxBatch, math.MaxInt},
		{"Shards", o.Shards, flight.MaxShards},
	} {
		if n.value < 0 {
			return &OptionError{"Options." + n.field, n.value, "it may not be negative"}
		}
		if n.value > n.max {
			return &OptionError{"Options." + n.field, n.value, "it may be 65536 at the most"}
		}
	}
	return o.checkTogether()
}

// checkTogether checks the shares, and the fields that bound each other.
func (o *Options) checkTogether() error {
	switch {
	case !(o.EarlyExpiry >= 0) || math.IsInf(o.EarlyExpiry, 1):
		return &OptionError{"Options.EarlyExpiry", o.EarlyExpiry, "it must be a finite number, zero or above"}
	case !(o.Jitter >= 0 && o.Jitter <= 1):
		return &OptionError{"Options.Jitter", o.Jitter, "it must be from 0 to 1"}
	case o.RetryMax != 0 && o.RetryMin > o.RetryMax:
		return &OptionError{"Options.RetryMin", o.RetryMin, "it may not be above RetryMax, " + o.RetryMax.String()}
	case o.SoftTimeout > 0 && o.StaleIfError == 0:
		return &OptionError{"Options.SoftTimeout", o.SoftTimeout, "it needs StaleIfError: there is no stale value to serve"}
	}
	return nil
}
