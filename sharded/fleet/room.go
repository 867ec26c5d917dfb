package fleet

import "slices"

// roomLocked reports whether the shard may be out as well: never more than half of those
// that keys are on.
func (v *vitals) roomLocked() bool {
	all := v.ward.all()
	return 2*(outOf(all)+1) <= len(all) || !slices.Contains(all, v)
}

func outOf(all []*vitals) (n int) {
	for _, v := range all {
		if v.out() {
			n++
		}
	}
	return n
}

// reckon has shards asked again that are out, those with the shortest pause first, when
// others have left and more than half would be.
func (w *ward) reckon() {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.all()
	for out := outOf(all); 2*out > len(all); out-- {
		var next *vitals
		for _, v := range all {
			if v.out() && !v.held && (next == nil || v.pause < next.pause) {
				next = v
			}
		}
		if next == nil { // the others are held by an operator
			return
		}
		next.setFlag(flagOut, false)
		if next.changeLocked(w.life, StateUnhealthy, next.err) && !w.over {
			w.probes.Go(next.tellChanges)
		}
	}
}

// pausedMost reports whether the pause between probes is as long as it gets.
func (v *vitals) pausedMost() bool {
	v.ward.mu.Lock()
	defer v.ward.mu.Unlock()
	return v.pause >= v.ward.opts.MaxPause
}
