package redisfleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
	"github.com/corralcache/corral/redisadapter/redisfleet"
	"github.com/corralcache/corral/sharded/fleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mini returns a server, the wire to it and a client on the wire.
func mini(t testing.TB) (*miniredis.Miniredis, *redistest.Wire, *redis.Client) {
	m := redistest.Mini(t)
	wire := redistest.NewWire(m)
	return m, wire, redistest.Client(t, wire.Dial)
}

func pins[K comparable](t testing.TB, client redis.UniversalClient, opts redisfleet.PinOptions[K]) *redisfleet.Pins[K] {
	t.Helper()
	p, err := redisfleet.NewPins(client, opts)
	must(t, err)
	return p
}

func epochs(t testing.TB, client redis.UniversalClient) *redisfleet.Epochs {
	t.Helper()
	e, err := redisfleet.NewEpochs(client, redisfleet.Options{})
	must(t, err)
	return e
}

func checkpoints(t testing.TB, client redis.UniversalClient) *redisfleet.Checkpoints {
	t.Helper()
	c, err := redisfleet.NewCheckpoints(client, redisfleet.Options{})
	must(t, err)
	return c
}

func TestCheckpoints(t *testing.T) {
	_, _, client := mini(t)
	c := checkpoints(t, client)
	for _, want := range []fleet.Checkpoint{
		{},
		{From: "a", To: "b", Cursors: map[string]string{"s\x00": "10.0.0.1:6379/17"}, Shards: map[string]fleet.ShardReport{"s\x00": {Copied: 1, Bytes: 1 << 62, Done: true}}},
		{From: "b", To: "c"},
		{},
	} {
		must(t, c.Save(t.Context(), want))
		got, err := c.Load(t.Context())
		if must(t, err); !reflect.DeepEqual(got, want) {
			t.Errorf("what comes back is %+v, want %+v", got, want)
		}
	}
	if keys := client.Keys(t.Context(), "*").Val(); len(keys) != 0 {
		t.Errorf("%q are left", keys)
	}
}

// A migration that is over leaves no checkpoint, and one that was cut off goes on from
// it in another process, over shards of which nothing is left in memory.
func TestAMigrationGoesOnInAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := map[string]*redistest.Wire{}
		for _, id := range []string{"a", "b", "c"} {
			servers[id] = redistest.NewWire(redistest.Mini(t))
		}
		_, wire, _ := mini(t)
		topology := func(epoch uint64, ids ...string) (to fleet.Topology) {
			to.Epoch = epoch
			for _, id := range ids {
				to.Shards = append(to.Shards, fleet.Shard{ID: id})
			}
			return to
		}
		process := func() (*fleet.Fleet[string, string], fleet.MigrateOptions) {
			client := redistest.Client(t, wire.Dial)
			clients := map[string]*redis.Client{}
			for id, wire := range servers {
				clients[id] = redistest.Client(t, wire.Dial)
			}
			f, err := fleet.New(t.Context(), topology(1, "a", "b"), func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
				return redisadapter.New(clients[s.ID], redisadapter.Options[string, string]{Prefix: "p"}), nil
			}, fleet.Options[string]{MaxLife: time.Hour, Epochs: epochs(t, client)})
			must(t, err)
			t.Cleanup(func() { must(t, f.Close(context.Background())) })
			return f, fleet.MigrateOptions{Checkpoints: checkpoints(t, client), Batch: 16, Workers: 1}
		}
		f, opts := process()
		const n = 1500
		for i := range n {
			e := &corral.Entry[string]{Value: "value", LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Hour}
			must(t, f.Set(t.Context(), fmt.Sprint("key:", i), e))
		}
		_, err := f.Apply(t.Context(), topology(2, "a", "b", "c"))
		must(t, err)
		opts.BytesPerSecond = 2000 // for what takes 1.2 s
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		before, err := fleet.Migrate(ctx, f, opts)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || before.Ended {
			t.Fatalf("cut off, the report is %+v, %v", before, err)
		}
		time.Sleep(3 * time.Second)
		g, opts := process()
		report, err := fleet.Migrate(t.Context(), g, opts)
		must(t, err)
		if !report.Ended || report.Copied == 0 || report.Failed+report.Mismatched != 0 {
			t.Errorf("the report is %+v, and before it was cut off %+v", report, before)
		}
		for i := range n {
			if e, err := g.Get(t.Context(), fmt.Sprint("key:", i)); err != nil || e == nil || e.Value != "value" {
				t.Fatalf("key %d is %v, %v", i, e, err)
			}
		}
		at, err := opts.Checkpoints.Load(t.Context())
		if must(t, err); at.From != "" {
			t.Errorf("there is still a checkpoint: %+v", at)
		}
	})
}

