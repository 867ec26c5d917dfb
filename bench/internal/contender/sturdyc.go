package contender

import (
	"context"
	"time"

	"github.com/viccon/sturdyc"
)

// sturdyc: keys are strings.

func init() {
	register(Contender{
		Name: "sturdyc", Module: "github.com/viccon/sturdyc",
		HitString: func(o HitOptions) (Hits[string], error) { return newSturdycValues(o.Capacity), nil },
		Miss:      func(capacity int) (Misses, error) { return newSturdycValues(capacity), nil },
		Service:   newSturdycService,
	})
}

const (
	sturdycShards  = 64
	sturdycPercent = 10 // evicted when a shard is full
)

type sturdycValues struct{ client *sturdyc.Client[*Value] }

// newSturdycValues has early refreshes on, as Corral has, and room for the keys
// that do not spread evenly over its shards.
func newSturdycValues(capacity int) *sturdycValues {
	return &sturdycValues{sturdyc.New[*Value](2*capacity+1000*sturdycShards, sturdycShards, 2*Life, sturdycPercent,
		sturdyc.WithEarlyRefreshes(Life/2, Life, 2*Life, time.Second))}
}

func (s *sturdycValues) Fill(keys []string) error {
	for _, key := range keys {
		s.client.Set(key, new(Value))
	}
	return nil
}

func (s *sturdycValues) Hit(keys []string, from, n int) (sum int, err error) {
	ctx, load, mask := context.Background(), sturdyc.FetchFn[*Value](noKey(missed[string])), len(keys)-1
	for i := from; i < from+n; i++ {
		v, err := s.client.GetOrFetch(ctx, keys[i&mask], load)
		if err != nil {
			return sum, err
		}
		sum += int(v.Data[0])
	}
	return sum, nil
}

func (s *sturdycValues) Miss(keys []string) (sum int, err error) {
	ctx, load := context.Background(), sturdyc.FetchFn[*Value](noKey(loadValue[string]))
	for _, key := range keys {
		v, err := s.client.GetOrFetch(ctx, key, load)
		if err != nil {
			return sum, err
		}
		sum += int(v.Data[0])
	}
	return sum, nil
}

// noKey is a load that knows its key otherwise.
func noKey(load func(context.Context, string) (*Value, error)) func(context.Context) (*Value, error) {
	return func(ctx context.Context) (*Value, error) { return load(ctx, "") }
}

func (s *sturdycValues) Close() {}

type sturdycService struct {
	client *sturdyc.Client[string]
	load   Source
}

func newSturdycService(o ServiceOptions) (Service, error) {
	var opts []sturdyc.Option
	life := o.TTL
	if o.StaleFor > 0 {
		life = o.TTL + o.StaleFor
		opts = append(opts, sturdyc.WithEarlyRefreshes(o.TTL, o.TTL+o.TTL/4, life, 100*time.Millisecond))
	}
	return &sturdycService{
		sturdyc.New[string](2*o.Capacity+1000*sturdycShards, sturdycShards, life, sturdycPercent, opts...), o.Load,
	}, nil
}

func (s *sturdycService) Get(ctx context.Context, key string) (string, error) {
	return s.client.GetOrFetch(ctx, key, func(ctx context.Context) (string, error) { return s.load(ctx, key) })
}

func (s *sturdycService) Delete(_ context.Context, key string) error {
	s.client.Delete(key)
	return nil
}

func (s *sturdycService) Close() {}
