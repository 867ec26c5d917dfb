package ristrettoadapter

import (
	"errors"
	"fmt"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
	"github.com/dgraph-io/ristretto/v2"
)

// Key is what the keys of a Ristretto cache may be, if they can be compared.
type Key interface {
	comparable
	ristretto.Key
}

// Options are the settings of [New] and [Plain]. The zero value is ready to use.
type Options[V any] struct {
	// Cost returns what a value costs, in the unit of ristretto.Config.MaxCost.
	// Nil makes every value cost 1. A cost of 0 lets ristretto.Config.Cost decide
	// if there is one; a negative one is an error. An absent entry costs 1.
	//
	// Ristretto adds 56 to every cost unless Config.IgnoreInternalCost is set.
	Cost func(V) int64

	// Enumerable keeps the keys that are set, so that [Cache.ScanPage] can visit
	// them: for a fleet that is to be scanned, or to move its entries. It costs a Set
	// about 100 ns, and each key some 50 bytes and its own. It is for [New]: what a
	// cache of bare values holds, others write too.
	Enumerable bool
}

// Stats counts what an adapter had to do beyond passing calls on.
type Stats struct {
	Refused   uint64 // writes that Ristretto's policy, size limit or ShouldUpdate turned away
	Contended uint64 // writes that Ristretto dropped and that were made again
	Swept     uint64 // dead entries deleted, which [New] does for its entries
}

// ErrStoreClosed is what a write gets, wrapped, that a closed Ristretto cache
// turned down. Reads of a closed cache are misses, and deletes have nothing to
// do.
var ErrStoreClosed = errors.New("ristretto cache is closed")

var (
	errNoCache = errors.New("ristrettoadapter: the *ristretto.Cache is nil")
	errDropped = fmt.Errorf("ristrettoadapter: %w, or too busy: it dropped the write %d times in a row",
		ErrStoreClosed, maxTries)
	errRefused = fmt.Errorf("ristrettoadapter: %w", corral.ErrRefused)
)

// cost returns what value costs, at least 0.
func (o Options[V]) cost(value V) (cost int64, err error) {
	if o.Cost == nil {
		return 1, nil
	}
	defer guard(&err)
	if cost = o.Cost(value); cost < 0 {
		return 0, fmt.Errorf("ristrettoadapter: Options.Cost returned %d: must be 0 or more", cost)
	}
	return cost, nil
}

// guard turns a panic of Ristretto, or of a function that its user gave it, into
// an error whose text does not quote what may be a key or a value.
func guard(err *error) {
	p := recover()
	if p == nil {
		return
	}
	// A write that meets Close sends on a channel that Close has closed.
	if e, ok := p.(error); ok && e.Error() == "send on closed channel" {
		*err = fmt.Errorf("ristrettoadapter: %w", ErrStoreClosed)
		return
	}
	*err = fmt.Errorf("ristrettoadapter: %w", bounded.Panicked("ristretto", p))
}
