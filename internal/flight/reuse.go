package flight

// Most flights are never joined: only their leader has a pointer to them, and
// when it is done nobody has. Such a flight's memory serves the next one of its
// shard. What it costs to start a flight is then the context that its load is
// given, a third of the bytes: for Group.Do with a background context that is a
// fifth of the time, most of it the garbage collector's.

// Finish lands a flight for a leader that ran the load itself, and returns the
// outcome: what the load returned, or what an alarm landed the flight with
// before. The leader must not use the flight after.
func (f *Flight[K, V]) Finish(v V, err error) (_ V, shared bool, _ error) {
	s := f.shard
	s.mu.Lock()
	if f.woken {
		v, err = f.Outcome()
		shared = f.shared
		s.mu.Unlock()
		return v, shared, err
	}
	if f.shared || f.seen {
		f.value, f.err, f.published = v, err, true
	} // else nobody will look
	notify := f.wakeLocked(false)
	shared = f.shared
	f.reuseLocked()
	s.mu.Unlock()
	notify.run()
	return v, shared, err
}

// Collect returns the outcome to a caller that waited for the flight and saw it
// landed. The caller must not use the flight after, and nobody else may who
// landed it.
func (f *Flight[K, V]) Collect(role Role) (v V, shared bool, err error) {
	v, err = f.Outcome()
	shared = f.shared
	if role == Leader && !shared {
		s := f.shard
		s.mu.Lock()
		f.reuseLocked()
		s.mu.Unlock()
	}
	return v, shared, err
}

// Spare gives up a flight that its leader has landed, and who else has a pointer to
// it was said by See. The leader must not use it after.
func (f *Flight[K, V]) Spare() {
	s := f.shard
	s.mu.Lock()
	f.reuseLocked()
	s.mu.Unlock()
}

// reuseLocked keeps the memory of a flight that only the caller knows.
func (f *Flight[K, V]) reuseLocked() {
	if f.shared || f.seen || f.shard.spare != nil {
		return
	}
	var none Flight[K, V]
	f.key, f.value = none.key, none.value
	f.ctx, f.done, f.err, f.notify = nil, nil, nil, nil // 4 ns less than *f = none
	f.state = none.state
	f.shard.spare = f
}
