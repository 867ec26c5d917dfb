package corral_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/corralcache/corral"
)

// ledger knows when everything began and ended, as one clock counts, and says
// which answers W1 and W2 forbid. Every value is the number of the load or Set
// that made it, so an answer tells where it came from.
//
// A call that began after a Delete or Set had returned nil may not return the
// value of a load that began before that write did, nor of a Set that had
// returned before it began. Writes that overlap, or that failed, promise each
// other nothing.
type ledger struct {
	mu     sync.Mutex
	clock  int64            // guarded by mu, as all below
	born   map[int]int64    // of a value: when its load began, or its Set returned
	floor  map[string]int64 // of a key: the latest beginning of a write that has returned
	absent map[string]int64 // of a key: the latest beginning of a load that found nothing
	faults []string
}

func newLedger() *ledger {
	return &ledger{born: map[int]int64{}, floor: map[string]int64{}, absent: map[string]int64{}}
}

// load notes that a load of key begins and returns its value.
func (g *ledger) load(key string, absent bool) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clock++
	g.born[int(g.clock)] = g.clock
	if absent {
		g.absent[key] = g.clock
	}
	return int(g.clock)
}

// write notes that a write begins. The value of a Set that has not returned is
// older than nothing.
func (g *ledger) write() (began int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clock++
	g.born[int(g.clock)] = math.MaxInt64
	return g.clock
}

// wrote notes that the write that began then returned nil.
func (g *ledger) wrote(key string, began int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clock++
	g.born[int(began)] = g.clock
	g.floor[key] = max(g.floor[key], began)
}

// read notes that a read begins and returns what nothing that it returns may be
// older than.
func (g *ledger) read(key string) (floor int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.floor[key]
}

// answered checks what a read returned.
func (g *ledger) answered(key string, floor int64, call string, value int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err == nil && value == 0:
		g.faults = append(g.faults, call+" returned a zero value and no error")
	case err == nil && g.born[value] < floor:
		g.faults = append(g.faults, fmt.Sprintf("%s(%s) returned a value from %d after a write that began at %d had returned",
			call, key, g.born[value], floor))
	case errors.Is(err, corral.ErrNotFound) && g.absent[key] < floor:
		g.faults = append(g.faults, fmt.Sprintf("%s(%s) found nothing, as a load from %d had, after a write that began at %d had returned",
			call, key, g.absent[key], floor))
	}
}

// step is one call of a schedule, and how its load goes if it comes to one.
type step struct {
	at       time.Duration
	op       string
	key      string
	patience time.Duration // of the caller; 0 is endless
	takes    time.Duration
	comesTo  error
}

var errTooBad = errors.New("too bad")

// bulk loads every key that it is asked for, and fails for all in the step's way.
func (g *ledger) bulk(s step, wait func(time.Duration)) corral.BulkLoadFunc[string, int] {
	return func(_ context.Context, keys []string) (map[string]int, error) {
		values := map[string]int{}
		for _, key := range keys {
			if v := g.load(key, s.comesTo == corral.ErrNotFound); s.comesTo == nil {
				values[key] = v
			}
		}
		unasked := "c"
		if s.comesTo == nil && len(keys) == 1 {
			values[unasked] = g.load(unasked, false)
		}
		wait(s.takes)
		return values, s.comesTo
	}
}

// many makes a call for s.key and the keys beside it.
func (g *ledger) many(ctx context.Context, l *corral.Loader[string, int], s step, wait func(time.Duration)) {
	keys := []string{"b", s.key, "c"}
	floors := map[string]int64{}
	for _, key := range keys {
		floors[key] = g.read(key)
	}
	values, err := l.GetOrLoadMany(ctx, keys, g.bulk(s, wait))
	var failed *corral.KeyErrors[string]
	errors.As(err, &failed)
	for key, floor := range floors {
		v, ok := values[key]
		switch {
		case ok:
			g.answered(key, floor, s.op, v, nil)
		case failed != nil && failed.Errors[key] != nil:
			g.answered(key, floor, s.op, 0, failed.Errors[key])
		default:
			g.answered(key, floor, s.op, 0, corral.ErrNotFound)
		}
	}
}

func (g *ledger) loader(s step, wait func(time.Duration)) corral.LoadFunc[string, int] {
	return func(_ context.Context, key string) (int, error) {
		v := g.load(key, s.comesTo == corral.ErrNotFound)
		wait(s.takes)
		return v, s.comesTo
	}
}

// run makes the call of a step.
func (g *ledger) run(ctx context.Context, l *corral.Loader[string, int], s step, wait func(time.Duration)) {
	if s.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.patience)
		defer cancel()
	}
	switch s.op {
	case "GetOrLoad":
		floor := g.read(s.key)
		v, err := l.GetOrLoad(ctx, s.key, g.loader(s, wait))
		g.answered(s.key, floor, s.op, v, err)
	case "GetOrLoadMany":
		g.many(ctx, l, s, wait)
	case "DeleteMany":
		began := g.write()
		keys := []string{"a", s.key, "b", "c"}
		err := l.Delete(ctx, keys...)
		var failed *corral.KeyErrors[string]
		errors.As(err, &failed)
		for _, key := range keys {
			if err == nil || failed != nil && failed.Errors[key] == nil {
				g.wrote(key, began)
			}
		}
	case "Refresh":
		floor := g.read(s.key)
		v, err := l.Refresh(ctx, s.key, g.loader(s, wait))
		g.answered(s.key, floor, s.op, v, err)
	case "Set":
		began := g.write()
		if l.Set(ctx, s.key, int(began)) == nil {
			g.wrote(s.key, began)
		}
	case "Delete":
		began := g.write()
		if l.Delete(ctx, s.key) == nil {
			g.wrote(s.key, began)
		}
	}
}
