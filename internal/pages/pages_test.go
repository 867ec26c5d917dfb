package pages_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/pages"
)

func numbers(n int) []int {
	keys := make([]int, n)
	for i := range keys {
		keys[i] = i
	}
	return keys
}

// What stays is visited exactly once, whatever the counts, and whatever else comes
// and goes between two pages.
func TestEveryKeyOnce(t *testing.T) {
	for range 50 {
		stay := numbers(rand.IntN(300))
		seen := map[int]int{}
		cursor, first := "", true
		for first || cursor != "" {
			first = false
			all := slices.Clone(stay)
			for range rand.IntN(100) {
				all = append(all, 1000+rand.IntN(1000))
			}
			rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			count := 1 + rand.IntN(40)
			page, next, err := pages.Of("test", slices.Values(all), cursor, count)
			if err != nil || len(page) > count {
				t.Fatalf("%d keys, want %d at most; %v", len(page), count, err)
			}
			for _, key := range page {
				seen[key]++
			}
			cursor = next
		}
		for _, key := range stay {
			if seen[key] != 1 {
				t.Fatalf("key %d was seen %d times", key, seen[key])
			}
		}
	}
}

func TestTheLastPage(t *testing.T) {
	for _, count := range []int{1, 5, 9, 10, 11} {
		cursor, n := "", 0
		for pageNumber := 1; ; pageNumber++ {
			page, next, err := pages.Of("test", slices.Values(numbers(10)), cursor, count)
			if err != nil {
				t.Fatal(err)
			}
			n += len(page)
			if want := (10 + count - 1) / count; (next == "") != (pageNumber == want) {
				t.Errorf("by %d, page %d of %d: next is %q", count, pageNumber, want, next)
			}
			if cursor = next; cursor == "" {
				break
			}
		}
		if n != 10 {
			t.Errorf("by %d: %d keys", count, n)
		}
	}
}

func TestNaNIsLeftOut(t *testing.T) {
	page, next, err := pages.Of("test", slices.Values([]float64{1, math.NaN(), 2}), "", 10)
	if err != nil || next != "" || len(page) != 2 {
		t.Errorf("page %v, next %q, %v", page, next, err)
	}
}

func TestBadInput(t *testing.T) {
	_, good, err := pages.Of("test", slices.Values(numbers(10)), "", 1)
	if err != nil {
		t.Fatal(err)
	}
	foreign := "00000000" + good[8:]
	for _, cursor := range []string{"0", good + "0", good[1:], foreign, "nonsense", " " + good} {
		wantOption(t, cursor, 1, "test.ScanPage: cursor")
	}
	for _, count := range []int{0, -1, corral.MaxScanCount + 1} {
		wantOption(t, "", count, "test.ScanPage: count")
	}
}

func wantOption(t *testing.T, cursor string, count int, field string) {
	t.Helper()
	page, next, err := pages.Of("test", slices.Values(numbers(10)), cursor, count)
	var option *corral.OptionError
	if !errors.As(err, &option) || option.Field != field || page != nil || next != "" {
		t.Errorf("cursor %q, count %d: %v, %q, %v; want an OptionError of %s", cursor, count, page, next, err, field)
	}
}

func BenchmarkOf(b *testing.B) {
	all := slices.Values(numbers(100_000))
	for b.Loop() {
		if _, _, err := pages.Of("test", all, "", 1000); err != nil {
			b.Fatal(err)
		}
	}
}
