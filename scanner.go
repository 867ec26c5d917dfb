package corral

import "context"

// MaxScanCount is the greatest count that [Scanner] takes.
const MaxScanCount = 100_000

// Scanner is the optional interface of a cache that can enumerate what it holds, a
// page at a time. A Loader does not ask for it.
//
// ScanPage returns the next items and the cursor of the page after them. The empty
// cursor begins, and an empty next says that this was the last page. A page may be
// empty though it is not the last.
//
//   - A key whose entry is there from before the first page until after the last is
//     visited at least once, whatever the counts; it may be visited more often, also
//     on one page. One that comes or goes meanwhile is visited or not.
//   - An entry is one that Get would have returned at some time during the call of
//     its page. What cannot be read, or is over, is left out.
//   - count is how much work a page should be, from 1 to [MaxScanCount]: about so
//     many items, but a page may have more or less. It may change from page to page.
//   - With keysOnly the entries are nil and the page is cheaper: nothing is read. A
//     key may be among them of which Get finds nothing.
//   - A cursor is good for the cache that returned it, for as long as that stands;
//     an adapter says where it is good beyond that. Any number of scans may be under
//     way, and one that is left needs no closing.
//
// A count out of bounds, and a cursor that cannot be one of this cache, is an
// [*OptionError]. With an error there are no items, and the page may be asked for
// again.
type Scanner[K comparable, V any] interface {
	ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) (items []ScanItem[K, V], next string, err error)
}

// ScanItem is a key that a [Scanner] visits, with its entry as Get returns it.
type ScanItem[K comparable, V any] struct {
	Key   K
	Entry *Entry[V] // nil if only keys were asked for
}

// ScanChecker is the optional interface of a [Scanner] that cannot enumerate with
// every option, or whatever cache is inside of it. CheckScan returns nil if it can,
// else what it lacks, an [*OptionError] where that is an option; ScanPage then
// returns the same. The answer does not change. Who wants to scan asks first.
type ScanChecker interface {
	CheckScan() error
}
