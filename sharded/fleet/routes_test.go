package fleet_test

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/corralcache/corral/sharded/fleet"
)

// schemes are the routers of this package for any weights, but for Jump, which wants
// equal ones.
func schemes() map[string]fleet.RouterFunc {
	return map[string]fleet.RouterFunc{"rendezvous": fleet.Rendezvous(), "ring": fleet.Ring(60, nil), "jump": fleet.Jump()}
}

// topologies draws shards with IDs in no particular order.
func topologies(max int, scheme string) *rapid.Generator[fleet.Topology] {
	return rapid.Custom(func(t *rapid.T) fleet.Topology {
		weight := rapid.Uint32Range(0, 12)
		if scheme == "jump" {
			weight = rapid.Just(uint32(1))
		}
		return fleet.Topology{Shards: rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) fleet.Shard {
			return fleet.Shard{ID: rapid.StringMatching(`[a-z0-9:.-]{1,12}`).Draw(t, "id"), Weight: weight.Draw(t, "weight")}
		}), 1, max, func(s fleet.Shard) string { return s.ID }).Draw(t, "shards")}
	})
}

// hashes are the same for every run: what they show, they show again.
func hashes(n int) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		random := rand.NewPCG(1, 2)
		for range n {
			if !yield(random.Uint64()) {
				return
			}
		}
	}
}

func TestRankIsAPermutationThatBeginsWithPick(t *testing.T) {
	for name, f := range schemes() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				topology := topologies(40, name).Draw(t, "topology")
				r, err := f(topology)
				if err != nil {
					t.Fatal(err)
				}
				hash := rapid.Uint64().Draw(t, "hash")
				ranked := r.Rank(hash, []uint16{99, 98})
				if ranked[0] != 99 || ranked[1] != 98 || ranked[2] != r.(fleet.Picker).Pick(hash) {
					t.Errorf("Rank is %v after two others, and Pick %d", ranked, r.(fleet.Picker).Pick(hash))
				}
				all := slices.Sorted(slices.Values(ranked[2:]))
				for i := range topology.Shards {
					if len(all) != len(topology.Shards) || all[i] != uint16(i) {
						t.Fatalf("Rank of %d shards has %v", len(topology.Shards), all)
					}
				}
			})
		})
	}
}

// I2: a shard that leaves gives its keys to those that ranked second; nothing moves
// between the others. Read backwards, it is a shard that is added.
func TestRemovingAShardMovesItsKeysAlone(t *testing.T) {
	for _, name := range []string{"rendezvous", "ring"} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				before := topologies(20, name).Filter(func(t fleet.Topology) bool { return len(t.Shards) > 1 }).Draw(t, "before")
				gone := rapid.IntRange(0, len(before.Shards)-1).Draw(t, "gone")
				after := fleet.Topology{Shards: slices.Delete(slices.Clone(before.Shards), gone, gone+1)}
				from, to := mustRoute(t, schemes()[name], before), mustRoute(t, schemes()[name], after)
				for _, hash := range rapid.SliceOfN(rapid.Uint64(), 50, 50).Draw(t, "hashes") {
					ranked := from.Rank(hash, nil)
					heir := before.Shards[ranked[0]].ID
					if int(ranked[0]) == gone {
						heir = before.Shards[ranked[1]].ID
					}
					if got := after.Shards[pick(to, hash)].ID; got != heir {
						t.Fatalf("of %v without %d, hash %d moved to %s, want %s", before.Shards, gone, hash, got, heir)
					}
				}
			})
		})
	}
}

func TestJumpMovesToANewLastShardAlone(t *testing.T) {
	for n := 1; n < 60; n++ {
		from, to := route(t, fleet.Jump(), equal(n)), route(t, fleet.Jump(), equal(n+1))
		for hash := range hashes(300) {
			if before, after := pick(from, hash), pick(to, hash); before != after && after != n {
				t.Fatalf("growing from %d, hash %d moved from %d to %d", n, hash, before, after)
			}
			if ranked := to.Rank(hash, nil); int(ranked[0]) == n && int(ranked[1]) != pick(from, hash) {
				t.Fatalf("of %d, hash %d is ranked %v, and without the last at %d", n+1, hash, ranked, pick(from, hash))
			}
		}
	}
}

