package fleet_test

import (
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shards returns a topology of shards with the weights, s00 and on.
func shards(weights ...uint32) fleet.Topology {
	t := fleet.Topology{Epoch: 1}
	for i, w := range weights {
		t.Shards = append(t.Shards, fleet.Shard{ID: fmt.Sprintf("s%02d", i), Weight: w})
	}
	return t
}

// equal returns a topology of n shards with the same weight.
func equal(n int) fleet.Topology { return shards(make([]uint32, n)...) }

func route(t testing.TB, f fleet.RouterFunc, topology fleet.Topology) fleet.Router {
	t.Helper()
	r, err := f(topology)
	must(t, err)
	return r
}

func pick(r fleet.Router, hash uint64) int { return int(r.(fleet.Picker).Pick(hash)) }

func hash[K comparable](t testing.TB, key K) uint64 {
	t.Helper()
	h, err := fleet.Hash(key, nil, nil)
	must(t, err)
	return h
}

// wantOption fails unless err says that field is value.
func wantOption(t testing.TB, err error, field string, value any) {
	t.Helper()
	var option *corral.OptionError
	if !errors.As(err, &option) {
		t.Fatalf("the error is %v, want a *corral.OptionError of %s", err, field)
	}
	if option.Field != "fleet."+field || fmt.Sprint(option.Value) != fmt.Sprint(value) || option.Bound == "" {
		t.Errorf("the error is %q of %s = %v, want one of fleet.%s = %v", err, option.Field, option.Value, field, value)
	}
}