func TestWhatCannotWork(t *testing.T) {
	_, _, client := mini(t)
	var none *redis.Client
	for want, err := range map[string]error{
		"NewPins: client":               second(redisfleet.NewPins(none, redisfleet.PinOptions[int]{})),
		"NewEpochs: client":             second(redisfleet.NewEpochs(nil, redisfleet.Options{})),
		"NewCheckpoints: client":        second(redisfleet.NewCheckpoints(nil, redisfleet.Options{})),
		"NewPins: Prefix":               second(redisfleet.NewPins(client, redisfleet.PinOptions[int]{Prefix: "{"})),
		"NewEpochs: Prefix":             second(redisfleet.NewEpochs(client, redisfleet.Options{Prefix: strings.Repeat("x", 256)})),
		"PinOptions.Key":                second(redisfleet.NewPins(client, redisfleet.PinOptions[tenant]{})),
		"PinOptions.ParseKey":           second(redisfleet.NewPins(client, redisfleet.PinOptions[tenant]{Key: func(tenant) string { return "" }})),
		"PinOptions.Life":               second(redisfleet.NewPins(client, redisfleet.PinOptions[int]{Life: time.Microsecond})),
		"Epochs.Publish: next.Revision": second(epochs(t, client).Publish(t.Context(), 0, fleet.Published{})),
	} {
		var option *corral.OptionError
		if !errors.As(err, &option) || option.Field != "redisfleet."+want || option.Bound == "" {
			t.Errorf("the error is %v, want an OptionError of %s", err, want)
		}
	}
	p := pins(t, client, redisfleet.PinOptions[tenant]{
		Key:      func(tenant) string { panic("no") },
		ParseKey: func(string) (tenant, error) { return tenant{}, nil },
	})
	var panicked *corral.PanicError
	if _, _, err := p.Get(t.Context(), tenant{}); !errors.As(err, &panicked) {
		t.Errorf("the error of a Key that panics is %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// Keys that hold what this package did not write are errors that name them.
func TestWhatIsCorrupt(t *testing.T) {
	const of = "corral-fleet:{fleet}:"
	for name, c := range map[string]struct {
		key   string
		value string // empty for a list
		call  func(ctx context.Context, c *redis.Client) error
	}{
		"a pin of another type": {of + "pin:1", "", func(ctx context.Context, c *redis.Client) error {
			_, _, err := pins(t, c, redisfleet.PinOptions[int]{}).Get(ctx, 1)
			return err
		}},
		"a pin of another type, to change": {of + "pin:1", "", func(ctx context.Context, c *redis.Client) error {
			_, _, err := pins(t, c, redisfleet.PinOptions[int]{}).GetOrPin(ctx, 1, "a")
			return err
		}},
		"a pin of no shard": {of + "pin:1", "\xff", func(ctx context.Context, c *redis.Client) error {
			_, _, err := pins(t, c, redisfleet.PinOptions[int]{}).Get(ctx, 1)
			return err
		}},
		"a pin of no shard among all": {of + "pin:1", "\xff", func(ctx context.Context, c *redis.Client) error {
			for _, err := range pins(t, c, redisfleet.PinOptions[int]{}).All(ctx) {
				return err
			}
			return nil
		}},
		"no version": {of + "version", "x", func(ctx context.Context, c *redis.Client) error {
			_, err := pins(t, c, redisfleet.PinOptions[int]{}).Version(ctx)
			return err
		}},
		"no checkpoint": {of + "checkpoint", "{", func(ctx context.Context, c *redis.Client) error {
			_, err := checkpoints(t, c).Load(ctx)
			return err
		}},
		"another checkpoint": {of + "checkpoint", "", func(ctx context.Context, c *redis.Client) error {
			_, err := checkpoints(t, c).Load(ctx)
			return err
		}},
		"no epochs":        {of + "epochs", "x", load},
		"other epochs":     {of + "epochs", "", load},
		"cut off":          {of + "epochs", "1 x\n{", load},
		"another revision": {of + "epochs", "2 x\n{\"revision\":1}", load},
		"over other epochs": {of + "epochs", "", func(ctx context.Context, c *redis.Client) error {
			_, err := epochs(t, c).Publish(ctx, 0, fleet.Published{Revision: 1})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, client := mini(t)
			if c.value == "" {
				must(t, client.RPush(t.Context(), c.key, "x").Err())
			} else {
				must(t, client.Set(t.Context(), c.key, c.value, 0).Err())
			}
			var corrupt *redisfleet.CorruptError
			if err := c.call(t.Context(), client); !errors.As(err, &corrupt) || corrupt.Key != c.key || corrupt.Err == nil {
				t.Errorf("the error is %v, want a CorruptError of %s", err, c.key)
			}
		})
	}
}

func load(ctx context.Context, c *redis.Client) error {
	e, err := redisfleet.NewEpochs(c, redisfleet.Options{})
	if err == nil {
		_, err = e.Load(ctx)
	}
	return err
}

// Of all that publish after the same revision one does; what it published comes back
// as it was, with the greatest numbers too.
func TestEpochs(t *testing.T) {
	_, _, client := mini(t)
	e := epochs(t, client)
	if p, err := e.Load(t.Context()); err != nil || !reflect.DeepEqual(p, fleet.Published{}) {
		t.Errorf("before anything was published there is %+v, %v", p, err)
	}
	previous := fleet.Topology{Epoch: 1 << 63, Shards: []fleet.Shard{{ID: "a", Weight: 3, Addr: "x:1"}}}
	const last = 1<<64 - 2
	for revision, round := uint64(0), 0; round < 3; round++ {
		next := fleet.Published{Revision: last - 2 + uint64(round), Phase: fleet.PhaseSwitch, Topology: previous, Previous: &previous}
		var published atomic.Int32
		var all sync.WaitGroup
		for range 500 {
			all.Go(func() { // all the same: as fleets do that go on with a change
				ok, err := e.Publish(t.Context(), revision, next)
				must(t, err)
				if ok {
					published.Add(1)
				}
			})
		}
		all.Wait()
		got, err := e.Load(t.Context())
		if must(t, err); published.Load() != 1 || !reflect.DeepEqual(got, next) {
			t.Errorf("%d published, want 1; there is %+v, want %+v", published.Load(), got, next)
		}
		revision = next.Revision
	}
	text, err := client.Get(t.Context(), "corral-fleet:{fleet}:epochs").Result()
	must(t, err)
	_, body, _ := strings.Cut(text, "\n")
	if life := client.TTL(t.Context(), "corral-fleet:{fleet}:epochs").Val(); !json.Valid([]byte(body)) || life != -1 {
		t.Errorf("what is stored is %q, for %v; want JSON, for good", text, life)
	}
}

// A call returns when its context ends, whatever the server does.
func TestCallsReturnWithTheirContext(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, c *redis.Client) error{
		"Epochs.Load": load,
		"Epochs.Publish": func(ctx context.Context, c *redis.Client) error {
			_, err := epochs(t, c).Publish(ctx, 0, fleet.Published{Revision: 1})
			return err
		},
		"Checkpoints.Load": func(ctx context.Context, c *redis.Client) error {
			_, err := checkpoints(t, c).Load(ctx)
			return err
		},
		"Checkpoints.Save": func(ctx context.Context, c *redis.Client) error {
			return checkpoints(t, c).Save(ctx, fleet.Checkpoint{From: "a", To: "b"})
		},
		"Pins.Get": func(ctx context.Context, c *redis.Client) error {
			_, _, err := pins(t, c, redisfleet.PinOptions[int]{}).Get(ctx, 1)
			return err
		},
		"Pins.GetOrPin": func(ctx context.Context, c *redis.Client) error {
			_, _, err := pins(t, c, redisfleet.PinOptions[int]{}).GetOrPin(ctx, 1, "a")
			return err
		},
		"Pins.Version": func(ctx context.Context, c *redis.Client) error {
			_, err := pins(t, c, redisfleet.PinOptions[int]{}).Version(ctx)
			return err
		},
		"Pins.All": func(ctx context.Context, c *redis.Client) error {
			for _, err := range pins(t, c, redisfleet.PinOptions[int]{}).All(ctx) {
				return err
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, wire, client := mini(t)
				wire.Swallow(true)
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				start := time.Now()
				err := call(ctx, client)
				if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 100*time.Millisecond {
					t.Errorf("after %v the error is %v, want the deadline's after 100ms", took, err)
				}
				time.Sleep(time.Minute) // what was left behind
			})
		})
	}
}

