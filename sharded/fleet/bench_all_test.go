package fleet_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

// BenchmarkMerge is an element of a merge, beside a sort of all elements when the last
// one is there, which has to hold them.
func BenchmarkMerge(b *testing.B) {
	const each = 10_000
	for _, sources := range []int{2, 8, 64} {
		lists := make([][]int, sources)
		from := make([]iter.Seq2[int, error], sources)
		for i := range lists {
			for n := range each {
				lists[i] = append(lists[i], n*sources+i)
			}
			from[i] = func(yield func(int, error) bool) {
				for _, n := range lists[i] {
					if !yield(n, nil) {
						return
					}
				}
			}
		}
		perElement := func(b *testing.B) {
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*sources*each), "ns/element")
		}
		b.Run(fmt.Sprintf("sources=%d", sources), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for n, err := range fleet.Merge(b.Context(), func(x, y int) int { return x - y }, 64, from...) {
					if err != nil {
						b.Fatal(err)
					}
					sink += n
				}
			}
			perElement(b)
		})
		b.Run(fmt.Sprintf("sort/sources=%d", sources), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				all := slices.Concat(lists...)
				slices.Sort(all)
				sink += all[0]
			}
			perElement(b)
		})
	}
}

// listed is a shard whose pages take their time and next to no work.
type listed struct {
	*faulty
	items      []corral.ScanItem[string, string]
	page, item time.Duration
}

func (l *listed) ScanPage(_ context.Context, cursor string, count int, _ bool) (items []corral.ScanItem[string, string], next string, err error) {
	time.Sleep(l.page + time.Duration(count)*l.item)
	from, _ := strconv.Atoi(cursor)
	if from+count >= len(l.items) {
		return l.items[from:], "", nil
	}
	return l.items[from : from+count], strconv.Itoa(from + count), nil
}

// BenchmarkScan is a scan of shards of which a page takes 2 ms and each item of it 2 µs
// more: the first item and the whole of it. serial is the same, by the same shards' own
// pages, in a loop over the shards.
func BenchmarkScan(b *testing.B) {
	const each, page, item = 2_000, 2 * time.Millisecond, 2 * time.Microsecond
	for _, shards := range []int{1, 4, 16} {
		var order []*listed
		f, _ := open(b, equal(shards), fleet.Options[string]{}, func(i int) corral.Cache[string, string] {
			s := &listed{faulty: newFaulty(), page: page, item: item}
			for n := range each {
				s.items = append(s.items, corral.ScanItem[string, string]{Key: fmt.Sprint(i, "/", n), Entry: fresh("value")})
			}
			order = append(order, s)
			return s
		})
		for _, c := range []struct {
			name string
			scan func(see func() bool)
		}{
			{"fleet", func(see func() bool) {
				for _, err := range f.Scan(b.Context(), scanOptions{}) {
					if must(b, err); !see() {
						return
					}
				}
			}},
			{"serial", func(see func() bool) { serially(b, order, see) }},
		} {
			b.Run(fmt.Sprintf("%s/shards=%d", c.name, shards), func(b *testing.B) {
				var first, last time.Duration
				for b.Loop() {
					start, n := time.Now(), 0
					c.scan(func() bool {
						if n++; n == 1 {
							first += time.Since(start)
						}
						return true
					})
					last += time.Since(start)
					if n != shards*each {
						b.Fatalf("%d items", n)
					}
				}
				b.ReportMetric(float64(first.Microseconds())/float64(b.N), "µs/first")
				b.ReportMetric(float64(last.Microseconds())/float64(b.N), "µs/scan")
			})
		}
	}
}

// serially scans one shard after the other, by pages as large as a fleet's may become.
func serially(b *testing.B, shards []*listed, see func() bool) {
	for _, s := range shards {
		for cursor := ""; ; {
			items, next, err := s.ScanPage(context.Background(), cursor, 1024, false)
			must(b, err)
			for range items {
				if !see() {
					return
				}
			}
			if cursor = next; cursor == "" {
				break
			}
		}
	}
}