// A shard that gains weight only gains keys, and only it.
func TestReweightingMovesKeysOfThatShardAlone(t *testing.T) {
	for _, name := range []string{"rendezvous", "ring"} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				before := topologies(20, name).Draw(t, "before")
				heavier := rapid.IntRange(0, len(before.Shards)-1).Draw(t, "heavier")
				after := fleet.Topology{Shards: slices.Clone(before.Shards)}
				after.Shards[heavier].Weight = max(1, after.Shards[heavier].Weight) + rapid.Uint32Range(1, 30).Draw(t, "by")
				from, to := mustRoute(t, schemes()[name], before), mustRoute(t, schemes()[name], after)
				for _, hash := range rapid.SliceOfN(rapid.Uint64(), 50, 50).Draw(t, "hashes") {
					if was, is := pick(from, hash), pick(to, hash); was != is && is != heavier {
						t.Fatalf("shard %d of %v gained weight, and hash %d moved from %d to %d", heavier, before.Shards, hash, was, is)
					}
				}
			})
		})
	}
}

func mustRoute(t *rapid.T, f fleet.RouterFunc, topology fleet.Topology) fleet.Router {
	r, err := f(topology)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// With equal weights the two ways of rendezvous are one: a fleet can get its first
// other weight without moving more than that takes.
func TestWeightsThatAreEqualRankAsNone(t *testing.T) {
	r, weighted := route(t, fleet.Rendezvous(), equal(9)), fleet.Weighted(equal(9))
	for hash := range hashes(20_000) {
		if got, want := weighted.Rank(hash, nil), r.Rank(hash, nil); !slices.Equal(got, want) {
			t.Fatalf("hash %d is ranked %v with equal weights and %v without", hash, got, want)
		}
	}
}

// I1: the shares are what the weights say, within what chance allows for rendezvous
// and jump, where a million keys spread by some 0.003 at 8 shards.
func TestBalance(t *testing.T) {
	for name, c := range map[string]struct {
		f        fleet.RouterFunc
		topology fleet.Topology
		within   float64
	}{
		"rendezvous":           {fleet.Rendezvous(), equal(8), .015},
		"rendezvous, 100":      {fleet.Rendezvous(), equal(100), .06},
		"rendezvous, weighted": {fleet.Rendezvous(), shards(1, 2, 3, 4, 5, 6, 7, 8), .03},
		"rendezvous, extreme":  {fleet.Rendezvous(), shards(1000, 1, 1000), .2},
		"jump":                 {fleet.Jump(), equal(8), .015},
		"ring":                 {fleet.Ring(160, nil), equal(10), .35},
		"ring, weighted":       {fleet.Ring(100, nil), shards(1, 2, 3, 4), .35},
	} {
		t.Run(name, func(t *testing.T) {
			const keys = 300_000
			r := route(t, c.f, c.topology)
			counts, sum := make([]float64, len(c.topology.Shards)), 0.0
			for i := range keys {
				counts[pick(r, hash(t, fmt.Sprint("user:", i)))]++
			}
			for _, s := range c.topology.Shards {
				sum += float64(max(1, s.Weight))
			}
			for i, s := range c.topology.Shards {
				want := keys * float64(max(1, s.Weight)) / sum
				if off := counts[i]/want - 1; math.Abs(off) > c.within {
					t.Errorf("shard %d of weight %d has %.0f of %d keys, want %.0f (%+.1f %%)", i, s.Weight, counts[i], keys, want, 100*off)
				}
			}
		})
	}
}

func TestRankOfAnyWeightFollowsTheShares(t *testing.T) {
	topology := shards(4, 2, 1)
	r := route(t, fleet.Rendezvous(), topology)
	seconds := map[uint16]int{} // of keys whose owner is shard 0
	for hash := range hashes(200_000) {
		if ranked := r.Rank(hash, nil); ranked[0] == 0 {
			seconds[ranked[1]]++
		}
	}
	if share := float64(seconds[1]) / float64(seconds[1]+seconds[2]); math.Abs(share-2./3) > .01 {
		t.Errorf("shard 1 inherits %.3f of the keys of shard 0, want 0.667 (%v)", share, slices.Collect(maps.Keys(seconds)))
	}
}

// The values are those that the paper's authors' function returns.
func TestJumpIsThePublishedFunction(t *testing.T) {
	for _, c := range []struct {
		hash          uint64
		shards, owner int
	}{
		{1, 1, 0}, {42, 57, 43}, {0xDEAD10CC, 1, 0}, {0xDEAD10CC, 666, 361}, {256, 1024, 520},
	} {
		if got := pick(route(t, fleet.Jump(), equal(c.shards)), c.hash); got != c.owner {
			t.Errorf("hash %d of %d shards is at %d, want %d", c.hash, c.shards, got, c.owner)
		}
	}
}

func TestLogarithm(t *testing.T) {
	previous := uint64(math.MaxUint64)
	for _, score := range slices.Sorted(fleet.OfCells) {
		n, unit := fleet.NLog2(score)
		if n > previous {
			t.Fatalf("the logarithm of %d is %d, and that of a smaller score was %d", score, n, previous)
		}
		previous = n
		if want := 64 - math.Log2(float64(score|1)); math.Abs(float64(n)*unit-want) > 0x1p-22 {
			t.Fatalf("the logarithm of %d is %v, want %v", score, float64(n)*unit, want)
		}
	}
	for hash := range hashes(100_000) {
		n, unit := fleet.NLog2(hash)
		if want := 64 - math.Log2(float64(hash)); math.Abs(float64(n)*unit-want) > 0x1p-22 {
			t.Fatalf("the logarithm of %d is %v, want %v", hash, float64(n)*unit, want)
		}
	}
}

func TestRoutersThatCannotBeMade(t *testing.T) {
	for _, points := range []int{-1, 0, 10_001} {
		_, err := fleet.Ring(points, nil)(equal(2))
		wantOption(t, err, "Ring: points", points)
	}
	_, err := fleet.Ring(10_000, nil)(shards(100, 5))
	wantOption(t, err, "Ring: points", 10_000)
	_, err = fleet.Ring(1, nil)(equal(1))
	must(t, err)
	_, err = fleet.Jump()(shards(2, 2, 3))
	wantOption(t, err, "Jump: Topology.Shards[2].Weight", 3)
	_, err = fleet.Jump()(shards(2, 2, 2))
	must(t, err)
}

func TestRingAsksItsOwnHash(t *testing.T) {
	var asked []string
	r := route(t, fleet.Ring(2, func(b []byte) uint64 {
		asked = append(asked, string(b))
		return uint64(len(asked)) << 32
	}), shards(1, 2))
	if want := []string{"s00#0", "s00#1", "s01#0", "s01#1", "s01#2", "s01#3"}; !slices.Equal(asked, want) {
		t.Errorf("the hash was asked for %q, want %q", asked, want)
	}
	for hash, want := range map[uint64]int{0: 0, 1 << 32: 0, 2 << 32: 0, 2<<32 + 1: 1, 6 << 32: 1, 6<<32 + 1: 0} {
		if got := pick(r, hash); got != want {
			t.Errorf("hash %#x is at %d, want %d", hash, got, want)
		}
	}
}

func TestRoutesAllocateNothing(t *testing.T) {
	for name, r := range map[string]fleet.Router{
		"equal":    route(t, fleet.Rendezvous(), equal(8)),
		"weighted": route(t, fleet.Rendezvous(), shards(1, 2, 3, 4)),
		"ring":     route(t, fleet.Ring(100, nil), shards(1, 2, 3)),
		"jump":     route(t, fleet.Jump(), equal(8)),
	} {
		picker, dst := r.(fleet.Picker), make([]uint16, 0, 8)
		if n := testing.AllocsPerRun(100, func() { picker.Pick(42) }); n != 0 {
			t.Errorf("%s: %v allocations for Pick", name, n)
		}
		if n := testing.AllocsPerRun(100, func() { r.Rank(42, dst) }); n != 0 {
			t.Errorf("%s: %v allocations for Rank with room", name, n)
		}
	}
}
