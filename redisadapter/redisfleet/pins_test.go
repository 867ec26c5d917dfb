package redisfleet_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/internal/fleettest"
	"github.com/corralcache/corral/redisadapter/redisfleet"
	"github.com/corralcache/corral/sharded/fleet"
)

func TestPins(t *testing.T) {
	m, _, client := mini(t)
	fleettest.Pins(t, fleettest.PinsConfig{
		New: func(int) fleet.Pins[int] {
			m.FlushAll()
			return pins(t, client, redisfleet.PinOptions[int]{})
		},
		Racers: 2000,
	})
}

// Prefixes and keys that hold what a pattern, or a hash tag, gives a meaning to.
func TestPinsOfOddNames(t *testing.T) {
	_, _, client := mini(t)
	want := map[string]map[string]string{}
	for _, prefix := range []string{"a", "a*", "a?", "[ab]", `a\`, "a:pin", ""} {
		want[prefix] = map[string]string{}
		p := pins(t, client, redisfleet.PinOptions[string]{Prefix: prefix})
		for _, key := range []string{"", "}", "{", "{}", "*", "\xff\x00", "pin:x"} {
			want[prefix][key] = prefix + "'s"
			_, pinned, err := p.GetOrPin(t.Context(), key, prefix+"'s")
			if must(t, err); !pinned {
				t.Errorf("%q of %q is pinned before", key, prefix)
			}
		}
	}
	for prefix, want := range want {
		got := map[string]string{}
		for pin, err := range pins(t, client, redisfleet.PinOptions[string]{Prefix: prefix}).All(t.Context()) {
			must(t, err)
			got[pin.Key] = pin.Shard
		}
		if !maps.Equal(got, want) {
			t.Errorf("the pins of %q are %q, want %q", prefix, got, want)
		}
	}
}

// A pin ends when its Life does, and that is a change; to pin it again to where it is
// renews it, and is none.
func TestPinsWithALife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, client := mini(t)
		p := pins(t, client, redisfleet.PinOptions[int]{Life: time.Minute})
		version := func() uint64 {
			v, err := p.Version(t.Context())
			must(t, err)
			return v
		}
		none := version()
		_, _, err := p.GetOrPin(t.Context(), 1, "a")
		must(t, err)
		made := version()
		time.Sleep(50 * time.Second)
		_, ok, err := p.TryPin(t.Context(), 1, "a", "a")
		if must(t, err); !ok || version() != made || made == none {
			t.Errorf("to renew the pin is %v; the versions were %d, %d, %d", ok, none, made, version())
		}
		time.Sleep(time.Minute - time.Millisecond)
		if shard, ok, err := p.Get(t.Context(), 1); !ok || err != nil || shard != "a" || version() != made {
			t.Errorf("before its end the pin is %q, %v, %v, and the version %d after %d", shard, ok, err, version(), made)
		}
		time.Sleep(2 * time.Millisecond)
		if shard, ok, err := p.Get(t.Context(), 1); ok || err != nil || version() == made {
			t.Errorf("after its end the pin is %q, %v, %v, and the version %d after %d", shard, ok, err, version(), made)
		}
		ended := version()
		if version() != ended {
			t.Error("the version is another one each time")
		}
	})
}

func TestPinsAfterTheServerLostAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, client := mini(t)
		p := pins(t, client, redisfleet.PinOptions[int]{})
		seen := map[uint64]bool{}
		for range 3 {
			_, _, err := p.GetOrPin(t.Context(), 1, "a")
			must(t, err)
			v, err := p.Version(t.Context())
			must(t, err)
			if seen[v] {
				t.Errorf("%d was the version before", v)
			}
			seen[v] = true
			time.Sleep(time.Second)
			m.FlushAll()
		}
	})
}

type tenant struct{ Zone, Name string }

func TestPinsOfOtherKeys(t *testing.T) {
	_, _, client := mini(t)
	p := pins(t, client, redisfleet.PinOptions[tenant]{
		Key: func(t tenant) string { return t.Zone + "/" + t.Name },
		ParseKey: func(text string) (tenant, error) {
			zone, name, ok := strings.Cut(text, "/")
			if !ok {
				return tenant{}, errors.New("no tenant")
			}
			return tenant{zone, name}, nil
		},
	})
	_, _, err := p.GetOrPin(t.Context(), tenant{"eu", "x"}, "a")
	must(t, err)
	must(t, client.Set(t.Context(), "corral-fleet:{fleet}:pin:nobody", "a", 0).Err())
	for pin, err := range p.All(t.Context()) {
		if must(t, err); pin != (fleet.Pin[tenant]{Key: tenant{"eu", "x"}, Shard: "a"}) {
			t.Errorf("%v is a pin", pin)
		}
	}
}
