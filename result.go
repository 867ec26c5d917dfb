package corral

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Source says where a [Result] came from.
type Source uint8

const (
	SourceHit    Source = iota // the cache, fresh
	SourceStale                // the cache, past its TTL
	SourceLoaded               // a load that this call started
	SourceShared               // a load that another call started
)

// String returns the name of the source.
func (s Source) String() string {
	names := [...]string{"hit", "stale", "loaded", "shared"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown"
}

// Result is a value and where it came from.
type Result[V any] struct {
	Value  V
	Source Source
	Age    time.Duration // since the load that produced Value returned; -1 if unknown
	TTL    time.Duration // how long it stays fresh; for a stale value zero or less
	Stored bool          // the cache holds it: false if it could or should not be stored

	waited bool // for a load
	stale  bool // a stale value stood when the load started
}

// CacheStatus returns the result in the words of the HTTP header field
// Cache-Status (RFC 9211), such as
//
//	corral; hit; ttl=30
//	corral; fwd=uri-miss; stored; ttl=60
//	corral; fwd=stale; collapsed; stored; ttl=60
//
// with the TTL in whole seconds, rounded down: below zero for a stale value. A
// call that got no value has none.
func (r Result[V]) CacheStatus() string {
	words := []string{"corral"}
	switch {
	case !r.waited:
		words = append(words, "hit")
	case r.stale:
		words = append(words, "fwd=stale")
	default:
		words = append(words, "fwd=uri-miss")
	}
	if r.Source == SourceShared {
		words = append(words, "collapsed")
	}
	if r.waited && r.Stored && r.Source != SourceStale {
		words = append(words, "stored")
	}
	if got := !r.waited || r.Stored || r.TTL != 0; got {
		words = append(words, "ttl="+strconv.FormatFloat(math.Floor(r.TTL.Seconds()), 'f', 0, 64))
	}
	if r.waited && r.Source == SourceStale {
		words = append(words, "detail=stale-if-error")
	}
	return strings.Join(words, "; ")
}
