package flight

// A leader whose context cannot end waits for its flight in any case. So it does
// itself what comes before and after the load, on a stack that has grown already, and
// only the load has a goroutine of its own. What the leader waits on is part of the
// flight: a channel would be a third allocation of the hand-over.

// AdvanceApart is Advance into a phase in which others work on the flight. The
// leader, who calls it, attends to the flight then.
func (f *Flight[K, V]) AdvanceApart(from, to uint8, alarm int64) bool {
	f.shard.mu.Lock()
	ok := f.phase <= from && !f.woken
	if ok {
		f.phase, f.alarm, f.apart = to, alarm, true
		f.leader.Add(1)
	}
	f.shard.mu.Unlock()
	if ok {
		f.shard.table.arm(alarm)
	}
	return ok
}

// Attend waits until the flight is handed back to its leader, or was woken by
// somebody else, for which it returns false.
func (f *Flight[K, V]) Attend() bool {
	f.leader.Wait()
	return f.handed
}

// HandBack is Advance with which those who worked on the flight give it back to its
// leader. They must not use it after, if it returns true.
func (f *Flight[K, V]) HandBack(from, to uint8) bool {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	if f.phase > from || f.woken {
		return false
	}
	f.phase, f.alarm, f.handed = to, 0, true
	f.recallLocked()
	return true
}

func (f *Flight[K, V]) recallLocked() {
	if f.apart {
		f.apart = false
		f.leader.Done()
	}
}
