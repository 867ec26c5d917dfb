package fleet

import (
	"context"
	"sync/atomic"

	"github.com/corralcache/corral"
)

// A shard that comes back has perhaps lost what it held. How much of what is asked for
// it has says so, and until that is as it was the shard is warming. It is asked for all
// of its keys meanwhile: see docs/decisions/fleet-health.md.

// warmth is how much of what is asked for a far shard has.
type warmth struct {
	rate atomic.Int64 // of reads that hit, in parts of wholeRate, the latest counting most

	before int64 // guarded by ward.mu; what rate was when all was well
	until  int64 // guarded by ward.mu; as ward.now; warming no longer than that
}

const (
	wholeRate = 1 << 20
	rateReads = 64 // about how many reads count

	// leastRate is the hit rate below which there was nothing to lose.
	leastRate = wholeRate / 16
)

func (w *warmth) hitRate() float64 { return float64(w.rate.Load()) / wholeRate }

// found takes note of a read.
func (v *vitals) found(ctx context.Context, err error, hit bool) {
	if err != nil || v.flags.Load()&flagTimed == 0 {
		return
	}
	hits := 0
	if hit {
		hits = 1
	}
	v.learnHits(ctx, hits, 1)
}

// foundMany takes note of a read of many keys.
func foundMany[V any](ctx context.Context, v *vitals, err error, entries []*corral.Entry[V]) {
	if err != nil || len(entries) == 0 || v.flags.Load()&flagTimed == 0 {
		return
	}
	hits := 0
	for _, e := range entries {
		if e != nil {
			hits++
		}
	}
	v.learnHits(ctx, hits, len(entries))
}

// learnHits adds to the rate. Of two reads that end together one may not count.
func (v *vitals) learnHits(ctx context.Context, hits, of int) {
	rate := v.warm.rate.Load()
	rate += (wholeRate*int64(hits)/int64(of) - rate) * int64(min(of, rateReads)) / rateReads
	v.warm.rate.Store(rate)
	if v.flags.Load()&flagWarming != 0 {
		v.warmer(ctx, rate)
	}
}

// coolLocked begins to warm a shard that has come back.
func (v *vitals) coolLocked() {
	w, rate := &v.warm, v.warm.rate.Swap(0)
	if v.flags.Load()&flagWarming == 0 {
		w.before = rate
	}
	if w.before < leastRate {
		v.setFlag(flagWarming, false)
		return
	}
	w.until = v.ward.now() + int64(v.ward.opts.MaxPause)
	v.setFlag(flagWarming, true)
}

// warmer takes note of the rate of a shard that is warming. It is warm with half of what
// the rate was: the other half may take as long as anything is kept.
func (v *vitals) warmer(ctx context.Context, rate int64) {
	w := v.ward
	w.mu.Lock()
	if flags := v.flags.Load(); flags&flagWarming != 0 && (2*rate >= v.warm.before || w.now() >= v.warm.until) {
		v.setFlag(flagWarming, false)
		if v.state == StateWarming {
			v.changeLocked(ctx, v.wellLocked(), nil)
		}
	}
	w.mu.Unlock()
	v.tellChanges()
}

// replaced takes note that the shard is another incarnation.
func (v *vitals) replaced(ctx context.Context, err error) {
	w := v.ward
	w.mu.Lock()
	told := false
	if !v.out() && !v.held {
		v.coolLocked()
		if v.state == StateHealthy || v.state == StateUnknown {
			told = v.changeLocked(ctx, v.wellLocked(), err)
		}
	}
	if !told {
		v.untold = append(v.untold, untold{ctx, HealthChange{Shard: v.shard, From: v.state, To: v.state, Out: v.out(), Err: err}})
	}
	w.mu.Unlock()
	v.tellChanges()
}
