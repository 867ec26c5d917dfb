package scenario

import (
	"github.com/corralcache/corral/bench/internal/contender"
	"github.com/corralcache/corral/bench/internal/measure"
	"github.com/corralcache/corral/bench/internal/traffic"
)

// mostMisses are the calls of a round: what the caches hold at its end.
const mostMisses = 1 << 16

// misses are calls for keys that were never asked for: a look into the cache, a
// flight, a load that costs nothing, a store. Every round begins with an empty
// cache.
func misses() []*measure.Case {
	var keys []string
	return []*measure.Case{{
		Group: "miss", Name: "always new string keys", Rival: correct,
		Fresh: true, MaxCalls: mostMisses,
		Rows: rows(func(c contender.Contender) func(int) (*measure.Subject, error) {
			if c.Miss == nil {
				return nil
			}
			return func(cpus int) (*measure.Subject, error) {
				if keys == nil {
					keys = newKeys(4 * mostMisses)
				}
				return missSubject(c, keys)
			}
		}),
		Targets: []measure.Target{
			{Row: own, Rival: correct, At1: 1.1, At2: 1.1, Why: whyMiss, Floor: contender.HandBounded},
			{Row: own, Rival: "otter", At1: 1, At2: 1, Why: whyMiss, Floor: contender.FloorMiss},
			{Row: own, Rival: "sturdyc", At1: 1, At2: 1, Why: whyMiss, Floor: contender.FloorMiss},
		},
	}}
}

func newKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = traffic.Text(i)
	}
	return keys
}

func missSubject(c contender.Contender, keys []string) (*measure.Subject, error) {
	m, err := c.Miss(4 * mostMisses)
	if err != nil {
		return nil, err
	}
	next := 0
	turns := make(map[int][]string)
	return &measure.Subject{
		Prepare: func(worker, n int) {
			if next+n > len(keys) {
				next = 0
			}
			turns[worker] = keys[next : next+n]
			next += n
		},
		Call: func(worker, _ int) error {
			_, err := m.Miss(turns[worker])
			return err
		},
		Close: m.Close,
	}, nil
}
