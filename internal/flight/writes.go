package flight

import "context"

// A write of a key to the cache is under way while the shard's writes hold the
// key. Writes of one key are in order: a fill by a flight gives way to any other,
// a write by the user waits for its turn. The channel is made by the first who
// waits and closed when the write ends.
//
// The fill of a flight that is mapped is not among them: the flight itself says
// that it is being written, and whoever would look for its write detaches it
// before. That saves what the map costs for all flights but those.

// Store publishes the outcome of a flight and registers its fill as the write
// under way. It reports false for store if the flight must not write: it was
// detached, or somebody writes the key, who detaches it at the end. ok is false
// if the flight is not in phase from or was woken, and nothing is published.
func (f *Flight[K, V]) Store(v V, err error, from, to uint8, alarm int64) (store, ok bool) {
	f.shard.mu.Lock()
	store, ok = f.storeLocked(v, err, from, to, alarm)
	f.shard.mu.Unlock()
	if store {
		f.shard.table.arm(alarm)
	}
	return store, ok
}

func (f *Flight[K, V]) storeLocked(v V, err error, from, to uint8, alarm int64) (store, ok bool) {
	if f.woken || f.phase != from {
		return false, false
	}
	f.value, f.err, f.published = v, err, true
	_, busy := f.shard.writes.m[f.key]
	if !f.mapped || f.cancelled || busy {
		return false, true
	}
	f.phase, f.alarm, f.filling = to, alarm, true
	return true, true
}

// Stored ends the fill that Store registered.
func (f *Flight[K, V]) Stored() {
	f.shard.mu.Lock()
	f.filling = false
	if !f.mapped {
		f.shard.endLocked(f.key)
	}
	f.shard.mu.Unlock()
}

// BeginWrite detaches the flight of key and waits for its turn to write. It
// returns the cause if ctx ends first; otherwise EndWrite must follow.
func (t *Table[K, V]) BeginWrite(ctx context.Context, at Spot[K, V], key K) error {
	for {
		turn, ok := t.TryWrite(at, key)
		if ok {
			return nil
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// TryWrite detaches the flight of key and begins a write if none is under way:
// then EndWrite must follow. Else it returns a channel that is closed when that
// one ends. Who writes several keys at once waits for none while it has the turn
// of another: two who want the same keys could otherwise wait for each other.
func (t *Table[K, V]) TryWrite(at Spot[K, V], key K) (turn <-chan struct{}, ok bool) {
	s := at.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	at.detachLocked(key)
	under, busy := s.writes.m[key]
	if !busy {
		s.beginLocked(key)
		return nil, true
	}
	if under == nil {
		under = make(chan struct{})
		s.writes.put(key, under)
	}
	return under, false
}

// EndWrite ends a write. Flights that started meanwhile may have read what was
// there before it: they are detached too.
func (t *Table[K, V]) EndWrite(at Spot[K, V], key K) {
	at.shard.mu.Lock()
	at.detachLocked(key)
	at.shard.endLocked(key)
	at.shard.mu.Unlock()
}

func (s *Shard[K, V]) beginLocked(key K) {
	s.writes.put(key, nil)
}

func (s *Shard[K, V]) endLocked(key K) {
	if turn := s.writes.m[key]; turn != nil {
		close(turn)
	}
	s.writes.drop(key)
}
