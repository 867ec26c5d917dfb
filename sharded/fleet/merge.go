package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/corralcache/corral/internal/bounded"
)

const (
	defaultPrefetch = 16
	maxPrefetch     = 1 << 16
)

// ErrUnordered is the error of a [Merge] of which a source is not in the order that
// compare says.
var ErrUnordered = errors.New("fleet: a source is not in order")

var errSourceExited = errors.New("fleet: the source ended its goroutine")

// Merge yields the elements of all sources in one order, each of which is in that
// order itself: by compare, and of those that are equal first the ones of the earlier
// source. Each source runs on a goroutine of its own, all from the beginning, and up to
// prefetch elements ahead (0 is 16, 65,536 the most); two more of each may be in
// hand. Each range over it is a merge of its own.
//
// An error is the last thing it yields, with the zero T: the cause of ctx, if that
// ended; an [*corral.OptionError] for arguments that cannot work; else that of the
// first source that failed, which says its index: after every element that comes
// before what that source would have yielded, as far as is known. A panic of a source
// or of compare, the end of a source's goroutine, and [ErrUnordered] are such errors.
//
// compare is called concurrently. Leaving the loop stops each source when it yields
// its next element; Merge does not wait for that. Give the sources a context, and
// cancel it, where that may take long. [Fleet.Observe] is for who wants to know how
// merges end.
func Merge[T any](ctx context.Context, compare func(a, b T) int, prefetch int, from ...iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		m := merger[T]{compare: compare, start: time.Now(), end: End{Op: OpMerge, Outcome: Cancelled, Shards: len(from)}}
		defer m.tell(ctx)
		err := checkMerge(compare == nil, prefetch, from)
		if err == nil {
			var left bool
			if left, err = m.run(ctx, yield, cmp.Or(prefetch, defaultPrefetch), from); left {
				return
			}
		}
		if m.end.Outcome, m.end.Err = outcomeOf(ctx, err), err; err != nil {
			yield(zero, err)
		}
	}
}

// run yields what the sources do, until there is no more, or the loop is left.
func (m *merger[T]) run(ctx context.Context, yield func(T, error) bool, prefetch int, from []iter.Seq2[T, error]) (left bool, err error) {
	sources, cancel := context.WithCancel(ctx)
	defer cancel()
	for i, source := range from {
		in := make(chan element[T], prefetch)
		m.in = append(m.in, in)
		go m.pump(sources, i, source, in)
	}
	err = m.prime(ctx)
	m.end.Heap = len(m.heads)
	for err == nil && len(m.heads) > 0 {
		m.end.Items++
		if !yield(m.heads[0].value, nil) {
			return true, nil
		}
		err = m.advance(ctx)
	}
	return false, err
}

// observed is the key of a context's value: who is told how a Merge with it ends.
type observed struct{}

// Observe returns a context with which every range over a [Merge] is counted in
// Stats.Merges, and its end told to Hooks.End: of streams that come from the fleet's
// shards, or have to do with it.
func (f *Fleet[K, V]) Observe(ctx context.Context) context.Context {
	return context.WithValue(ctx, observed{}, f.tellEnd)
}

func (m *merger[T]) tell(ctx context.Context) {
	if told, ok := ctx.Value(observed{}).(func(context.Context, End)); ok {
		m.end.Took = time.Since(m.start)
		told(ctx, m.end)
	}
}

func checkMerge[T any](noCompare bool, prefetch int, from []iter.Seq2[T, error]) error {
	if noCompare {
		return option("Merge: compare", "nil", "required")
	}
	if prefetch < 0 || prefetch > maxPrefetch {
		return option("Merge: prefetch", prefetch, fmt.Sprintf("must be 0 (%d) to %d", defaultPrefetch, maxPrefetch))
	}
	for i, source := range from {
		if source == nil {
			return option(fmt.Sprintf("Merge: from[%d]", i), "nil", "must be a source")
		}
	}
	return nil
}

// merger is one range over a Merge.
type merger[T any] struct {
	compare func(a, b T) int
	in      []chan element[T]
	heads   []head[T] // a heap: the first is the least
	start   time.Time
	end     End
}

type element[T any] struct {
	value T
	err   error // the last of its source
}

// head is the least element of a source that was not yielded yet.
type head[T any] struct {
	value T
	from  int
}

// pump sends what a source yields, and in the end its error.
func (m *merger[T]) pump(ctx context.Context, i int, source iter.Seq2[T, error], in chan<- element[T]) {
	defer close(in)
	err := errSourceExited // unless the source returns
	defer func() {
		if err != nil {
			send(ctx, in, element[T]{err: fmt.Errorf("fleet: source %d: %w", i, err)})
		}
	}()
	err = m.drain(ctx, source, in)
}

func (m *merger[T]) drain(ctx context.Context, source iter.Seq2[T, error], in chan<- element[T]) (err error) {
	defer bounded.Recover("the source", &err)
	var last T
	first := true
	for value, err := range source {
		switch {
		case err != nil:
			return err
		case !first && m.compare(last, value) > 0:
			return ErrUnordered
		case !send(ctx, in, element[T]{value: value}):
			return nil
		}
		last, first = value, false
	}
	return nil
}

func send[T any](ctx context.Context, in chan<- element[T], e element[T]) bool {
	select {
	case in <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

// prime waits for the first element of each source.
func (m *merger[T]) prime(ctx context.Context) error {
	for i := range m.in {
		value, ok, err := m.next(ctx, i)
		if err != nil {
			return err
		}
		if ok {
			m.heads = append(m.heads, head[T]{value, i})
		}
	}
	for i := len(m.heads)/2 - 1; i >= 0; i-- {
		if err := m.down(i); err != nil {
			return err
		}
	}
	return nil
}

// next returns the next element of a source; ok is false if there is none. ctx is the
// caller's own: a source may hear of its end before any context does that is made of it.
func (m *merger[T]) next(ctx context.Context, i int) (value T, ok bool, err error) {
	if ctx.Err() != nil {
		return value, false, context.Cause(ctx)
	}
	if len(m.in[i]) == 0 {
		m.end.Waits++
	}
	select {
	case e, more := <-m.in[i]:
		if !more && ctx.Err() != nil { // that may be why it has ended
			return value, false, context.Cause(ctx)
		}
		return e.value, more, e.err
	case <-ctx.Done():
		return value, false, context.Cause(ctx)
	}
}

// advance puts the next element of the source of the first head in its place.
func (m *merger[T]) advance(ctx context.Context) error {
	value, ok, err := m.next(ctx, m.heads[0].from)
	switch {
	case err != nil:
		return err
	case ok:
		m.heads[0].value = value
	default:
		last := len(m.heads) - 1
		m.heads[0] = m.heads[last]
		m.heads[last] = head[T]{} // the collector's
		m.heads = m.heads[:last]
	}
	return m.down(0)
}

// down puts the head at i below those that are less. compare is the user's.
func (m *merger[T]) down(i int) (err error) {
	defer bounded.Recover("compare", &err)
	for {
		child := 2*i + 1
		if child >= len(m.heads) {
			return nil
		}
		if right := child + 1; right < len(m.heads) && m.less(right, child) {
			child = right
		}
		if !m.less(child, i) {
			return nil
		}
		m.heads[i], m.heads[child] = m.heads[child], m.heads[i]
		i = child
	}
}

func (m *merger[T]) less(i, j int) bool {
	c := m.compare(m.heads[i].value, m.heads[j].value)
	return c < 0 || c == 0 && m.heads[i].from < m.heads[j].from
}
