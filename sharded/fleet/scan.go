package fleet

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
)

// ScanOptions are those of [Fleet.Scan]. The zero value visits all entries of all
// shards, and stops at the first shard that fails.
type ScanOptions[K comparable, V any] struct {
	// Policy says which shards, and what becomes of those that fail.
	Policy Policy

	// KeysOnly leaves out the entries: nothing but keys is read.
	KeysOnly bool

	// Filter says which items the loop is to see; nil is for all. It is called before
	// an item takes room in the buffer, for items of several shards at a time. A
	// panic is an error of the shard whose item it was.
	Filter func(Item[K, V]) bool

	// Unique has the loop see each key once: whichever item of it comes first. It
	// holds every key that was seen in memory, until the loop ends.
	Unique bool

	// PageSize says how much a shard is asked for at a time.
	PageSize PageSize
}

// Item is what a [Fleet.Scan] visits.
type Item[K comparable, V any] struct {
	// Shard is the ID of the shard that holds it. It is not always where the fleet
	// would look for the key: see [Fleet.Owner]. A key that once had another owner
	// may still be there.
	Shard string
	Key   K
	Entry *corral.Entry[V] // nil with KeysOnly; as the shard's Get returns it
}

// buffer is how many items wait for the loop: that many, and a page of each shard,
// are what a scan holds.
const buffer = 128

var (
	errLeft  = errors.New("fleet: the loop was left")
	errStuck = errors.New("fleet: the shard returned the cursor that it was given: its scan would never end")
)

// Scan visits what the shards hold, all shards at work at a time, in no order. Each
// range over it is a scan of its own. What is there from the beginning to the end is
// visited at least once, what comes or goes meanwhile may be; see [corral.Scanner].
// Duplicates are possible ([ScanOptions].Unique).
//
// An error is the last thing it yields, with the zero Item: what the Policy says; the
// cause of ctx, if that ended; an [*corral.OptionError] for options that cannot work;
// an [*AbilityError], by Policy, for shards that are no Scanner.
//
// A loop that is slower than the shards has them wait: 128 items and a page of each
// shard are all that is held. Leaving the loop ends every call of a shard, and returns
// when they have ended, or, if they do not look at their context, were left behind.
func (f *Fleet[K, V]) Scan(ctx context.Context, opts ScanOptions[K, V]) iter.Seq2[Item[K, V], error] {
	return func(yield func(Item[K, V], error) bool) {
		s := &scan[K, V]{opts: opts, items: make(chan Item[K, V], buffer)}
		e := End{Outcome: Cancelled} // unless the loop gets to the end
		defer func() { s.panel.end(ctx, s.sum(e)) }()
		err := s.begin(f)
		if err == nil {
			err = s.run(ctx, yield, &e)
		}
		if err == errLeft {
			return
		}
		if e.Err, e.Outcome = err, outcomeOf(ctx, err); err != nil {
			yield(Item[K, V]{}, e.Err)
		}
	}
}

// scan is one range over a Scan.
type scan[K comparable, V any] struct {
	*panel[K, V]
	opts  ScanOptions[K, V]
	items chan Item[K, V] // closed when all producers have ended
	room  chan struct{}
	sizes []sizer // of each member; its producer's until items is closed
	waits atomic.Int64
}

func (s *scan[K, V]) begin(f *Fleet[K, V]) (err error) {
	s.panel, err = f.convene(OpScan, s.opts.Policy, func(m *member[K, V]) error { return m.mustScan() })
	if err != nil {
		return err
	}
	size, err := s.opts.PageSize.complete()
	if err != nil {
		return err
	}
	for range s.members {
		s.sizes = append(s.sizes, newSizer(size))
	}
	s.room = make(chan struct{}, s.policy.parallel())
	return nil
}

// run yields items until there are no more, and returns what the scan came to. When
// it returns, or the loop panics, no producer runs.
func (s *scan[K, V]) run(caller context.Context, yield func(Item[K, V], error) bool, e *End) error {
	ctx, stop := context.WithCancelCause(caller)
	s.stop = stop
	defer func() {
		stop(errLeft)
		for range s.items {
		}
	}()
	var all sync.WaitGroup
	for i, m := range s.members {
		all.Go(func() { s.produce(ctx, m, &s.sizes[i]) })
	}
	go func() {
		all.Wait()
		close(s.items)
	}()
	seen := map[K]struct{}{}
	for {
		var it Item[K, V]
		var more bool
		select {
		case <-ctx.Done():
		case it, more = <-s.items:
		}
		switch {
		case caller.Err() != nil:
			return context.Cause(caller)
		case !more || ctx.Err() != nil:
			return s.err()
		}
		if s.opts.Unique {
			if _, twice := seen[it.Key]; twice {
				e.Duplicates++
				continue
			}
			seen[it.Key] = struct{}{}
		}
		if e.Items++; !yield(it, nil) {
			return errLeft
		}
	}
}

