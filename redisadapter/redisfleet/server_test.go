package redisfleet_test

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral/internal/fleettest"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter/redisfleet"
	"github.com/corralcache/corral/sharded/fleet"
)

// The same on a real server, whose scripts are its own.
func TestServer(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: redistest.Start(t)})
	defer client.Close()
	n := 0
	fleettest.Pins(t, fleettest.PinsConfig{
		New: func(int) fleet.Pins[int] {
			n++
			return pins(t, client, redisfleet.PinOptions[int]{Prefix: fmt.Sprint("p", n), Life: 1e12})
		},
		Racers: 1000,
	})
	e := epochs(t, client)
	for revision := range uint64(3) {
		ok, err := e.Publish(t.Context(), revision, fleet.Published{Revision: revision + 1})
		if must(t, err); !ok {
			t.Errorf("revision %d was not published", revision+1)
		}
	}
	p, err := e.Load(t.Context())
	if must(t, err); p.Revision != 3 {
		t.Errorf("revision %d is published, want 3", p.Revision)
	}
}
