package adaptertest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/corralcache/corral"
)

// scanClauses are about enumerating what the cache holds.
func scanClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "scan",
			rule:  "The pages of ScanPage, from the empty cursor to the empty next one, have every key that is there once or more, with its entry as Get returns it, whatever the count; and no key that is not there.",
			why:   "What a scan leaves out does not move to a new shard with the rest, or is not deleted with its tenant.",
			cause: "A cursor of zero taken for the end, or an empty page; keys not written backwards as they were written; entries read by a second way of decoding; the store's own keys, such as leases, taken for some of the cache's.",
			when:  scanning[K, V],
			check: checkScan[K, V],
		},
		{
			name:  "scan-keys",
			rule:  "With keysOnly, ScanPage has the same keys, without entries.",
			why:   "Who wants to count a million keys would read a million values.",
			cause: "The flag not looked at.",
			when:  scanning[K, V],
			check: checkScanKeys[K, V],
		},
		{
			name:  "scan-bounds",
			rule:  "A count below 1 or above MaxScanCount, and a cursor that cannot be one of the cache, is an *OptionError, with no items. CheckScan says the same each time.",
			why:   "A cursor that is not understood would begin anew, and a scan that is resumed would never end, or leave keys out and say nothing.",
			cause: "A cursor parsed with its error ignored; a count passed on to a store that takes 0 for its default.",
			when:  scanning[K, V],
			check: checkScanBounds[K, V],
		},
		{
			name:  "scan-concurrent",
			rule:  "While others write, a scan visits every key that stays, with one of its entries, and ends.",
			why:   "Scans run on caches that are in use.",
			cause: "A cursor that counts keys, of which some go; a lock held between two pages; a scan that waits for a moment without writes.",
			when:  scanning[K, V],
			check: checkScanConcurrent[K, V],
		},
	}
}

// scanning is a condition for clauses, like leasing.
func scanning[K comparable, V any](cfg *Config[K, V]) bool {
	return !cfg.seen.known || cfg.seen.scans
}

// scanner returns the Scanner of a cache that can enumerate.
func scanner[K comparable, V any](cache any) (corral.Scanner[K, V], bool) {
	s, ok := cache.(corral.Scanner[K, V])
	if c, asks := cache.(corral.ScanChecker); ok && asks {
		ok = c.CheckScan() == nil
	}
	return s, ok
}

// page is one call of ScanPage that has to go well.
func (p *probe[K, V]) page(s corral.Scanner[K, V], cursor string, count int, keysOnly bool) (items []corral.ScanItem[K, V], next string) {
	what := fmt.Sprintf("ScanPage(%q, %d, %v)", cursor, count, keysOnly)
	var err error
	p.await(what, p.patience(), func() { items, next, err = s.ScanPage(p.ctx, cursor, count, keysOnly) })
	p.must(what, err)
	return items, next
}

// maxPages is after how many pages a scan of a few keys has no end.
const maxPages = 10_000

// visit calls see with each item of a scan, by pages of counts in turn.
func (p *probe[K, V]) visit(s corral.Scanner[K, V], keysOnly bool, see func(corral.ScanItem[K, V]), counts ...int) {
	cursor := ""
	for n := range maxPages {
		var items []corral.ScanItem[K, V]
		items, cursor = p.page(s, cursor, counts[n%len(counts)], keysOnly)
		for _, it := range items {
			see(it)
		}
		if cursor == "" {
			return
		}
	}
	p.failf("a scan by %v has no end after %d pages", counts, maxPages)
}

func checkScan[K comparable, V any](p *probe[K, V]) {
	s, ok := scanner[K, V](p.cache)
	if !ok {
		return
	}
	p.visit(s, false, func(it corral.ScanItem[K, V]) { p.failf("a scan of the empty cache visited %s", show(it.Key)) }, 10)
	want := map[K]*corral.Entry[V]{}
	for n, key := range p.distinctKeys() {
		want[key] = p.entry(n)
		p.put(key, want[key])
	}
	gone := p.Key(40)
	p.put(gone, p.entry(40))
	p.remove(gone)
	for _, counts := range [][]int{{1}, {7}, {1000}, {3, 1, 100}} {
		seen := map[K]bool{}
		p.visit(s, false, func(it corral.ScanItem[K, V]) {
			seen[it.Key] = true
			p.wantItem(it, want[it.Key])
		}, counts...)
		for key := range want {
			if !seen[key] {
				p.failf("a scan by %v did not visit %s", counts, show(key))
			}
		}
	}
}

