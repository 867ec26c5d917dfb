package adaptertest_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/adaptertest"
	"github.com/corralcache/corral/adapters/memadapter"
)

type userKey struct{ tenant, name string }

type user struct {
	ID   int
	Mail string
}

// Keys and values that are no simple types need a function that makes them, the
// odd ones first.
func ExampleRun() {
	TestConformance := func(t *testing.T) { // in the test file of the adapter
		adaptertest.Run(t, adaptertest.Config[userKey, user]{
			New: func(*testing.T) corral.Cache[userKey, user] { return memadapter.New[userKey, user]() },
			Key: func(n int) userKey {
				odd := []userKey{{}, {"a", ""}, {"", "a"}, {"a b", "c"}, {"a", "b c"}}
				if n < len(odd) {
					return odd[n]
				}
				return userKey{"tenant", fmt.Sprint(n)}
			},
			Value: func(n int) user { return user{ID: n} },
		})
	}
	asTest(TestConformance)
	// Output:
}

// New keeps the store, so that the other functions reach it.
func ExampleRun_plain() {
	TestConformance := func(t *testing.T) { // in the test file of the adapter
		var store *memadapter.PlainCache[string, int]
		adaptertest.Run(t, adaptertest.Config[string, int]{
			Plain: true,
			New: func(*testing.T) corral.Cache[string, int] {
				store = memadapter.Plain[string, int]()
				return store
			},
			Endless: func(t *testing.T, key string, value int) {
				if err := store.SetValue(t.Context(), key, value, math.MaxInt64); err != nil {
					t.Error(err)
				}
			},
		})
	}
	asTest(TestConformance)
	// Output:
}

// An Example has no testing.T. These run as part of TestExamples.
var tests []func(t *testing.T)

func asTest(test func(t *testing.T)) { tests = append(tests, test) }

func TestExamples(t *testing.T) {
	ExampleRun()
	ExampleRun_plain()
	for _, test := range tests {
		t.Run("", test)
	}
}
