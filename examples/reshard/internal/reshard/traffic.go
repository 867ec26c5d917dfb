package reshard

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	lanes = 64

	// deletePart is how many calls there are to a Delete.
	deletePart = 50
)

func allKeys(n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("user:%04d", i))
	}
	return keys
}

// traffic is calls and Deletes of random keys, of which a few are most. Both arms get
// the same ones in the same order: those of a key go one after the other, and those of
// others at the same time, so that how often a key is missing depends on no chance.
type traffic struct {
	arms  [2]*arm
	keys  []string
	rate  int
	step  atomic.Int64
	lanes [2][lanes]chan event
	work  sync.WaitGroup
	over  chan struct{}
	sent  sync.WaitGroup

	mu    sync.Mutex
	tally map[int]*tally // by step; guarded by mu
}

// event is a call, or a Delete.
type event struct {
	key     string
	step    int
	deletes bool
}

// tally is what callers have counted.
type tally struct {
	calls   int64 // of the fleet
	served  int64 // deleted values, of both
	errors  int64 // of both
	unheard int64 // Deletes that failed, of both
}

func newTraffic(arms [2]*arm, keys []string, rate int) *traffic {
	return &traffic{arms: arms, keys: keys, rate: rate, over: make(chan struct{}), tally: map[int]*tally{}}
}

// begin starts the calls.
func (t *traffic) begin(ctx context.Context, seed uint64) {
	for i, a := range t.arms {
		for j := range lanes {
			t.lanes[i][j] = make(chan event, 16)
			t.work.Go(func() { t.run(ctx, a, t.lanes[i][j]) })
		}
	}
	t.sent.Go(func() { t.send(rand.New(rand.NewPCG(seed, 0))) })
}

// send hands out calls, so many in a second. On a machine that is too slow for that
// there are fewer.
func (t *traffic) send(random *rand.Rand) {
	const beat = 2 * time.Millisecond
	ticks := time.NewTicker(beat)
	defer ticks.Stop()
	zipf := rand.NewZipf(random, 1.1, 20, uint64(len(t.keys)-1))
	seed, owed := maphash.MakeSeed(), 0.0
	for {
		select {
		case <-t.over:
			return
		case <-ticks.C:
		}
		for owed += float64(t.rate) * beat.Seconds(); owed >= 1; owed-- {
			e := event{key: t.keys[zipf.Uint64()], step: int(t.step.Load()), deletes: random.IntN(deletePart+1) == 0}
			lane := maphash.String(seed, e.key) % lanes
			t.lanes[0][lane] <- e
			t.lanes[1][lane] <- e
		}
	}
}

// run makes the calls of a lane.
func (t *traffic) run(ctx context.Context, a *arm, events <-chan event) {
	oldest := map[string]int{} // what no answer may be older than
	for e := range events {
		if e.deletes {
			version := a.source.change(e.key)
			err := a.delete(ctx, e.key)
			if err == nil {
				oldest[e.key] = version
			}
			t.count(e.step, func(n *tally) { n.unheard += one(err != nil) })
			continue
		}
		row, err := a.get(ctx, e)
		t.count(e.step, func(n *tally) {
			n.calls += one(!a.control)
			n.errors += one(err != nil)
			n.served += one(err == nil && row.Version < oldest[e.key])
		})
	}
}

func one(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

func (t *traffic) count(step int, add func(*tally)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tally[step] == nil {
		t.tally[step] = new(tally)
	}
	add(t.tally[step])
}

// of returns what was counted in a step.
func (t *traffic) of(step int) tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.tally[step]; n != nil {
		return *n
	}
	return tally{}
}

// end stops the calls, and returns when the last one has.
func (t *traffic) end() {
	close(t.over)
	t.sent.Wait()
	for i := range t.lanes {
		for _, lane := range t.lanes[i] {
			close(lane)
		}
	}
	t.work.Wait()
}
