package fleet

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/corralcache/corral"
)

// ScanPage visits what the replicas hold, one after the other: what one of them has
// evicted another may have. So a migration finds what is in a group.
func (r *replicas[K, V]) ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) ([]corral.ScanItem[K, V], string, error) {
	at := 0
	if cursor != "" {
		index, rest, ok := strings.Cut(cursor, ":")
		n, err := strconv.Atoi(index)
		if !ok || err != nil || n < 0 || n >= len(r.all) {
			return nil, "", option("ScanPage: cursor", fmt.Sprintf("%q", cursor), "must be one that a page returned")
		}
		at, cursor = n, rest
	}
	items, next, err := r.all[at].scanner.ScanPage(ctx, cursor, count, keysOnly)
	switch {
	case err != nil:
		return nil, "", err
	case next == "" && at == len(r.all)-1:
		return items, "", nil
	case next == "":
		at++
	case next == cursor:
		return nil, "", errStuck
	}
	return items, fmt.Sprintf("%d:%s", at, next), nil
}
