package redisadapter_test

import "slices"

// world is everything that the lease protocol depends on at one instant: the
// server, the clients, what is under way between them, and what may still go
// wrong. Worlds are compared with ==.
type world struct {
	shelf
	fresh   bool // what is stored is
	clients [3]client
	left    faults

	grants  uint8 // attempts that got the lease since what was stored ceased to be fresh
	excuses uint8 // leases that ran out or were given back since then
}

// faults are how many of each thing may yet happen.
type faults struct {
	expiries uint8 // what is stored ceases to be fresh
	deletes  uint8
	sets     uint8
	crashes  uint8
	losses   uint8 // an answer does not arrive, and its command is repeated
	delays   uint8 // a command is given up or repeated, and arrives later all the same
	failures uint8 // a load returns an error
	ends     bool  // leases run out, however often
}

// client makes calls one after the other. A call looks, asks for the lease,
// loads, and fills or releases. There is no state of waiting: a question whose
// answer was busy is on its way again, for as long as it likes.
type client struct {
	doing  doing
	air    air
	answer answer
	round  uint8   // which call this is
	seen   version // what the call found when it looked
	lease  lease   // what it was told that it has
	older  bool    // a Delete or Set came since the load began

	lateAsk  lateAsk
	lateFill lateFill
}

type doing uint8

const (
	idle doing = iota
	asking
	loading
	filling
	releasing
	over
	crashed
)

// air is where the command is that the client waits for.
type air uint8

const (
	nothing air = iota
	question
	reply
)

// lateAsk is an acquire that nobody waits for any more and that still arrives;
// all zero if there is none.
type lateAsk struct {
	round uint8 // counted from 1
	seen  version
}

// lateFill is such a fill.
type lateFill struct {
	round uint8
	lease lease
	older bool
}

// protocol is what the clients go by.
type protocol struct {
	scripts
	rounds uint8 // calls that each client makes
	keeps  bool  // what ceased to be fresh is still stored, as stale

	// token names the attempt of a client's round.
	token func(client int, round uint8) token
}

// perAttempt gives every attempt a token of its own.
func perAttempt(rounds uint8) func(int, uint8) token {
	return func(client int, round uint8) token { return token(uint8(client)*rounds + round + 1) }
}

// loaded is the version that a client's round loads.
func (p *protocol) loaded(client int, round uint8) version {
	return version(uint8(client)*p.rounds + round + 1)
}

// wrote is the version of a Set: no load's, and another one each time.
func (p *protocol) wrote(w *world) version {
	return version(uint8(len(w.clients))*p.rounds + 1 + w.left.sets)
}

// step is something that happens in a world: who did what, the world after it,
// and which rule that broke, if any.
type step struct {
	who   int8 // -1: nobody
	what  string
	next  world
	fault string
}

// ceased notes that nothing fresh is stored from now on.
func (w *world) ceased() { w.fresh, w.grants, w.excuses = false, 0, 0 }

// written notes that a Delete or Set was applied: what is being loaded is older.
func (w *world) written() {
	for i := range w.clients {
		c := &w.clients[i]
		c.older = c.older || c.doing == loading || c.doing == filling
		c.lateFill.older = c.lateFill.round != 0
	}
}

// isOver reports whether nobody wants anything any more.
func (w *world) isOver() bool {
	for i := range w.clients {
		if d := w.clients[i].doing; d != over && d != crashed {
			return false
		}
	}
	return true
}

// now is the server's time, as far as it matters: no stamp that anybody has.
func (w *world) now() uint8 {
	for n := uint8(1); ; n++ {
		if !slices.ContainsFunc(w.clients[:], func(c client) bool {
			return c.lease.stamp == n || c.lateFill.lease.stamp == n
		}) {
			return n
		}
	}
}
