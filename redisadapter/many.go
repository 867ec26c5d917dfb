package redisadapter

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
)

const (
	// partKeys is for how many keys one pipeline asks at most, and partBytes after
	// how many bytes no further key is added to it. The server holds all replies to
	// a pipeline until they are read, and the client's ReadTimeout is for all of
	// them together.
	partKeys  = 1024
	partBytes = 1 << 20
)

// item is one key of a call with many.
type item struct {
	at int // where the key is among the caller's
	place
}

// reply is what came of an item.
type reply[T any] struct {
	value T
	err   error
}

// batch is items that are asked for together: those of one node of a Cluster, or
// all of them.
type batch struct {
	items []item
	asks  bool // also for the time
}

// none returns err for each item.
func none[T any](b batch, err error) []reply[T] {
	return slices.Repeat([]reply[T]{{err: err}}, len(b.items))
}

// many is [on] for calls with many keys. do returns a reply for each item of a
// batch, and stops between two pipelines when its context ends. ready says whether
// the question for the time goes with it, or why nothing can.
func many[K comparable, T any](ctx context.Context, s *server[K], keys []K, ready func(context.Context) (asks bool, err error), do func(context.Context, batch) []reply[T]) ([]T, error) {
	if s.fault != nil {
		return nil, s.fault
	}
	if len(keys) == 0 {
		return nil, nil
	}
	keys = slices.Clone(keys) // a call that was left behind goes on reading them
	return bounded.Do(ctx, func(ctx context.Context) ([]T, error) {
		failed := map[K]error{}
		items := make([]item, 0, len(keys))
		for i, key := range keys {
			p, err := s.place(key)
			if err != nil {
				failed[key] = err
				continue
			}
			items = append(items, item{i, p})
		}
		asks, err := ready(context.WithoutCancel(ctx))
		if err != nil {
			return nil, err
		}
		got := make([]T, len(keys))
		batches := s.batches(ctx, items, asks)
		for n, replies := range inParallel(ctx, batches, do) {
			for i, it := range batches[n].items {
				if r := replies[i]; r.err != nil {
					failed[keys[it.at]] = r.err
				} else {
					got[it.at] = r.value
				}
			}
		}
		if len(failed) > 0 {
			return got, &corral.KeyErrors[K]{Errors: failed}
		}
		return got, nil
	})
}

// doesMany is many for calls that return nothing but an error.
func doesMany[K comparable](ctx context.Context, s *server[K], keys []K, ready func(context.Context) (asks bool, err error), do func(context.Context, batch) []reply[struct{}]) error {
	_, err := many(ctx, s, keys, ready, do)
	return err
}

// fits says whether a call got one thing for each key.
func fits(call string, keys, things int) error {
	if keys == things {
		return nil
	}
	return fmt.Errorf("redisadapter: %s got %d keys and %d things to go with them", call, keys, things)
}

// batches returns the items of each node of a Cluster by themselves. Its client
// could map one pipeline to the nodes, and would return when the last of them has
// answered or was given up: a node that hangs would take all keys along. The
// pipelines go through that client all the same, which knows what to do about keys
// that have moved.
//
// Other clients have one node, or, as a Ring, tell nobody which.
func (s *server[K]) batches(ctx context.Context, items []item, asks bool) []batch {
	all := []batch{{items, asks}}
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok || len(items) < 2 {
		return all
	}
	ctx = context.WithoutCancel(ctx)
	var batches []batch
	known := map[*redis.Client]int{}
	of := func(name string) (*batch, error) {
		node, err := cluster.MasterForKey(ctx, name)
		if err != nil {
			return nil, err
		}
		n, ok := known[node]
		if !ok {
			n = len(batches)
			known[node], batches = n, append(batches, batch{})
		}
		return &batches[n], nil
	}
	for _, it := range items {
		b, err := of(it.name)
		if err != nil { // the client knows no nodes: one pipeline is enough to hear it
			return all
		}
		b.items = append(b.items, it)
	}
	if asks {
		if b, err := of(s.timer.key); err == nil {
			b.asks = true
		}
	}
	return batches
}

// inParallel calls do with each batch, and returns the replies of each. With
// several batches, those that take too long are given up in time for the others'
// replies to be of use.
func inParallel[T any](ctx context.Context, batches []batch, do func(context.Context, batch) []reply[T]) [][]reply[T] {
	replies := make([][]reply[T], len(batches))
	if len(batches) == 1 {
		replies[0] = do(ctx, batches[0])
		return replies
	}
	ctx, cancel := early(ctx)
	defer cancel()
	var nodes sync.WaitGroup
	for n, b := range batches {
		nodes.Go(func() {
			got, err := bounded.Do(ctx, func(ctx context.Context) ([]reply[T], error) { return do(ctx, b), nil })
			if err != nil {
				got = none[T](b, err)
			}
			replies[n] = got
		})
	}
	nodes.Wait()
	return replies
}

var errLate = fmt.Errorf("redisadapter: the node did not answer in time: %w", context.DeadlineExceeded)

// early returns a context that ends a little before ctx does.
func early(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadlineCause(ctx, end.Add(-time.Until(end)/8), errLate)
}

// queue puts the commands for an item into a pipeline. It returns about how many
// bytes of values they carry, and what reads the answers.
type queue[T any] func(pipe redis.Pipeliner, it item) (size int, read func(trip) (T, error))

// exchange sends the commands for each item and reads the answers, in pipelines of
// bounded size, one after the other.
func exchange[K comparable, T any](ctx context.Context, s *server[K], b batch, put queue[T]) []reply[T] {
	got := make([]reply[T], 0, len(b.items))
	still := context.WithoutCancel(ctx)
	for left, asks := b.items, b.asks; len(left) > 0 || asks; asks = false {
		if ctx.Err() != nil {
			return append(got, none[T](batch{items: left}, context.Cause(ctx))...)
		}
		pipe := s.client.Pipeline()
		var reads []func(trip) (T, error)
		for size := 0; len(reads) < min(len(left), partKeys) && size < partBytes; {
			n, read := put(pipe, left[len(reads)])
			size += n
			reads = append(reads, read)
		}
		left = left[len(reads):]
		t := s.timer.ride(still, pipe, asks)
		for _, read := range reads {
			value, err := read(t)
			got = append(got, reply[T]{value, err})
		}
	}
	return got
}
