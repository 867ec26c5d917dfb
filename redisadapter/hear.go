package redisadapter

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// A subscription on which nothing was heard for pingAfter is asked whether it
	// still is one, and it is none after silence, which is sooner than a second.
	pingAfter = 250 * time.Millisecond
	silence   = 3 * pingAfter

	// ping is what the question says. An answer that says something else belongs to
	// no question: the connection is out of step.
	ping = "corral"
)

var (
	errSilent  = errors.New("the subscription is silent")
	errStep    = errors.New("the subscription is out of step")
	errAgain   = errors.New("the subscription was made again")
	errShards  = errors.New("the shards are others than those that were subscribed to")
	errNoShard = errors.New("no shard is up")
)

// heard is what one subscription tells.
type heard struct {
	from    int
	kind    kind
	message string // of news
	err     error  // of the end
}

type kind uint8

const (
	alive kind = iota // a sign of life, nothing more
	begun             // it hears from now on
	told              // a message
	ended             // it hears no more
)

// hear tells of all messages on channel, until ctx ends or some may be missed, and
// returns why. It calls began once, when it hears all. Nothing is called after it
// has returned.
//
// The subscriptions are read on goroutines of their own, which end soon after,
// as the client may take its time to find out that a connection is lost: it
// dials another one first.
func hear(ctx context.Context, client redis.UniversalClient, channel string, began func(), tell func(message string)) error {
	nodes, err := publishers(ctx, client)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := make(chan heard)
	for i, node := range nodes {
		go subscription{node, channel, i, events}.run(ctx)
	}
	last := make([]time.Time, len(nodes)) // when each was heard, once it began
	tick := time.NewTicker(pingAfter)
	defer tick.Stop()
	for missing := len(nodes); ; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			if err := overdue(last); err != nil {
				return err
			}
			if now, err := publishers(ctx, client); err != nil || !slices.Equal(now, nodes) {
				return cmp.Or(err, errShards)
			}
		case h := <-events:
			again := h.kind == begun && !last[h.from].IsZero()
			last[h.from] = time.Now()
			switch {
			case h.kind == ended:
				return h.err
			case again: // by the client, which does not say so: what came in between is lost
				return errAgain
			case h.kind == begun:
				if missing--; missing == 0 {
					began()
				}
			case h.kind == told && missing == 0:
				tell(h.message)
			}
		}
	}
}

// overdue returns an error if one that began was not heard for too long.
func overdue(last []time.Time) error {
	for _, at := range last {
		if !at.IsZero() && time.Since(at) > silence {
			return errSilent
		}
	}
	return nil
}

// subscriber is a client as far as subscriptions go.
type subscriber interface {
	Subscribe(ctx context.Context, channels ...string) *redis.PubSub
}

// publishers returns whom to subscribe to so that all is heard. What is published
// on one node of a Cluster all nodes tell, but the shards of a Ring know nothing
// of each other, and a script publishes where its key is.
func publishers(ctx context.Context, client redis.UniversalClient) ([]subscriber, error) {
	ring, many := client.(*redis.Ring)
	if !many {
		return []subscriber{client}, nil
	}
	var (
		mu     sync.Mutex
		shards []*redis.Client
		nodes  []subscriber
	)
	err := ring.ForEachShard(ctx, func(_ context.Context, shard *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		shards = append(shards, shard)
		return nil
	})
	if err == nil && len(shards) == 0 {
		err = errNoShard
	}
	slices.SortFunc(shards, func(a, b *redis.Client) int { return cmp.Compare(a.Options().Addr, b.Options().Addr) })
	for _, shard := range shards {
		nodes = append(nodes, shard)
	}
	return nodes, err
}
