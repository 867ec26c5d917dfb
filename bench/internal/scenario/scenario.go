// Package scenario says what is asked of the contenders.
package scenario

import (
	"regexp"
	"slices"

	"github.com/corralcache/corral/bench/internal/contender"
	"github.com/corralcache/corral/bench/internal/measure"
	"github.com/corralcache/corral/bench/internal/redisd"
)

// Names of rows that targets speak of.
const (
	own       = "corral, ristretto"
	ownPlain  = "corral, ristretto Plain"
	ownStruct = "corral, V a struct"
	ownMethod = "corral, method value"
	ownMemory = "corral, memadapter"
	ownOtter  = "corral, otter"
	ownLayers = "corral, layered"
	ownGroup  = "corral, Group.Do"
	ownRedis  = "corral, redis"
	raw       = "ristretto, TTL"
	naive     = "by hand, naive"
	correct   = "by hand, made correct"
	xsync     = "x/sync Do"
	xsyncChan = "x/sync DoChan, select"
	rawRedis  = "go-redis GET"
	redisHand = "go-redis by hand: GET, x/sync, SET"
	rueidis   = "rueidis GET"
	pipelined = "go-redis AutoPipeline GET"
)

// Cases returns the timed cases whose group and name match.
func Cases(match *regexp.Regexp, server func() (*redisd.Server, error)) []*measure.Case {
	all := slices.Concat(hits(), misses(), flights(), waiters(), far(server))
	return slices.DeleteFunc(all, func(c *measure.Case) bool { return !match.MatchString(c.Group + ": " + c.Name) })
}

// rows makes a row of every contender for which open is not nil.
func rows(open func(contender.Contender) func(cpus int) (*measure.Subject, error)) []measure.Row {
	var out []measure.Row
	for _, c := range contender.All() {
		if f := open(c); f != nil {
			out = append(out, measure.Row{Name: c.Name, Open: f})
		}
	}
	return out
}

// Why a target may be out of reach.
const (
	whyHot = "A hit is Ristretto's own look-up, a reading of the monotonic clock and a count. Ristretto's Get of an entry with TTL " +
		"is the same look-up and a reading of both clocks: the difference, some 15 ns, is all that there is for the Loader."
	whyHand = "Among many keys the time of a hit is that of the misses of the processor's caches, which are Ristretto's for all " +
		"of them; the hand-written wrapper is Ristretto's Get and nothing else as long as it hits."
	whyPlain = "A bare value's freshness is in Ristretto's TTL, which GetTTL tells: the key is hashed twice and the clock read " +
		"four times before Corral has done anything. The adapter then makes sure that value and life are of one write."
	whyStruct = "The call returns 64 bytes by value, from two lines of the processor's cache, where the other side follows a " +
		"pointer and touches one byte of one line. With V a pointer the target is reached."
	whyOtter = "otter's loading Get is its look-up and a reading of the clock. Corral's hit is the same, through an interface " +
		"that may panic, and an atomic addition, so that Stats are exact."
	whyMemory = "At the line: both look-ups are a line of the bucket and a line of the item; from run to run the ratio is .9 to 1.2."
	whyDo     = "At the line: both are one allocation and two locks; at 1 CPU the ratio is .65 to 1.4 from round to round."
	whyMiss   = "The load has a goroutine of its own, so that a caller can leave, LoadTimeout, Close and Goexit hold, and the value is stored " +
		"if everybody left; it has a context with a deadline; and what was stored is looked for twice. By hand, with callers " +
		"that cannot leave, the load is on the caller's goroutine, as it is with otter and sturdyc, and a load that hangs keeps " +
		"all of them for ever. The row with LoadTimeout is the same wrapper with only that mended. On this machine by hand " +
		"takes one of two speeds, since it hands over to Ristretto's goroutine at each miss."
	whyLone = "Beside the GET a call has a flight (1 µs), an envelope to check (0.4 µs) and the clock: some 2 µs of a round " +
		"trip of 25 to 65 µs."
	whyLarge = "The bytes have to be copied by the server, the kernel and the client: of 10 KB more than half of the time, whoever " +
		"pipelines. Corral adds the checksum of the value."
)
