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
