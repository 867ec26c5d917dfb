package redisfleet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/stored"
)

// CorruptError says that a key holds what this package did not write.
type CorruptError struct {
	Key string // on the server
	Err error  // what is wrong with what it holds
}

// Error names the key.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("redisfleet: the key %q holds what is not readable: %v", e.Key, e.Err)
}

// Unwrap returns Err.
func (e *CorruptError) Unwrap() error { return e.Err }

// maxPrefix bounds a Prefix, of which every key has a copy.
const maxPrefix = 255

// store is a client and the names of its keys.
type store struct {
	client redis.UniversalClient
	tag    string // what all names begin with
}

func newStore(client redis.UniversalClient, of, prefix string) (store, error) {
	switch {
	case stored.IsNil(client):
		return store{}, option(of+": client", "nil", "required")
	case strings.ContainsAny(prefix, "{}"):
		return store{}, option(of+": Prefix", fmt.Sprintf("%q", prefix), "must hold no brace: those around it choose the hash slot")
	case len(prefix) > maxPrefix:
		return store{}, option(of+": Prefix", fmt.Sprintf("%d bytes long", len(prefix)), fmt.Sprintf("must have at most %d", maxPrefix))
	case prefix == "":
		prefix = "fleet"
	}
	return store{client, "corral-fleet:{" + prefix + "}:"}, nil
}

// option says which field or argument of this package cannot work.
func option(field string, value any, bound string) error {
	return &corral.OptionError{Field: "redisfleet." + field, Value: value, Bound: bound}
}

// do calls fn with a context that does not end in the middle of a command: that would
// break a connection which others wait for. Its error says what was done.
func do[T any](ctx context.Context, what string, fn func(ctx context.Context) (T, error)) (T, error) {
	v, err := bounded.Do(ctx, func(ctx context.Context) (T, error) {
		return fn(context.WithoutCancel(ctx))
	})
	corrupt, wrong := (*CorruptError)(nil), (*corral.OptionError)(nil)
	if err != nil && !errors.As(err, &corrupt) && !errors.As(err, &wrong) {
		err = fmt.Errorf("redisfleet: %s: %w", what, err)
	}
	return v, err
}

// typed makes a CorruptError of a reply that says that a key holds another type.
func typed(key string, err error) error {
	if redis.HasErrorPrefix(err, "WRONGTYPE") || err != nil && strings.Contains(err.Error(), "WRONGTYPE") {
		return &CorruptError{Key: key, Err: err}
	}
	return err
}

// get returns what a key holds, false for nothing.
func (s store) get(ctx context.Context, key string) (text string, ok bool, err error) {
	text, err = s.client.Get(ctx, key).Result()
	if errors.Is(err, redis.Nil) {
		return "", false, nil
	}
	return text, err == nil, typed(key, err)
}
