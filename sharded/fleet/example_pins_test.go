package fleet_test

import (
	"context"
	"fmt"

	"github.com/corralcache/corral/sharded/fleet"
)

func ExampleNewMemoryPins() {
	pins, err := fleet.NewMemoryPins[string](100)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	for range 2 {
		shard, pinned, err := pins.GetOrPin(ctx, "tenant7", "large")
		fmt.Println(shard, pinned, err)
	}
	fmt.Println(pins.Get(ctx, "tenant8"))
	// Output:
	// large true <nil>
	// large false <nil>
	//  false <nil>
}

func ExampleMemoryPins_GetOrPin() {
	pins, _ := fleet.NewMemoryPins[string](0)
	ctx := context.Background()
	fmt.Println(pins.GetOrPin(ctx, "tenant7", "a"))
	fmt.Println(pins.GetOrPin(ctx, "tenant7", "b")) // too late
	// Output:
	// a true <nil>
	// a false <nil>
}

// Shard a is taken out of service.
func ExampleMemoryPins_TryPin() {
	pins, _ := fleet.NewMemoryPins[string](0)
	ctx := context.Background()
	_, _, _ = pins.GetOrPin(ctx, "tenant7", "a")
	fmt.Println(pins.TryPin(ctx, "tenant7", "a", "b"))
	fmt.Println(pins.TryPin(ctx, "tenant7", "a", "c")) // somebody else did it
	// Output:
	// b true <nil>
	// b false <nil>
}

func ExampleMemoryPins_Unpin() {
	pins, _ := fleet.NewMemoryPins[string](0)
	ctx := context.Background()
	_, _, _ = pins.GetOrPin(ctx, "tenant7", "a")
	fmt.Println(pins.Unpin(ctx, "tenant7", "b"))
	fmt.Println(pins.Unpin(ctx, "tenant7", "a"))
	// Output:
	// false <nil>
	// true <nil>
}

func ExampleMemoryPins_All() {
	pins, _ := fleet.NewMemoryPins[string](0)
	ctx := context.Background()
	_, _, _ = pins.GetOrPin(ctx, "tenant7", "a")
	for pin, err := range pins.All(ctx) {
		fmt.Println(pin.Key, pin.Shard, err)
	}
	// Output: tenant7 a <nil>
}

func ExampleMemoryPins_Compact() {
	pins, _ := fleet.NewMemoryPins[string](0)
	ctx := context.Background()
	_, _, _ = pins.GetOrPin(ctx, "tenant7", "a")
	_, _, _ = pins.GetOrPin(ctx, "tenant8", "b")
	n, err := pins.Compact(ctx, func(pin fleet.Pin[string]) bool { return pin.Key != "tenant7" })
	fmt.Println(n, err, pins.Stats().Pins)
	// Output: 1 <nil> 1
}

func ExampleMemoryPins_Version() {
	pins, _ := fleet.NewMemoryPins[string](0)
	ctx := context.Background()
	before, _ := pins.Version(ctx)
	_, _, _ = pins.GetOrPin(ctx, "tenant7", "a")
	after, _ := pins.Version(ctx)
	fmt.Println(before != after)
	// Output: true
}

func ExampleMemoryPins_Stats() {
	pins, _ := fleet.NewMemoryPins[string](0)
	for range 3 {
		_, _, _ = pins.GetOrPin(context.Background(), "tenant7", "a")
	}
	s := pins.Stats()
	fmt.Println(s.Pins, s.Hits, s.Misses)
	// Output: 1 2 1
}

func ExampleCompactPins() {
	pins, _ := fleet.NewMemoryPins[string](0)
	ctx := context.Background()
	_, _, _ = pins.GetOrPin(ctx, "tenant7", "a")
	_, _, _ = pins.GetOrPin(ctx, "tenant8", "b")
	n, err := fleet.CompactPins(ctx, pins, func(pin fleet.Pin[string]) bool { return pin.Shard != "a" })
	fmt.Println(n, err)
	// Output: 1 <nil>
}
