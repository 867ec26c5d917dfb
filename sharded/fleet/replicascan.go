package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/corralcache/corral"
)

// ScanPage visits what the replicas hold, one after the other: what one of them has
// evicted another may have. So a migration finds what is in a group.
//
// A replica that is out, or fails, is left for the end, and then visited from its
// beginning: a cursor of it means nothing to the others, nor perhaps to itself by then. If
// it still fails, so does the page. So all that the others hold was visited, and that
// something may be missing is told.
func (r *replicas[K, V]) ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) ([]corral.ScanItem[K, V], string, error) {
	c, ok := cursorOf(cursor, len(r.all))
	if !ok {
		return nil, "", option("ScanPage: cursor", fmt.Sprintf("%.80q", cursor), "must be one that a page returned")
	}
	for {
		m := &r.all[c.at]
		items, next, err := m.pageOf(ctx, c, count, keysOnly)
		bad := (*corral.OptionError)(nil)
		switch {
		case err == nil && next != "":
			c.inner = next
			return items, c.String(), nil
		case err == nil && !c.goOn(len(r.all)):
			return items, "", nil
		case err == nil:
			return items, c.String(), nil
		case c.last():
			return nil, "", fmt.Errorf("fleet: replica %q: %w", m.shard.ID, err)
		case ctx.Err() != nil || errors.As(err, &bad):
			return nil, "", err
		}
		c.leave(len(r.all))
	}
}

func (m *replica[K, V]) pageOf(ctx context.Context, c scanCursor, count int, keysOnly bool) ([]corral.ScanItem[K, V], string, error) {
	if m.vitals.out() { // what it holds could not be copied from there either
		return nil, "", ErrUnhealthy
	}
	items, next, err := m.scanner.ScanPage(ctx, c.inner, count, keysOnly)
	if err == nil && next != "" && next == c.inner {
		err = errStuck
	}
	return items, next, err
}

// scanCursor is where a scan of replicas is. As text it is the replica's index, those of
// the replicas that were left for the end, and that one's own cursor: "2-0,1:inner".
type scanCursor struct {
	at    int
	left  []int
	inner string
}

// last reports whether the replica was left for the end.
func (c *scanCursor) last() bool { return slices.Contains(c.left, c.at) }

// leave leaves the replica, of so many, for the end.
func (c *scanCursor) leave(n int) {
	c.left = append(c.left, c.at)
	c.inner = ""
	if c.at++; c.at == n {
		c.at = c.left[0]
	}
}

// goOn goes to the next replica of so many, and reports whether there is one.
func (c *scanCursor) goOn(n int) bool {
	c.inner = ""
	if c.last() {
		c.left = slices.DeleteFunc(c.left, func(i int) bool { return i == c.at })
	} else if c.at++; c.at < n {
		return true
	}
	if len(c.left) == 0 {
		return false
	}
	c.at = c.left[0]
	return true
}

func (c *scanCursor) String() string {
	var b strings.Builder
	b.WriteString(strconv.Itoa(c.at))
	between := "-"
	for _, i := range c.left {
		b.WriteString(between + strconv.Itoa(i))
		between = ","
	}
	return b.String() + ":" + c.inner
}

// cursorOf returns what a cursor of n replicas says, the empty one that nothing was visited.
// What is left for the end was come to before: else what comes after it would be passed over.
func cursorOf(text string, n int) (c scanCursor, ok bool) {
	if text == "" {
		return c, true
	}
	where, inner, ok := strings.Cut(text, ":")
	at, left, some := strings.Cut(where, "-")
	c.inner = inner
	numbers := []string{at}
	if some {
		numbers = append(numbers, strings.Split(left, ",")...)
	}
	for k, number := range numbers {
		i, err := strconv.Atoi(number)
		switch {
		case !ok || err != nil || i < 0 || i >= n || slices.Contains(c.left, i):
			return c, false
		case k == 0:
			c.at = i
		default:
			c.left = append(c.left, i)
		}
	}
	return c, c.last() || !slices.ContainsFunc(c.left, func(i int) bool { return i > c.at })
}
