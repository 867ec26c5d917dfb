package redisfleet_test

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral/redisadapter/redisfleet"
	"github.com/corralcache/corral/sharded/fleet"
)

// connect returns a client of a server that lives in this process.
func connect() (*redis.Client, func()) {
	server := miniredis.NewMiniRedis()
	client := redis.NewClient(&redis.Options{
		Addr:   "127.0.0.1:6379",
		Dialer: func(context.Context, string, string) (net.Conn, error) { return server.Dial() },
	})
	return client, func() {
		_ = client.Close()
		server.Close()
	}
}

// With both the processes of a fleet agree on where keys are.
func ExampleNewPins() {
	client, closeAll := connect()
	defer closeAll()
	ctx := context.Background()

	pins, err := redisfleet.NewPins(client, redisfleet.PinOptions[string]{Prefix: "users"})
	fmt.Println(err)
	epochs, err := redisfleet.NewEpochs(client, redisfleet.Options{Prefix: "users"})
	fmt.Println(err)
	_, _, _ = pins.GetOrPin(ctx, "tenant:1", "b")

	t := fleet.Topology{Epoch: 1, Shards: []fleet.Shard{{ID: "a"}, {ID: "b"}}}
	f, err := fleet.New(ctx, t, inMemory, fleet.Options[string]{Pins: pins, Epochs: epochs})
	fmt.Println(f.Owner("tenant:1").ID, err, f.Close(ctx))
	// Output:
	// <nil>
	// <nil>
	// b <nil> <nil>
}

// Each publication replaces the one before.
func ExampleNewEpochs() {
	client, closeAll := connect()
	defer closeAll()
	ctx := context.Background()

	epochs, err := redisfleet.NewEpochs(client, redisfleet.Options{Prefix: "users"})
	fmt.Println(err)
	first := fleet.Published{Revision: 1, Topology: fleet.Topology{Epoch: 1, Shards: []fleet.Shard{{ID: "a"}}}}
	fmt.Println(epochs.Publish(ctx, 0, first))
	fmt.Println(epochs.Publish(ctx, 0, first))
	now, err := epochs.Load(ctx)
	fmt.Println(now.Revision, now.Topology.Shards[0].ID, err)
	// Output:
	// <nil>
	// true <nil>
	// false <nil>
	// 1 a <nil>
}

func ExampleEpochs_Load() {
	client, closeAll := connect()
	defer closeAll()
	epochs, _ := redisfleet.NewEpochs(client, redisfleet.Options{})
	now, err := epochs.Load(context.Background())
	fmt.Println(now.Revision, err)
	// Output: 0 <nil>
}

func ExampleEpochs_Publish() {
	client, closeAll := connect()
	defer closeAll()
	epochs, _ := redisfleet.NewEpochs(client, redisfleet.Options{})
	t := fleet.Topology{Epoch: 1, Shards: []fleet.Shard{{ID: "a"}}}
	fmt.Println(epochs.Publish(context.Background(), 0, fleet.Published{Revision: 1, Topology: t}))
	// Output: true <nil>
}

// somePins returns three.
func somePins(client redis.UniversalClient) *redisfleet.Pins[int] {
	pins, err := redisfleet.NewPins(client, redisfleet.PinOptions[int]{})
	if err != nil {
		panic(err)
	}
	for key, shard := range map[int]string{1: "a", 2: "b", 3: "b"} {
		_, _, _ = pins.GetOrPin(context.Background(), key, shard)
	}
	return pins
}

func ExamplePins_GetOrPin() {
	client, closeAll := connect()
	defer closeAll()
	pins := somePins(client)
	fmt.Println(pins.GetOrPin(context.Background(), 1, "c"))
	fmt.Println(pins.GetOrPin(context.Background(), 4, "c"))
	// Output:
	// a false <nil>
	// c true <nil>
}

func ExamplePins_TryPin() {
	client, closeAll := connect()
	defer closeAll()
	pins := somePins(client)
	fmt.Println(pins.TryPin(context.Background(), 1, "a", "c"))
	fmt.Println(pins.TryPin(context.Background(), 1, "a", "b"))
	// Output:
	// c true <nil>
	// c false <nil>
}

func ExamplePins_Stats() {
	client, closeAll := connect()
	defer closeAll()
	pins := somePins(client)
	before := pins.Stats().Pinned
	_, _, err := pins.GetOrPin(context.Background(), 4, "c")
	fmt.Println(pins.Stats().Pinned-before, err)
	// Output: 1 <nil>
}

func ExamplePins_Unpin() {
	client, closeAll := connect()
	defer closeAll()
	pins := somePins(client)
	fmt.Println(pins.Unpin(context.Background(), 1, "b"))
	fmt.Println(pins.Unpin(context.Background(), 1, "a"))
	// Output:
	// false <nil>
	// true <nil>
}

func ExamplePins_All() {
	client, closeAll := connect()
	defer closeAll()
	var on strings.Builder
	n := 0
	for pin, err := range somePins(client).All(context.Background()) {
		if err != nil {
			panic(err)
		}
		if n++; pin.Shard == "a" {
			fmt.Fprint(&on, pin.Key, " is on a,")
		}
	}
	fmt.Println(on.String(), n)
	// Output: 1 is on a, 3
}

func ExamplePins_Compact() {
	client, closeAll := connect()
	defer closeAll()
	fmt.Println(somePins(client).Compact(context.Background(), func(pin fleet.Pin[int]) bool { return pin.Shard != "b" }))
	// Output: 2 <nil>
}

func ExamplePins_Version() {
	client, closeAll := connect()
	defer closeAll()
	pins, ctx := somePins(client), context.Background()
	before, _ := pins.Version(ctx)
	_, _ = pins.Unpin(ctx, 1, "a")
	after, err := pins.Version(ctx)
	fmt.Println(before != after, err)
	// Output: true <nil>
}

// With these a migration that has died goes on in another process.
func ExampleNewCheckpoints() {
	client, closeAll := connect()
	defer closeAll()
	checkpoints, err := redisfleet.NewCheckpoints(client, redisfleet.Options{Prefix: "users"})
	opts := fleet.MigrateOptions{Checkpoints: checkpoints}
	fmt.Println(opts.Checkpoints != nil, err)
	// Output: true <nil>
}

func ExampleCheckpoints_Load() {
	client, closeAll := connect()
	defer closeAll()
	checkpoints, _ := redisfleet.NewCheckpoints(client, redisfleet.Options{})
	at, err := checkpoints.Load(context.Background())
	fmt.Println(at.From == "", err)
	// Output: true <nil>
}

// The zero Checkpoint forgets a migration that nobody will go on with.
func ExampleCheckpoints_Save() {
	client, closeAll := connect()
	defer closeAll()
	checkpoints, _ := redisfleet.NewCheckpoints(client, redisfleet.Options{})
	fmt.Println(checkpoints.Save(context.Background(), fleet.Checkpoint{}))
	// Output: <nil>
}
