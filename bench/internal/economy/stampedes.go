package economy

import (
	"context"
	"strconv"
	"sync"
	"time"
)

func one(int) string { return "k" }

// cold is 1,000 callers at once for a key that nobody has asked for before.
func cold(r run) Outcome {
	const callers = 1000
	begin := time.Now()
	start := make(chan struct{})
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() { <-start; r.crowd.get(context.Background(), "k", 0) })
	}
	close(start)
	within(&wg, 3*time.Second)
	return r.crowd.outcome(r.source, begin, 1)
}

// hot is a key that expires again and again under callers that go on.
func hot(r run) Outcome { return r.expiring(200) }

// expiring counts the loads from the first one on, and the waits of those who
// come when there is a value.
func (r run) expiring(callers int) Outcome {
	first := time.Now()
	_, _ = r.crowd.guarded(context.Background(), "k")
	begin := time.Now()
	until := begin.Add(r.length)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() { r.crowd.loop(until, 5*time.Millisecond, one) })
	}
	within(&wg, r.length+3*time.Second)
	return r.crowd.outcome(r.source, first, r.expiries())
}

// expiries is how many loads of one key there must be: the first one, and one
// for each time that the value has been fresh until its TTL. A load that begins
// with the very end is not asked for.
func (r run) expiries() int {
	const margin = 20 * time.Millisecond
	if r.length < r.ttl+margin {
		return 1
	}
	return 2 + int((r.length-r.ttl-margin)/(r.ttl+r.took))
}

// process is one of those that share a server: its callers begin when those of
// the others do.
func process(r run, begin time.Time) Outcome {
	time.Sleep(time.Until(begin))
	return r.expiring(50)
}

// together is many keys that were stored in one go, and are asked for when their
// time is over. It ends before the first could expire again: a contender may have
// taken up to 0.3 off a TTL, to spread them. Until then there is time for all of them,
// also for who runs but so many loads at once.
func together(r run) Outcome {
	const callers, fillers = 1000, 100
	r.source.took.Store(0)
	var wg sync.WaitGroup
	for f := range fillers {
		wg.Go(func() {
			for i := f; i < r.keys; i += fillers {
				_, _ = r.crowd.guarded(context.Background(), strconv.Itoa(i))
			}
		})
	}
	wg.Wait()
	filled := time.Now()
	r.source.took.Store(int64(r.took))
	for f := range callers {
		wg.Go(func() {
			r.crowd.loop(filled.Add(r.ttl*4/3), 10*time.Millisecond, func(i int) string {
				return strconv.Itoa((f + i*callers) % r.keys)
			})
		})
	}
	within(&wg, 6*time.Second)
	return r.crowd.outcome(r.source, filled, r.keys)
}

// leaderLeaves is a caller that gives up after 20 ms, and 99 who came a little
// later and have time. The leader's own error is none of theirs.
func leaderLeaves(r run) Outcome {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	go func() { _, _ = r.crowd.guarded(ctx, "k") }()
	time.Sleep(2 * time.Millisecond)
	var wg sync.WaitGroup
	for range 99 {
		wg.Go(func() { r.crowd.get(context.Background(), "k", 0) })
	}
	within(&wg, 3*time.Second)
	return r.crowd.outcome(r.source, begin, 1)
}

// panics is a load that panics under 64 callers, and one call afterwards.
func panics(r run) Outcome {
	begin := time.Now()
	r.source.panics.Store(1)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() { r.crowd.get(context.Background(), "k", 0) })
	}
	within(&wg, 1500*time.Millisecond)
	wg.Go(func() { r.crowd.get(context.Background(), "k", 0) })
	within(&wg, 500*time.Millisecond)
	return r.crowd.outcome(r.source, begin, 2)
}

// fails is a source that fails for a second, just when the value that everybody
// asks for has expired.
func fails(r run) Outcome {
	_, _ = r.crowd.guarded(context.Background(), "k")
	time.Sleep(r.ttl)
	r.source.broken.Store(true)
	begin := time.Now()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { r.crowd.loop(begin.Add(time.Second), 5*time.Millisecond, one) })
	}
	within(&wg, 3*time.Second)
	return r.crowd.outcome(r.source, begin, 0)
}

// deletes is a Delete while the old value is being loaded: callers that come
// after it has returned may not get that one.
func deletes(r run) Outcome {
	ctx, begin := context.Background(), time.Now()
	var wg sync.WaitGroup
	wg.Go(func() { r.crowd.get(ctx, "k", 0) })
	time.Sleep(r.took / 2)
	r.source.version.Store(2)
	if err := r.crowd.service.Delete(ctx, "k"); err != nil {
		return Outcome{Impaired: "Delete: " + err.Error()}
	}
	for range 10 {
		wg.Go(func() { r.crowd.get(ctx, "k", 2) })
	}
	time.Sleep(r.took) // the old load is over
	for range 20 {
		wg.Go(func() { r.crowd.get(ctx, "k", 2) })
		time.Sleep(time.Millisecond)
	}
	within(&wg, 3*time.Second)
	return r.crowd.outcome(r.source, begin, 2)
}