func (p *probe[K, V]) wantItem(it corral.ScanItem[K, V], want *corral.Entry[V]) {
	switch {
	case want == nil:
		p.failf("a scan visited %s, which is not there", show(it.Key))
	case it.Entry == nil:
		p.failf("a scan visited %s without its entry", show(it.Key))
	}
	if diff := p.differ(it.Entry, want); diff != "" {
		p.failf("a scan visited %s with %s", show(it.Key), diff)
	}
}

func checkScanKeys[K comparable, V any](p *probe[K, V]) {
	s, ok := scanner[K, V](p.cache)
	if !ok {
		return
	}
	want := map[K]bool{}
	for n, key := range p.distinctKeys() {
		want[key] = true
		p.put(key, p.entry(n))
	}
	seen := map[K]bool{}
	p.visit(s, true, func(it corral.ScanItem[K, V]) {
		if seen[it.Key] = true; !want[it.Key] || it.Entry != nil {
			p.failf("a scan of keys visited %s (there: %v) with an entry: %v", show(it.Key), want[it.Key], it.Entry != nil)
		}
	}, 10)
	if len(seen) != len(want) {
		p.failf("a scan of keys visited %d of %d", len(seen), len(want))
	}
}

func checkScanBounds[K comparable, V any](p *probe[K, V]) {
	s, ok := scanner[K, V](p.cache)
	if !ok {
		return
	}
	p.put(p.Key(0), p.entry(0))
	for _, c := range []struct {
		cursor string
		count  int
	}{{"", 0}, {"", -1}, {"", corral.MaxScanCount + 1}, {"no cursor", 10}, {"-1", 10}, {"\x00", 10}} {
		what := fmt.Sprintf("ScanPage(%q, %d)", c.cursor, c.count)
		var items []corral.ScanItem[K, V]
		var next string
		var err error
		p.await(what, p.patience(), func() { items, next, err = s.ScanPage(p.ctx, c.cursor, c.count, false) })
		var option *corral.OptionError
		if !errors.As(err, &option) || len(items) > 0 || next != "" {
			p.failf("%s returned %d items, %q and %v; want an *OptionError alone", what, len(items), next, err)
		}
	}
	p.page(s, "", corral.MaxScanCount, true)
	if _, still := scanner[K, V](p.cache); !still {
		p.failf("CheckScan returned nil, and then an error")
	}
}

// What stays is set anew all the time, and others come and go beside it.
func checkScanConcurrent[K comparable, V any](p *probe[K, V]) {
	s, ok := scanner[K, V](p.cache)
	if !ok {
		return
	}
	const stay = 32
	for n := range stay {
		p.put(p.Key(n), p.entry(n))
	}
	var writers sync.WaitGroup
	defer writers.Wait()
	for w := range 2 {
		writers.Go(func() {
			for n := range 200 {
				_ = p.cache.Set(p.ctx, p.Key(n%stay), p.entry(n%stay))
				other := p.Key(100 + 200*w + n)
				_ = p.cache.Set(p.ctx, other, p.entry(100+200*w+n))
				if n%2 == 0 {
					_ = p.cache.Delete(p.ctx, other)
				}
			}
		})
	}
	for range 3 {
		seen := map[K]bool{}
		p.visit(s, false, func(it corral.ScanItem[K, V]) {
			seen[it.Key] = true
			if it.Entry == nil || it.Entry.Absent {
				p.failf("a scan beside writers visited %s without its entry", show(it.Key))
			}
		}, 5, 20)
		for n := range stay {
			if !seen[p.Key(n)] {
				p.failf("a scan beside writers did not visit %s, which was there all the time", show(p.Key(n)))
			}
		}
	}
}
