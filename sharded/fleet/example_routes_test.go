package fleet_test

import (
	"encoding/json"
	"fmt"

	"github.com/corralcache/corral/sharded/fleet"
)

func ExampleTopology_Validate() {
	t := fleet.Topology{Shards: []fleet.Shard{{ID: "a"}, {ID: "b", Weight: 70_000}}}
	fmt.Println(t.Validate())
	// Output: corral: fleet.Topology.Shards[1].Weight is 70000: must be at most 65535
}

// Two processes were configured by hand. They route alike, whatever the order.
func ExampleTopology_Digest() {
	ours := fleet.Topology{Epoch: 3, Shards: []fleet.Shard{{ID: "a", Weight: 2}, {ID: "b"}}}
	var theirs fleet.Topology
	text := `{"epoch": 3, "shards": [{"id": "b", "addr": "10.0.0.2:6379"}, {"id": "a", "weight": 2}]}`
	if err := json.Unmarshal([]byte(text), &theirs); err != nil {
		fmt.Println(err)
	}
	fmt.Println(ours.Digest() == theirs.Digest())
	theirs.Shards[0].Weight = 5
	fmt.Println(ours.Digest() == theirs.Digest())
	// Output:
	// true
	// false
}

// moved counts the keys of a thousand hashes that another topology has elsewhere.
func moved(scheme fleet.RouterFunc, before, after fleet.Topology) (moved int) {
	from, err := scheme(before)
	if err != nil {
		fmt.Println(err)
		return
	}
	to, err := scheme(after)
	if err != nil {
		fmt.Println(err)
		return
	}
	for hash := range hashes(1000) {
		if from.Rank(hash, nil)[0] != to.Rank(hash, nil)[0] {
			moved++
		}
	}
	return moved
}

func ExampleRendezvous() {
	fmt.Println("of 1000 keys moved:", moved(fleet.Rendezvous(), equal(4), equal(5)))
	// Output: of 1000 keys moved: 218
}

func ExampleRing() {
	fmt.Println("of 1000 keys moved:", moved(fleet.Ring(160, nil), equal(4), equal(5)))
	// Output: of 1000 keys moved: 154
}

func ExampleJump() {
	fmt.Println("of 1000 keys moved:", moved(fleet.Jump(), equal(4), equal(5)))
	// Output: of 1000 keys moved: 208
}

// The keys of a tenant are together, and a user of go-redis' Ring keeps them where
// they are.
func ExampleAppendHashTag() {
	keyBytes := func(dst []byte, key string) []byte { return fleet.AppendHashTag(dst, "app:"+key) }
	fmt.Printf("%s\n", keyBytes(nil, "{tenant7}:orders"))
	fmt.Printf("%s\n", keyBytes(nil, "orders"))
	// Output:
	// tenant7
	// app:orders
}
