package flight

import (
	"context"
	"runtime"
)

// job is a load on a goroutine of its own. It is made once for all the flights that
// have the same memory: a closure for each was a twelfth of what Group.Do costs.
type job struct {
	run  func()
	work any // nil once it was taken
}

// Go calls Config.Fly with the flight on a goroutine of its own, where Work is work.
func (f *Flight[K, V]) Go(work any) {
	if f.job == nil {
		f.job = &job{run: func() { f.shard.table.cfg.Fly(f) }}
	}
	f.job.work = work
	go f.job.run()
}

// Work returns what Go was given. It is for Config.Fly, to be called once.
func (f *Flight[K, V]) Work() any {
	work := f.job.work
	f.job.work = nil // the flight's memory may be kept for long
	return work
}

// Yield lets the load run that the flight's leader has just started with Go, and
// reports whether the flight has landed: then the leader may Collect, else it must
// Wait. A load that does not block is so had without a channel, and nobody is put to
// sleep and woken: that is a fourth of what Group.Do costs.
//
// Accepted: where there are more goroutines to run than processors, the leader of such
// a load takes its turn among them. That of one that blocks would have to all the same.
//
// A leader inside another load does not yield: for whom it waits has to be known
// before the load runs.
func (f *Flight[K, V]) Yield(ctx context.Context) bool {
	if !Nested(ctx) {
		runtime.Gosched()
	}
	return !f.Await()
}
