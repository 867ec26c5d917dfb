package economy

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// source is what the loads ask. It keeps when each of them began.
type source struct {
	version atomic.Int64
	took    atomic.Int64 // ns that a load takes
	broken  atomic.Bool  // loads fail
	panics  atomic.Int64 // so many loads panic

	mu     sync.Mutex
	starts []time.Time // guarded by mu
}

func newSource(took time.Duration) *source {
	s := new(source)
	s.version.Store(1)
	s.took.Store(int64(took))
	return s
}

var errBroken = fmt.Errorf("the source fails")

// load reads the version, takes its time, and heeds its context.
func (s *source) load(ctx context.Context, _ string) (string, error) {
	s.mu.Lock()
	s.starts = append(s.starts, time.Now())
	s.mu.Unlock()
	version := s.version.Load()
	if took := time.Duration(s.took.Load()); took > 0 {
		t := time.NewTimer(took)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	if s.panics.Add(-1) >= 0 {
		panic("on purpose")
	}
	if s.broken.Load() {
		return "", errBroken
	}
	return answer{version, time.Now()}.String(), nil
}

// loads counts those that began after a moment, and those of the busiest 100 ms.
func (s *source) loads(after time.Time) (n, peak int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slots := make(map[int64]int)
	for _, at := range s.starts {
		if at.After(after) {
			n++
			slots[at.Sub(after).Milliseconds()/100]++
		}
	}
	for _, in := range slots {
		peak = max(peak, in)
	}
	return n, peak
}

// answer is a value of the source.
type answer struct {
	version int64
	at      time.Time // when its load was done
}

func (a answer) String() string { return fmt.Sprintf("%d %d", a.version, a.at.UnixNano()) }

func parse(s string) (a answer, err error) {
	var at int64
	_, err = fmt.Sscanf(s, "%d %d", &a.version, &at)
	a.at = time.Unix(0, at)
	return a, err
}
