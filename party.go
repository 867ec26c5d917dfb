package corral

import "sync/atomic"

// party is what flights share that were started together. They fly as one crew, or
// as several once their ways part.
type party struct {
	flights atomic.Int64 // those not landed
	places  int64        // of MaxRefreshes, had until the last of them lands
}

func newParty(flights int, places int64) *party {
	p := &party{places: places}
	p.flights.Store(int64(flights))
	return p
}

// leave takes a flight that landed off the party and returns how many places are
// free now.
func (p *party) leave() int64 {
	if p.flights.Add(-1) == 0 {
		return p.places
	}
	return 0
}
