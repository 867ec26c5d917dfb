package redisfleet

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral/internal/stored"
	"github.com/corralcache/corral/sharded/fleet"
)

// scanCount is how many of its keys a server looks at for a page, while it serves
// nobody else.
const scanCount = 512

// named is a pin with its key on the server.
type named[K comparable] struct {
	fleet.Pin[K]
	name string
}

// pages yields the pins, a page of SCAN at a time. An error is the last thing.
func (p *Pins[K]) pages(ctx context.Context) iter.Seq2[[]named[K], error] {
	return func(yield func([]named[K], error) bool) {
		nodes, err := do(ctx, "the nodes", p.nodes)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, node := range nodes {
			for cursor, more := uint64(0), true; more; more = cursor != 0 {
				page, err := do(ctx, "the pins", func(ctx context.Context) (page []named[K], err error) {
					page, cursor, err = p.page(ctx, node, cursor)
					return page, err
				})
				if !yield(page, err) || err != nil {
					return
				}
			}
		}
	}
}

// nodes returns the servers on which there may be pins: of a Cluster the one that has
// the slot of all, of a Ring all, since it does not tell.
func (p *Pins[K]) nodes(ctx context.Context) ([]redis.Cmdable, error) {
	switch client := p.client.(type) {
	case *redis.ClusterClient:
		node, err := client.MasterForKey(ctx, p.versionKey())
		return []redis.Cmdable{node}, err
	case *redis.Ring:
		var mu sync.Mutex
		var all []redis.Cmdable
		err := client.ForEachShard(ctx, func(_ context.Context, c *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, c)
			return nil
		})
		return all, err
	}
	return []redis.Cmdable{p.client}, nil
}

func (p *Pins[K]) page(ctx context.Context, node redis.Cmdable, cursor uint64) ([]named[K], uint64, error) {
	names, next, err := node.Scan(ctx, cursor, escaped(p.tag+"pin:")+"*", scanCount).Result()
	if err != nil || len(names) == 0 {
		return nil, next, err
	}
	slices.Sort(names)
	names = slices.Compact(names)
	values, err := p.client.MGet(ctx, names...).Result()
	if err == nil && len(values) != len(names) {
		err = errors.New("a reply of another length than was asked for")
	}
	if err != nil {
		return nil, next, err
	}
	var page []named[K]
	for i, name := range names {
		shard, ok := values[i].(string)
		if !ok { // it has ended meanwhile
			continue
		}
		if err := checkPin(name, shard); err != nil {
			return nil, next, err
		}
		key, err := stored.Parsed(strings.TrimPrefix(name, p.tag+"pin:"), p.parse)
		if err == nil {
			page = append(page, named[K]{fleet.Pin[K]{Key: key, Shard: shard}, name})
		}
	}
	return page, next, nil
}
