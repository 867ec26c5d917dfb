package fleet_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/corralcache/corral/sharded/fleet"
)

func TestTopologyThatCannotWork(t *testing.T) {
	with := func(s ...fleet.Shard) fleet.Topology { return fleet.Topology{Shards: s} }
	for name, c := range map[string]struct {
		topology fleet.Topology
		field    string
		value    any
	}{
		"empty":           {with(), "Topology.Shards", "0 shards"},
		"too many shards": {equal(fleet.MaxShards + 1), "Topology.Shards", "4097 shards"},
		"no ID":           {with(fleet.Shard{ID: "a"}, fleet.Shard{}), "Topology.Shards[1].ID", "0 bytes long"},
		"a long ID":       {with(fleet.Shard{ID: strings.Repeat("x", 256)}), "Topology.Shards[0].ID", "256 bytes long"},
		"bytes for an ID": {with(fleet.Shard{ID: "\xff"}), "Topology.Shards[0].ID", `"\xff"`},
		"an ID twice":     {with(fleet.Shard{ID: "a"}, fleet.Shard{ID: "b"}, fleet.Shard{ID: "a", Weight: 2}), "Topology.Shards[2].ID", `"a"`},
		"a great weight":  {with(fleet.Shard{ID: "a", Weight: fleet.MaxWeight + 1}), "Topology.Shards[0].Weight", fleet.MaxWeight + 1},
	} {
		t.Run(name, func(t *testing.T) {
			wantOption(t, c.topology.Validate(), c.field, c.value)
			for scheme, f := range schemes() {
				_, err := f(c.topology)
				if err == nil {
					t.Errorf("%s made a router of it", scheme)
				}
			}
		})
	}
}

func TestTopologyAtItsBounds(t *testing.T) {
	must(t, equal(1).Validate())
	must(t, equal(fleet.MaxShards).Validate())
	must(t, shards(fleet.MaxWeight, 1, 0).Validate())
	must(t, fleet.Topology{Shards: []fleet.Shard{{ID: strings.Repeat("x", 255)}}}.Validate())
}

func TestTopologyThroughJSON(t *testing.T) {
	want := fleet.Topology{Epoch: 1<<64 - 1, Shards: []fleet.Shard{
		{ID: "b", Weight: 3, Addr: "10.0.0.1:6379"}, {ID: `quo"te <ü>`}, {ID: "a", Weight: fleet.MaxWeight},
	}}
	text, err := json.Marshal(want)
	must(t, err)
	var got fleet.Topology
	must(t, json.Unmarshal(text, &got))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v became %s and that %+v", want, text, got)
	}
	if got.Digest() != want.Digest() {
		t.Error("the digests differ")
	}
	const short = `{"epoch":2,"shards":[{"id":"a"},{"id":"b","weight":2,"addr":"x"}]}`
	var brief fleet.Topology
	must(t, json.Unmarshal([]byte(short), &brief))
	if text, err := json.Marshal(brief); err != nil || string(text) != short {
		t.Errorf("%s became %s, %v", short, text, err)
	}
}

// Processes of different releases compare digests: this one must never change.
const goldenDigest = "27a207c9d45c5d9d1c8a2c4247d3f79ede0db5a19a643dd4e30ede19431442fd"

func TestDigestIsGolden(t *testing.T) {
	topology := shards(1, 2, 3)
	sum := topology.Digest()
	if got := hex.EncodeToString(sum[:]); got != goldenDigest {
		t.Errorf("the digest is %s, want %s", got, goldenDigest)
	}
}

func TestDigestIsOfWhatRoutes(t *testing.T) {
	change := func(f func(*fleet.Topology)) [32]byte {
		t := shards(0, 2, 3)
		f(&t)
		return t.Digest()
	}
	want := shards(0, 2, 3).Digest()
	for name, same := range map[string]func(*fleet.Topology){
		"another order":      func(t *fleet.Topology) { slices.Reverse(t.Shards) },
		"another address":    func(t *fleet.Topology) { t.Shards[0].Addr = "elsewhere" },
		"a weight spelt out": func(t *fleet.Topology) { t.Shards[0].Weight = 1 },
	} {
		if change(same) != want {
			t.Errorf("%s changes the digest", name)
		}
	}
	seen := map[[32]byte]string{want: "nothing"}
	for name, other := range map[string]func(*fleet.Topology){
		"another epoch":  func(t *fleet.Topology) { t.Epoch++ },
		"another weight": func(t *fleet.Topology) { t.Shards[2].Weight++ },
		"another ID":     func(t *fleet.Topology) { t.Shards[1].ID += "x" },
		"one shard less": func(t *fleet.Topology) { t.Shards = t.Shards[:2] },
		"weights swapped": func(t *fleet.Topology) {
			t.Shards[0].Weight, t.Shards[1].Weight = t.Shards[1].Weight, t.Shards[0].Weight
		},
		"letters moved": func(t *fleet.Topology) { t.Shards[0].ID, t.Shards[1].ID = "s00s", "01" },
	} {
		sum := change(other)
		if before, taken := seen[sum]; taken {
			t.Errorf("%s and %s have the same digest", name, before)
		}
		seen[sum] = name
	}
}

func TestDigestLeavesTheShardsInTheirOrder(t *testing.T) {
	topology := fleet.Topology{Shards: []fleet.Shard{{ID: "b"}, {ID: "a"}}}
	topology.Digest()
	if got := fmt.Sprint(topology.Shards); got != fmt.Sprint([]fleet.Shard{{ID: "b"}, {ID: "a"}}) {
		t.Errorf("the shards are now %s", got)
	}
}

// Of several faults the first is told, each time the same.
func TestTheFirstFaultIsTold(t *testing.T) {
	long := strings.Repeat("x", 256)
	for range 50 {
		wantOption(t, fleet.Topology{Shards: []fleet.Shard{{ID: "a", Zone: long, Group: long}}}.Validate(), "Topology.Shards[0].Zone", "256 bytes long")
	}
}
