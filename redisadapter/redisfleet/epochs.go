package redisfleet

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral/sharded/fleet"
)

// Options of [NewEpochs] and [NewCheckpoints].
type Options struct {
	// Prefix sets one fleet apart from others on the server. It may hold no brace, and
	// at most 255 bytes; empty is "fleet".
	Prefix string
}

// Epochs are [fleet.Epochs] in one key, which has no life. Whether it may be replaced
// is decided by a script.
type Epochs struct {
	store
	key string
}

var _ fleet.Epochs = (*Epochs)(nil)

// NewEpochs asks the server nothing. The error is a [*corral.OptionError] for a nil
// client or a Prefix that cannot be.
func NewEpochs(client redis.UniversalClient, opts Options) (*Epochs, error) {
	s, err := newStore(client, "NewEpochs", opts.Prefix)
	if err != nil {
		return nil, err
	}
	return &Epochs{s, s.tag + "epochs"}, nil
}

// Load returns what was published last; the zero Published if nothing was. What cannot
// be read is a [*CorruptError]: a fleet does not publish over it.
func (e *Epochs) Load(ctx context.Context) (fleet.Published, error) {
	return do(ctx, "what was published", func(ctx context.Context) (p fleet.Published, err error) {
		text, ok, err := e.get(ctx, e.key)
		if err != nil || !ok {
			return p, err
		}
		if p, err = parsePublished(text); err != nil {
			return fleet.Published{}, &CorruptError{e.key, err}
		}
		return p, nil
	})
}

// Publish puts next in the place of what has the revision, zero standing for nothing.
// A repeated command finds what it has put there, and is told so.
func (e *Epochs) Publish(ctx context.Context, revision uint64, next fleet.Published) (ok bool, err error) {
	if next.Revision == 0 {
		return false, option("Epochs.Publish: next.Revision", 0, "must be above 0: that stands for nothing")
	}
	text, err := json.Marshal(next)
	if err != nil {
		return false, err
	}
	return do(ctx, "to publish", func(ctx context.Context) (bool, error) {
		n, err := scriptPublish.Run(ctx, e.client, []string{e.key}, revision,
			fmt.Sprintf("%d %s\n%s", next.Revision, rand.Text(), text)).Int()
		return n == 1, typed(e.key, err)
	})
}

// parsePublished reads what Publish wrote: the revision, which the script compares
// though its numbers would be too short for it, the name of the attempt, and JSON.
func parsePublished(text string) (p fleet.Published, err error) {
	head, body, ok := strings.Cut(text, "\n")
	revision, _, named := strings.Cut(head, " ")
	if !ok || !named {
		return p, errNotOurs
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		return p, err
	}
	if n, err := strconv.ParseUint(revision, 10, 64); err != nil || n == 0 || n != p.Revision {
		return p, fmt.Errorf("the revision is %.20q, and in the JSON %d", revision, p.Revision)
	}
	return p, nil
}

var errNotOurs = errors.New("it is of another form")

// KEYS: what is published. ARGV: the revision that it must have, what replaces it.
var scriptPublish = redis.NewScript(`
local now = redis.call('GET', KEYS[1])
if now == ARGV[2] then return 1 end
local revision = '0'
if now then revision = string.match(now, '^(%d+) ') end
if revision ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1`)
