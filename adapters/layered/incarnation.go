package layered

import (
	"context"

	"github.com/corralcache/corral"
)

var _ corral.Incarnate = (*Cache[string, any])(nil)

// Incarnation is that of far, empty if far cannot tell. What near holds was heard of
// as it was written, whatever became of far since.
func (c *Cache[K, V]) Incarnation(ctx context.Context) (string, error) {
	if far, ok := c.far.(corral.Incarnate); ok && c.fault == nil {
		return far.Incarnation(ctx)
	}
	return "", c.fault
}