// A fleet whose pins and topology are on a Redis: what one process does another knows.
func TestAFleetOfTwoProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, wire, client := mini(t)
		process := func(client *redis.Client) *fleet.Fleet[string, string] {
			f, err := fleet.New(t.Context(), fleet.Topology{Epoch: 1, Shards: []fleet.Shard{{ID: "a"}, {ID: "b"}}}, inMemory,
				fleet.Options[string]{MaxLife: time.Minute, Epochs: epochs(t, client), Pins: pins(t, client, redisfleet.PinOptions[string]{})})
			must(t, err)
			return f
		}
		one, other := process(client), process(redistest.Client(t, wire.Dial))
		_, err := one.Apply(t.Context(), fleet.Topology{Epoch: 2, Shards: []fleet.Shard{{ID: "a"}, {ID: "c"}}})
		must(t, err)
		_, _, err = pins(t, client, redisfleet.PinOptions[string]{}).GetOrPin(t.Context(), "k", "c")
		must(t, err)
		time.Sleep(3 * time.Second)
		for range 2 { // the first one has the pins looked after
			_, err = other.Get(t.Context(), "k")
			must(t, err)
			synctest.Wait()
		}
		if now, _ := other.Topology(); now.Epoch != 2 || other.Owner("k").ID != "c" {
			t.Errorf("the other process has epoch %d, and the pin at %q", now.Epoch, other.Owner("k").ID)
		}
		must(t, one.Close(context.Background()))
		must(t, other.Close(context.Background()))
	})
}

// repeating sends each script twice, as a client does whose first reply got lost.
type repeating struct{}

func (repeating) DialHook(next redis.DialHook) redis.DialHook { return next }

func (repeating) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (repeating) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if strings.HasPrefix(cmd.Name(), "eval") && err == nil {
			err = next(ctx, cmd)
		}
		return err
	}
}

// What was published by a command that is repeated was published by who sent it.
func TestEpochsOfACommandThatIsRepeated(t *testing.T) {
	_, _, client := mini(t)
	client.AddHook(repeating{})
	e := epochs(t, client)
	first := fleet.Published{Revision: 1, Topology: fleet.Topology{Epoch: 1, Shards: []fleet.Shard{{ID: "a"}}}}
	if ok, err := e.Publish(t.Context(), 0, first); !ok || err != nil {
		t.Errorf("Publish = %v, %v", ok, err)
	}
}
