package fleet

import "sync"

// fences knows what no answer may be older than. After a Delete has returned,
// calls in another process may still share what was under way there: once its
// Loader has no flight of the key, nothing is.
type fences struct {
	busy func(key string) bool // whether there is a flight

	mu    sync.Mutex
	known map[string]fence // by key; guarded by mu
}

type fence struct {
	version int
	closed  bool // nothing from before it is under way
}

func newFences(busy func(key string) bool) *fences {
	return &fences{busy: busy, known: map[string]fence{}}
}

// raise notes that a Delete has returned, in this process, whose own flights
// begin anew then, or in another.
func (f *fences) raise(key string, version int, here bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if version > f.known[key].version {
		f.known[key] = fence{version, here}
	}
}

// oldest returns the lowest version that a call may return which begins now.
func (f *fences) oldest(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.known[key]
	if !now.closed && !f.busy(key) {
		now.closed = true
		f.known[key] = now
	}
	if !now.closed {
		return 0
	}
	return now.version
}