// sum adds to e what the producers know, who have ended.
func (s *scan[K, V]) sum(e End) End {
	e.Waits, e.PageSizes = int(s.waits.Load()), map[string]int{}
	for i, size := range s.sizes {
		e.PageSizes[s.members[i].shard.ID] = size.size
	}
	return e
}

// produce sends the items of one shard.
func (s *scan[K, V]) produce(ctx context.Context, m *member[K, V], size *sizer) {
	if !enter(ctx, s.room) {
		return
	}
	defer func() { <-s.room }()
	for cursor, first := "", true; first || cursor != ""; first = false {
		items, next, err := s.page(ctx, m, cursor, size)
		if err != nil {
			if ctx.Err() == nil { // else it has not failed: the scan is over
				s.fail(m.shard.ID, err)
			}
			return
		}
		if first && !s.answered(ctx) {
			return
		}
		for _, it := range items {
			if !s.push(ctx, it) {
				return
			}
		}
		cursor = next
	}
	s.finish()
}

// answered has the other shards answer too, if there is to be a quorum, before
// anything is seen. The place is theirs meanwhile.
func (s *scan[K, V]) answered(ctx context.Context) bool {
	s.answer()
	select {
	case <-s.open:
		return true
	default:
	}
	<-s.room
	defer func() { s.room <- struct{}{} }()
	select {
	case <-s.open:
		return true
	case <-ctx.Done():
		return false
	}
}

func enter(ctx context.Context, room chan struct{}) bool {
	select {
	case room <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *scan[K, V]) push(ctx context.Context, it Item[K, V]) bool {
	select {
	case s.items <- it:
		return true
	default:
	}
	s.waits.Add(1)
	select {
	case s.items <- it:
		return true
	case <-ctx.Done():
		return false
	}
}

// scanned is a page.
type scanned[K comparable, V any] struct {
	items []corral.ScanItem[K, V]
	next  string
}

// page gets a page of a shard, and what of it the loop is to see.
func (s *scan[K, V]) page(ctx context.Context, m *member[K, V], cursor string, size *sizer) ([]Item[K, V], string, error) {
	got, took, err := ask(ctx, s.panel, m, func(p scanned[K, V]) int { return len(p.items) }, func(ctx context.Context) (p scanned[K, V], err error) {
		p.items, p.next, err = m.scanPage(ctx, cursor, size.size, s.opts.KeysOnly)
		if err == nil && p.next == cursor && cursor != "" {
			err = errStuck
		}
		return p, err
	})
	if err != nil {
		return nil, "", err
	}
	if from := size.size; got.next != "" && size.learn(took) {
		tell(ctx, s.fleet, s.fleet.opts.Hooks.PageSizing, PageSizing{m.shard.ID, from, size.size, took, size.oscillates()})
	}
	items, err := s.filter(ctx, m.shard.ID, got.items)
	return items, got.next, err
}

// scanPage is ScanPage of the shard, without what is fenced.
func (m *member[K, V]) scanPage(ctx context.Context, cursor string, count int, keysOnly bool) (items []corral.ScanItem[K, V], next string, err error) {
	start, mark := time.Now(), m.mark()
	items, next, err = m.scanner.ScanPage(ctx, cursor, count, keysOnly)
	if err == nil {
		err = m.recognize(ctx, start)
	}
	if err == nil && m.fencedSince(mark) {
		items = m.shown(mark, items)
	}
	return items, next, err
}

func (s *scan[K, V]) filter(ctx context.Context, shard string, found []corral.ScanItem[K, V]) ([]Item[K, V], error) {
	items := make([]Item[K, V], len(found))
	for i, f := range found {
		items[i] = Item[K, V]{shard, f.Key, f.Entry}
	}
	if s.opts.Filter == nil {
		return items, nil
	}
	return bounded.Do(ctx, func(context.Context) ([]Item[K, V], error) {
		return slices.DeleteFunc(items, func(it Item[K, V]) bool { return !s.opts.Filter(it) }), nil
	})
}
