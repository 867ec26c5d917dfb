package redisfleet

import (
	"sync/atomic"

	"github.com/corralcache/corral/sharded/fleet"
)

// pinCounts is what Pins count in this process.
type pinCounts struct{ hits, misses, pinned, moved, unpinned atomic.Uint64 }

// Stats returns what was done by these Pins, in this process. Its Pins is zero: how many
// there are, only the server knows; see [Pins.All].
func (p *Pins[K]) Stats() fleet.PinStats {
	c := &p.count
	return fleet.PinStats{
		Hits: c.hits.Load(), Misses: c.misses.Load(),
		Pinned: c.pinned.Load(), Moved: c.moved.Load(), Unpinned: c.unpinned.Load(),
	}
}

func (c *pinCounts) asked(found bool, err error) {
	switch {
	case err != nil:
	case found:
		c.hits.Add(1)
	default:
		c.misses.Add(1)
	}
}

// changed counts a pin that was old, and is new; empty stands for no pin.
func (c *pinCounts) changed(old, new string) {
	switch {
	case old == new: // its life begins anew
	case old == "":
		c.pinned.Add(1)
	case new == "":
		c.unpinned.Add(1)
	default:
		c.moved.Add(1)
	}
}
