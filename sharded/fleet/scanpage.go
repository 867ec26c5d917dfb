package fleet

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/corralcache/corral"
)

// scanning are the calls of a corral.Scanner: one shard after the other.
type scanning[K comparable, V any] struct{ fleet *Fleet[K, V] }

var (
	_ corral.Scanner[string, any] = (*Fleet[string, any])(nil)
	_ corral.ScanChecker          = (*Fleet[string, any])(nil)
)

// CheckScan returns nil if all shards can enumerate what they hold, else an
// [*AbilityError] of the first that cannot.
func (s scanning[K, V]) CheckScan() error {
	for _, m := range s.fleet.placed.Load().all.members {
		if err := m.mustScan(); err != nil {
			return err
		}
	}
	return nil
}

// ScanPage is ScanPage of one shard after the other, in order of their IDs. The
// cursor names the shard, and one that is out is [ErrUnhealthy]. It is for who takes the
// fleet for a cache; Scan has all shards at work.
func (s scanning[K, V]) ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) (items []corral.ScanItem[K, V], next string, err error) {
	if s.fleet.closed.Load() {
		return nil, "", ErrClosed
	}
	if err := s.CheckScan(); err != nil {
		return nil, "", err
	}
	l := s.fleet.placed.Load().all
	i, inner, err := l.find(cursor)
	if err != nil {
		return nil, "", err
	}
	m := l.members[i]
	if !m.healthy() {
		return nil, "", ErrUnhealthy
	}
	start := time.Now()
	items, next, err = m.scanPage(ctx, inner, count, keysOnly)
	e := ShardCall{Op: OpScan, Shard: m.shard.ID, Items: len(items), Took: time.Since(start), Err: err}
	m.numbers.overAllCalled(e, err != nil && ctx.Err() == nil)
	m.vitals.endedOfAll(ctx, e.Took, err)
	switch {
	case err != nil:
		return nil, "", err
	case next != "":
		return items, cursorAt(m.shard.ID, next), nil
	case i+1 < len(l.members):
		return items, cursorAt(l.members[i+1].shard.ID, ""), nil
	}
	return items, "", nil
}

// cursorAt is the fleet's cursor at a shard's own.
func cursorAt(id, inner string) string { return strconv.Itoa(len(id)) + ":" + id + inner }

// find returns the member at which a cursor is, and that one's own.
func (l *layout[K, V]) find(cursor string) (i int, inner string, err error) {
	if cursor == "" {
		return 0, "", nil
	}
	bad := func(bound string) (int, string, error) {
		return 0, "", option("ScanPage: cursor", fmt.Sprintf("%.80q", cursor), bound)
	}
	length, rest, _ := strings.Cut(cursor, ":")
	n, err := strconv.Atoi(length)
	if err != nil || n < 1 || n > len(rest) {
		return bad("must be empty, or what ScanPage returned")
	}
	i, known := l.at[rest[:n]]
	if !known {
		return bad("must be of a shard that is in the fleet")
	}
	return i, rest[n:], nil
}
