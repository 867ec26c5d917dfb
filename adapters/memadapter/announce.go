package memadapter

import "context"

// maxHeard is how many keys wait for one that listens. Beyond it, being told
// that any key may have been written costs less than the keys do.
const maxHeard = 1024

// ear is one that listens. The store's mutex guards what it heard.
type ear[K comparable] struct {
	wake   chan struct{} // has room for one
	heard  []K
	missed bool // heard was full: any key may have been written
}

// Watch returns a channel that is sent to when a Fill, a Release, a Set or a
// Delete, of whatever process, ended the lease of key or wrote the key. A lease
// whose life ends sends nothing. Until stop is called, the store holds on to the
// channel; stop may be called again.
func (p *Process[K, V]) Watch(key K) (ended <-chan struct{}, stop func()) {
	s := p.store
	watcher := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchers == nil {
		s.watchers = map[K]map[chan struct{}]struct{}{}
	}
	if s.watchers[key] == nil {
		s.watchers[key] = map[chan struct{}]struct{}{}
	}
	s.watchers[key][watcher] = struct{}{}
	return watcher, func() { s.unwatch(key, watcher) }
}

func (s *Shared[K, V]) unwatch(key K, watcher chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.watchers[key], watcher)
	if len(s.watchers[key]) == 0 {
		delete(s.watchers, key)
	}
}

// wakeLocked tells who watches key to look.
func (s *Shared[K, V]) wakeLocked(key K) {
	for watcher := range s.watchers[key] {
		signal(watcher)
	}
}

// Listen calls drop with the keys that other processes Set or Delete, until ctx
// ends, of which it returns the cause. It calls drop without a key when it
// begins, and when so many keys came during one call of drop that it forgot them.
// Nobody waits for drop but Listen. An error at once is for a drop of nil.
func (p *Process[K, V]) Listen(ctx context.Context, drop func(keys ...K)) error {
	if drop == nil {
		return errNoDrop
	}
	e := &ear[K]{wake: make(chan struct{}, 1)}
	p.store.listen(e, p)
	defer p.store.unlisten(e)
	drop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.wake:
			switch keys, missed := p.store.take(e); {
			case missed:
				drop()
			case len(keys) > 0: // none, if the last time took what came after the signal
				drop(keys...)
			}
		}
	}
}

func (s *Shared[K, V]) listen(e *ear[K], p *Process[K, V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ears == nil {
		s.ears = map[*ear[K]]*Process[K, V]{}
	}
	s.ears[e] = p
}

func (s *Shared[K, V]) unlisten(e *ear[K]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ears, e)
}

// announceLocked tells of by's write: who watches key, and who listens in other
// processes.
func (s *Shared[K, V]) announceLocked(key K, by *Process[K, V]) {
	s.wakeLocked(key)
	for e, p := range s.ears {
		if p != by {
			e.hearLocked(key)
		}
	}
}

// hearLocked notes key, so that who writes does not wait for who listens.
func (e *ear[K]) hearLocked(key K) {
	switch {
	case e.missed:
	case len(e.heard) == maxHeard:
		e.heard, e.missed = nil, true
	default:
		e.heard = append(e.heard, key)
	}
	signal(e.wake)
}

// take returns what e heard since the last time.
func (s *Shared[K, V]) take(e *ear[K]) (keys []K, missed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys, missed = e.heard, e.missed
	e.heard, e.missed = nil, false
	return keys, missed
}

// signal leaves one signal: who has not taken the last one yet will look anyway.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
