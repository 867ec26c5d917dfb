package fleet

import (
	"context"
	"time"
)

// untold is a change of a shard's health that Hooks.HealthChange has not been told of.
type untold struct {
	ctx context.Context // of the call that changed it
	HealthChange
}

// changeLocked changes the state. Who unlocks calls tellChanges.
func (v *vitals) changeLocked(ctx context.Context, to State, err error) (changed bool) {
	out := v.out()
	if v.state == to && v.said == out {
		return false
	}
	v.untold = append(v.untold, untold{ctx, HealthChange{Shard: v.shard, From: v.state, To: to, Out: out, Err: err}})
	if v.said = out; v.state != to {
		v.state, v.since = to, time.Now()
	}
	return true
}

// tellChanges tells what has changed, in the order in which it did, so that the last one is
// how the shard is. If somebody is telling, that one tells this too.
func (v *vitals) tellChanges() {
	w := v.ward
	w.mu.Lock()
	defer w.mu.Unlock()
	if v.telling {
		return
	}
	v.telling = true
	for len(v.untold) > 0 {
		next := v.untold[0]
		v.untold = v.untold[1:]
		w.mu.Unlock()
		w.tell(next.ctx, next.HealthChange)
		w.mu.Lock()
	}
	v.untold, v.telling = nil, false
}
