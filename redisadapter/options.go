package redisadapter

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/bytestore"
	"github.com/corralcache/corral/internal/stored"
)

// Codec turns values into bytes and back; see [bytestore.Codec] for its rules
// and package bytestore for codecs.
type Codec[V any] = bytestore.Codec[V]

// Options of a [Cache] or a [PlainCache]. The zero value works for keys whose
// kind is string or integer.
type Options[K comparable, V any] struct {
	// Prefix sets the keys of this cache apart from all others on the server. Two
	// caches need two prefixes, also where their value types differ. For [New] it
	// may hold no brace. For [Plain] it is what the keys begin with, separator
	// included, and prefixes that do not end in one can meet.
	Prefix string

	// Key turns a key into text, two different keys into two different texts. It
	// is called concurrently. It may be nil where K's kind is string or integer.
	// A text of more than 1 MiB is refused ([corral.ErrRefused]): its value is
	// served, not stored.
	Key func(K) string

	// Codec turns values into bytes; nil is [bytestore.DefaultCodec]: strings and
	// bytes as they are, all else as JSON.
	Codec Codec[V]

	// MaxValueBytes is how large a stored value may be, envelope included. Larger
	// ones are refused: served, not stored. Zero is 32 MiB, and 512 MiB is the
	// most, as it is the server's own bound unless that was changed.
	MaxValueBytes int

	// Lease is how long a lease lasts that is not renewed, so how long the others
	// wait for a process that died. Zero is 2 s; it may be from 10 ms to an hour.
	Lease time.Duration

	// NoLease turns leases off, for servers and users that may run no script: each
	// process loads for itself, and what it loads late may replace what another
	// process has set since. Set and Delete are then two commands, the second one
	// the announcement to other processes' near caches.
	NoLease bool

	// NoPipeline has each GET of a *redis.Client go by itself, also while others are
	// under way. By default those that come then go together ([Cache.Get]), and each
	// waits for the whole of its pipeline's answers. Values of more than 32 KiB on
	// average go alone in any case; where few are large among many small ones, the
	// small ones may be better off without. A [PlainCache] has no such pipelines.
	NoPipeline bool

	// ParseKey is Key backwards, for announcements and scans, which carry text. Only
	// near caches ([Cache.Listen]) and [Cache.ScanPage] need it, and it may be nil
	// where Key is. To a scan its error says that a text is of no key.
	ParseKey func(string) (K, error)
}

const (
	maxValueBytes = 512 << 20

	// A lease shorter than what a scheduler takes now and then is lost while its
	// holder is well; one longer than an hour is no better than none to those who
	// wait for a process that died.
	shortestLease = 10 * time.Millisecond
	longestLease  = time.Hour
)

func (o Options[K, V]) bound() int {
	if o.MaxValueBytes == 0 {
		return bytestore.DefaultMaxValueBytes
	}
	return o.MaxValueBytes
}

func (o Options[K, V]) codec() Codec[V] {
	if stored.IsNil(o.Codec) {
		return bytestore.DefaultCodec[V]()
	}
	return o.Codec
}

// leases is what the options say of them.
func (o Options[K, V]) leases() leases {
	return leases{off: o.NoLease, life: px(cmp.Or(o.Lease, 2*time.Second))}
}

func (o Options[K, V]) check() error {
	if life := o.Lease; life != 0 && (life < shortestLease || life > longestLease) {
		return &corral.OptionError{
			Field: "redisadapter.Options.Lease",
			Value: life,
			Bound: fmt.Sprintf("must be 0 (2s), or from %v to %v", shortestLease, longestLease),
		}
	}
	if n := o.MaxValueBytes; n < 0 || n > maxValueBytes {
		return &corral.OptionError{
			Field: "redisadapter.Options.MaxValueBytes",
			Value: n,
			Bound: fmt.Sprintf("must be from 0 (%d) to %d", bytestore.DefaultMaxValueBytes, maxValueBytes),
		}
	}
	return stored.CheckText(stored.Text(o.Key), "redisadapter.Options.Key")
}

// checkBraces keeps the prefix apart from the key: the first brace ends it.
func (o Options[K, V]) checkBraces() error {
	if !strings.ContainsAny(o.Prefix, "{}") {
		return nil
	}
	return &corral.OptionError{
		Field: "redisadapter.Options.Prefix",
		Value: fmt.Sprintf("%q", o.Prefix),
		Bound: "must hold no brace: those around the key choose its hash slot",
	}
}

// braced returns how keys are written under prefix. A server of a Cluster hashes
// what stands between the first { and the first } after it, unless that is
// nothing: then the whole key, and no other key would be sure to share its
// slot. The escape keeps it from being nothing, and no two keys share one:
// what begins with \ has one \ more than its key.
func braced(prefix string) func(string) string {
	if prefix != "" {
		prefix += ":"
	}
	return func(key string) string {
		if key == "" || key[0] == '}' || key[0] == '\\' {
			key = `\` + key
		}
		return prefix + "{" + key + "}"
	}
}
