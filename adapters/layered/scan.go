package layered

import (
	"context"
	"fmt"
	"time"

	"github.com/corralcache/corral"
)

var (
	_ corral.Scanner[string, any] = (*Cache[string, any])(nil)
	_ corral.ScanChecker          = (*Cache[string, any])(nil)
)

// CheckScan says whether far can enumerate what it holds.
func (c *Cache[K, V]) CheckScan() error {
	if c.fault != nil {
		return c.fault
	}
	if _, ok := c.far.(corral.Scanner[K, V]); !ok {
		return option("New: far", fmt.Sprintf("a %T", c.far), "must be a corral.Scanner to be scanned")
	}
	if asks, ok := c.far.(corral.ScanChecker); ok {
		return asks.CheckScan()
	}
	return nil
}

// ScanPage is that of far, which has all that near has. Nothing is copied into near:
// a scan would drive out what is in use.
func (c *Cache[K, V]) ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) (items []corral.ScanItem[K, V], next string, err error) {
	if err := c.CheckScan(); err != nil {
		return nil, "", err
	}
	asked := time.Now()
	items, next, err = c.far.(corral.Scanner[K, V]).ScanPage(ctx, cursor, count, keysOnly)
	if err != nil {
		return nil, "", err
	}
	for i := range items {
		items[i].Entry = c.whole(items[i].Entry, asked)
	}
	return items, next, nil
}
