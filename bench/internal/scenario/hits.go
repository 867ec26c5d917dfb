package scenario

import (
	"fmt"
	"sync"

	"github.com/corralcache/corral/bench/internal/contender"
	"github.com/corralcache/corral/bench/internal/measure"
	"github.com/corralcache/corral/bench/internal/traffic"
)

// hits are calls of what the cache holds.
func hits() []*measure.Case {
	hot := known(traffic.Hot)
	numbers := known(traffic.Zipf)
	texts := known(func() []string { return traffic.Texts(traffic.Zipf()) })
	trace := sync.OnceValues(traffic.Trace)
	return []*measure.Case{
		{
			Group: "hit", Name: "one hot key", Rival: raw,
			Rows: stringHits(hot, contender.Fresh),
			Targets: []measure.Target{
				{Row: own, Rival: raw, At1: 0.90, At2: 1.0, Why: whyHot},
				{Row: own, Rival: naive, At1: 1, At2: 1, Why: whyHand, Floor: raw},
				{Row: own, Rival: correct, At1: 1, At2: 1, Why: whyHand, Floor: raw},
				{Row: own, Rival: "sturdyc", At1: 0.5, At2: 0.5, Why: whyHand, Floor: raw},
				{Row: own},
				{Row: ownMethod, At1: 1, At2: 1},
				{Row: ownPlain, Rival: raw, At1: 3, At2: 3, Why: whyPlain, Floor: contender.FloorPlain},
				{Row: ownMemory, Rival: "otter", At1: 1, At2: 1, Why: whyMemory, Floor: contender.FloorMemory},
				{Row: ownOtter, Rival: "otter", At1: 1, At2: 1, Why: whyOtter, Floor: contender.FloorOtter},
				{Row: ownLayers, Rival: own, At1: 1.1, At2: 1.1},
			},
		},
		{
			Group: "hit", Name: "one hot key, last tenth of the TTL", Rival: raw,
			Rows: stringHits(hot, contender.LastTenth),
		},
		{
			Group: "hit", Name: "one hot key, within StaleFor, its refresh under way", Rival: raw,
			Rows: stringHits(hot, contender.Stale),
		},
		{
			Group: "hit", Name: "Zipf over 100,000 string keys", Rival: raw,
			Rows:    stringHits(texts, contender.Fresh),
			Targets: zipfTargets,
		},
		{
			Group: "hit", Name: "Zipf over 100,000 int keys", Rival: raw,
			Rows:    intHits(numbers),
			Targets: zipfTargets,
		},
		{
			Group: "hit", Name: "Ristretto's trace gli, as int keys", Rival: raw,
			Rows: intHits(trace),
		},
	}
}

// keysFunc makes keys when they are needed first.
type keysFunc[K contender.Key] = func() ([]K, error)

func known[K contender.Key](make func() []K) keysFunc[K] {
	return sync.OnceValues(func() ([]K, error) { return make(), nil })
}

var zipfTargets = []measure.Target{
	{Row: own, Rival: raw, At1: 1.15, At2: 1.15},
	{Row: own, Rival: naive, At1: 1, At2: 1, Why: whyHand, Floor: raw}, // these three have string keys only
	{Row: own, Rival: correct, At1: 1, At2: 1, Why: whyHand, Floor: raw},
	{Row: own, Rival: "sturdyc", At1: 0.5, At2: 0.5, Why: whyHand, Floor: raw},
	{Row: ownStruct, Rival: raw, At1: 1, At2: 1, Why: whyStruct, Floor: contender.FloorStruct},
	{Row: ownMemory, Rival: "otter", At1: 1, At2: 1, Why: whyMemory, Floor: contender.FloorMemory},
	{Row: ownOtter, Rival: "otter", At1: 1, At2: 1, Why: whyOtter, Floor: contender.FloorOtter},
}

func stringHits(keys keysFunc[string], window contender.Window) []measure.Row {
	return rows(func(c contender.Contender) func(int) (*measure.Subject, error) {
		if window != contender.Fresh && !c.Windows && c.Name != raw {
			return nil
		}
		return hitRow(c.HitString, keys, window)
	})
}

func intHits(keys keysFunc[int]) []measure.Row {
	return rows(func(c contender.Contender) func(int) (*measure.Subject, error) {
		return hitRow(c.HitInt, keys, contender.Fresh)
	})
}

func hitRow[K contender.Key](open func(contender.HitOptions) (contender.Hits[K], error), make keysFunc[K], window contender.Window) func(int) (*measure.Subject, error) {
	if open == nil {
		return nil
	}
	return func(int) (*measure.Subject, error) {
		keys, err := make()
		if err != nil {
			return nil, err
		}
		different := traffic.Different(keys)
		c, err := open(contender.HitOptions{Capacity: max(1024, len(different)), Window: window})
		if err != nil {
			return nil, err
		}
		if err := c.Fill(different); err != nil {
			c.Close()
			return nil, fmt.Errorf("fill: %w", err)
		}
		return &measure.Subject{Call: hitCalls(c, keys), Check: exactHits(c), Close: c.Close}, nil
	}
}

// hitCalls lets each worker begin elsewhere, and go on where it was.
func hitCalls[K contender.Key](c contender.Hits[K], keys []K) func(worker, n int) error {
	var at [64]struct {
		from int
		_    [120]byte // so that workers do not share a cache line
	}
	for i := range at {
		at[i].from = i * len(keys) / 7
	}
	return func(worker, n int) error {
		from := at[worker].from
		at[worker].from += n
		_, err := c.Hit(keys, from, n)
		return err
	}
}

// exactHits checks that what counts its hits has counted each of them.
func exactHits(c any) func(calls int) error {
	counting, ok := c.(interface{ Hits() uint64 })
	if !ok {
		return nil
	}
	before := counting.Hits()
	return func(calls int) error {
		if got := counting.Hits() - before; got != uint64(calls) {
			return fmt.Errorf("%d hits counted of %d", got, calls)
		}
		return nil
	}
}
