package redisfleet

import (
	"context"
	"encoding/json"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral/sharded/fleet"
)

// Checkpoints are [fleet.Checkpoints] in one key, which has no life.
type Checkpoints struct {
	store
	key string
}

var _ fleet.Checkpoints = (*Checkpoints)(nil)

// NewCheckpoints asks the server nothing. The error is a [*corral.OptionError] for a nil
// client or a Prefix that cannot be.
func NewCheckpoints(client redis.UniversalClient, opts Options) (*Checkpoints, error) {
	s, err := newStore(client, "NewCheckpoints", opts.Prefix)
	if err != nil {
		return nil, err
	}
	return &Checkpoints{s, s.tag + "checkpoint"}, nil
}

// Load returns what was saved last; the zero Checkpoint if nothing was. What cannot be
// read is a [*CorruptError]; Save replaces that too.
func (c *Checkpoints) Load(ctx context.Context) (fleet.Checkpoint, error) {
	return do(ctx, "the checkpoint", func(ctx context.Context) (at fleet.Checkpoint, err error) {
		text, ok, err := c.get(ctx, c.key)
		if err != nil || !ok {
			return at, err
		}
		if err := json.Unmarshal([]byte(text), &at); err != nil {
			return fleet.Checkpoint{}, &CorruptError{c.key, err}
		}
		return at, nil
	})
}

// Save replaces what is there; the zero Checkpoint deletes it.
func (c *Checkpoints) Save(ctx context.Context, at fleet.Checkpoint) error {
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	_, err = do(ctx, "to save the checkpoint", func(ctx context.Context) (struct{}, error) {
		if at.From == "" && at.To == "" {
			return struct{}{}, c.client.Del(ctx, c.key).Err()
		}
		return struct{}{}, c.client.Set(ctx, c.key, text, 0).Err()
	})
	return err
}
