package fleet_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/sharded/fleet"
)

// num is an element that says from which source it is.
type num struct{ n, from int }

func byN(a, b num) int { return cmp.Compare(a.n, b.n) }

// source yields numbers.
func source(from int, ns ...int) iter.Seq2[num, error] { return failing(from, nil, ns...) }

// failing yields numbers, and then err if that is one.
func failing(from int, err error, ns ...int) iter.Seq2[num, error] {
	return func(yield func(num, error) bool) {
		for _, n := range ns {
			if !yield(num{n, from}, nil) {
				return
			}
		}
		if err != nil {
			yield(num{}, err)
		}
	}
}

func merged(ctx context.Context, prefetch int, from ...iter.Seq2[num, error]) (got []num, err error) {
	for v, failed := range fleet.Merge(ctx, byN, prefetch, from...) {
		if err != nil {
			return got, errors.New("it went on after an error")
		}
		if err = failed; err == nil {
			got = append(got, v)
		}
	}
	return got, err
}

// Equal elements are in the order of their sources, and those of a source in theirs.
func TestMergeOrderAndTies(t *testing.T) {
	for _, c := range []struct {
		name string
		from [][]int
		want []num
	}{
		{"no sources", nil, nil},
		{"empty ones", [][]int{{}, {}}, nil},
		{"one", [][]int{{1, 2, 2, 3}}, []num{{1, 0}, {2, 0}, {2, 0}, {3, 0}}},
		{"ties", [][]int{{1, 3}, {1, 1, 3}, {0, 1, 3}}, []num{{0, 2}, {1, 0}, {1, 1}, {1, 1}, {1, 2}, {3, 0}, {3, 1}, {3, 2}}},
		{"one empty", [][]int{{2}, {}, {1, 3}}, []num{{1, 2}, {2, 0}, {3, 2}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var from []iter.Seq2[num, error]
			for i, ns := range c.from {
				from = append(from, source(i, ns...))
			}
			for prefetch := range 3 {
				got, err := merged(t.Context(), prefetch, from...)
				if must(t, err); !slices.Equal(got, c.want) {
					t.Errorf("prefetch %d: %v, want %v", prefetch, got, c.want)
				}
			}
		})
	}
}

// What comes before the element that is not there is yielded, and nothing after.
func TestMergeOfASourceThatFails(t *testing.T) {
	fault := errors.New("fault")
	got, err := merged(t.Context(), 4, source(0, 1, 4, 9), failing(1, fault, 2, 5), source(2, 3, 5, 6))
	if want := []num{{1, 0}, {2, 1}, {3, 2}, {4, 0}, {5, 1}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if wantIs(t, err, fault); !strings.HasPrefix(err.Error(), "fleet: source 1: ") {
		t.Errorf("the error is %v", err)
	}
	got, err = merged(t.Context(), 4, source(0, 1), failing(1, fault))
	if wantIs(t, err, fault); len(got) > 0 {
		t.Errorf("%v, want nothing: any element might come after the missing one", got)
	}
	got, err = merged(t.Context(), 4, source(0, 1), source(1, 5, 4, 6))
	if wantIs(t, err, fleet.ErrUnordered); !slices.Equal(got, []num{{1, 0}, {5, 1}}) {
		t.Errorf("%v", got)
	}
}

func TestMergeSurvivesItsCallbacks(t *testing.T) {
	for name, breaks := range map[string]iter.Seq2[num, error]{
		"panic":  func(func(num, error) bool) { panic("no") },
		"Goexit": func(func(num, error) bool) { runtime.Goexit() },
	} {
		if got, err := merged(t.Context(), 1, source(0, 1), breaks); err == nil || len(got) > 0 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	var err error
	for _, err = range fleet.Merge(t.Context(), func(a, b num) int { panic("no") }, 1, source(0, 1), source(1, 1)) {
	}
	wantPanic(t, err)
}

func TestMergesThatCannotWork(t *testing.T) {
	for _, c := range []struct {
		compare  func(a, b num) int
		prefetch int
		from     iter.Seq2[num, error]
		field    string
		value    any
	}{
		{nil, 0, source(0, 1), "Merge: compare", "nil"},
		{byN, -1, source(0, 1), "Merge: prefetch", -1},
		{byN, 65_537, source(0, 1), "Merge: prefetch", 65_537},
		{byN, 0, nil, "Merge: from[1]", "nil"},
	} {
		turns := 0
		for _, err := range fleet.Merge(t.Context(), c.compare, c.prefetch, source(0, 1), c.from) {
			turns++
			wantOption(t, err, c.field, c.value)
		}
		if turns != 1 {
			t.Errorf("%s: %d turns", c.field, turns)
		}
	}
}

// endless counts what was taken of it.
func endless(taken *atomic.Int64) iter.Seq2[num, error] {
	return func(yield func(num, error) bool) {
		for n := range 1 << 30 {
			taken.Add(1)
			if !yield(num{n, 0}, nil) {
				return
			}
		}
	}
}

// All sources start at once; each is ahead by its prefetch, what it holds, and what
// stands at the front. Leaving the loop ends them: the bubble would complain.
func TestMergePrefetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken [3]atomic.Int64
		for range fleet.Merge(t.Context(), byN, 5, endless(&taken[0]), endless(&taken[1]), endless(&taken[2])) {
			synctest.Wait()
			for i := range taken {
				if n := taken[i].Load(); n != 5+2 {
					t.Errorf("of source %d were taken %d, want 7", i, n)
				}
			}
			break
		}
	})
	synctest.Test(t, func(t *testing.T) {
		slow := func(yield func(num, error) bool) {
			time.Sleep(time.Second)
			yield(num{}, nil)
		}
		start := time.Now()
		_, err := merged(t.Context(), 1, slow, slow, slow, slow)
		must(t, err)
		if took := time.Since(start); took != time.Second {
			t.Errorf("four sources began in %v, want 1s", took)
		}
	})
}

func TestMergeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("the caller went home")
		ctx, cancel := context.WithCancelCause(t.Context())
		hung := func(func(num, error) bool) { <-ctx.Done() }
		defer cancel(nil)
		time.AfterFunc(time.Second, func() { cancel(cause) })
		got, err := merged(ctx, 1, source(0, 1), hung)
		if err != cause || len(got) > 0 {
			t.Errorf("%v, %v", got, err)
		}
		var taken atomic.Int64
		second, left := context.WithCancelCause(t.Context())
		defer left(nil)
		n := 0
		for _, err = range fleet.Merge(second, byN, 1, endless(&taken)) {
			if n++; n == 3 {
				left(cause)
			}
		}
		if err != cause || n != 4 {
			t.Errorf("after %d turns: %v", n, err)
		}
	})
}

// A scan of each shard, in order: the loop is left, and with it every scan.
func TestMergeOfScans(t *testing.T) {
	f, _, _, keys := filled(t, 3, 40)
	shard := func(id string) iter.Seq2[item, error] {
		items, err := gather(t.Context(), f, scanOptions{Policy: fleet.Policy{Shards: []string{id}}})
		slices.SortFunc(items, func(a, b item) int { return cmp.Compare(a.Key, b.Key) })
		return func(yield func(item, error) bool) {
			for _, it := range items {
				if !yield(it, err) {
					return
				}
			}
		}
	}
	var got []string
	for it, err := range fleet.Merge(t.Context(), func(a, b item) int { return cmp.Compare(a.Key, b.Key) }, 0, shard("s00"), shard("s01"), shard("s02")) {
		must(t, err)
		got = append(got, it.Key)
	}
	if !slices.Equal(got, sorted(keys...)) {
		t.Errorf("%d keys", len(got))
	}
}

// FuzzMerge merges what sort sorts: the bytes are the elements, of up to 8 sources.
func FuzzMerge(f *testing.F) {
	f.Add(uint8(3), uint8(1), []byte("some bytes, of which some are the same"))
	f.Add(uint8(0), uint8(0), []byte{})
	f.Add(uint8(7), uint8(200), slices.Repeat([]byte{1, 2}, 40))
	f.Fuzz(func(t *testing.T, sources, prefetch uint8, data []byte) {
		lists := make([][]num, sources%8+1)
		for i := 0; i+1 < len(data); i += 2 {
			from := int(data[i]) % len(lists)
			lists[from] = append(lists[from], num{int(binary.BigEndian.Uint16(data[i:]) & 31), from})
		}
		var from []iter.Seq2[num, error]
		for _, l := range lists {
			slices.SortStableFunc(l, byN)
			from = append(from, func(yield func(num, error) bool) {
				for _, v := range l {
					if !yield(v, nil) {
						return
					}
				}
			})
		}
		want := slices.Concat(lists...)
		slices.SortStableFunc(want, byN)
		got, err := merged(t.Context(), int(prefetch), from...)
		if must(t, err); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// Merges at a time share nothing.
func TestMergesAtATime(t *testing.T) {
	m := fleet.Merge(t.Context(), byN, 2, source(0, 1, 3), source(1, 2, 4))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			n := 0
			for v, err := range m {
				if n++; err != nil || v.n != n {
					t.Errorf("element %d is %v, %v", n, v, err)
				}
			}
		})
	}
	all.Wait()
}

// Of a Merge whose context has ended nothing more is seen, whatever is at hand.
func TestMerge_EndsAtOnceWithItsContext(t *testing.T) {
	for range 50 { // an element that is at hand is as likely as the end, unless that comes first
		ctx, cancel := context.WithCancel(t.Context())
		numbers := func(yield func(int, error) bool) {
			for i := 0; yield(i, nil); i++ {
			}
		}
		seen := 0
		for _, err := range fleet.Merge(ctx, cmp.Compare[int], 0, numbers, numbers) {
			if err != nil {
				wantIs(t, err, context.Canceled)
				break
			}
			if seen++; seen == 10 {
				cancel()
			}
		}
		if cancel(); seen != 10 {
			t.Fatalf("%d elements were seen, and the context ended with the 10th", seen)
		}
	}
}
