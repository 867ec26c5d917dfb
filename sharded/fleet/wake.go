package fleet

import (
	"sync"
	"time"
)

// wake calls one function later, of which the last one counts.
type wake struct {
	mu    sync.Mutex
	timer *time.Timer // guarded by mu
	over  bool        // guarded by mu
}

func (w *wake) after(pause time.Duration, f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
	if !w.over {
		w.timer = time.AfterFunc(pause, f)
	}
}

func (w *wake) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
}

// end stops w for good.
func (w *wake) end() {
	w.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
}
