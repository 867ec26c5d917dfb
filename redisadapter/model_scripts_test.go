package redisadapter_test

// The scripts of the lease protocol as pure functions of what the server holds
// for one key. TestLeaseModel_Explored looks at every interleaving of clients
// that use them; TestLeaseModel_IsTheScripts holds them against the adapter.

// version names what was stored by the load or Set that made it; 0 is nothing.
type version uint8

// token names an attempt to load; 0 is nobody's.
type token uint8

// lease is a token and, as an attempt's acquire may arrive twice, which of its
// grants this is: the server's time stands for that.
type lease struct {
	token token
	stamp uint8 // from 1; 0 for any, to one who was told of none
}

// shelf is what the server holds for a key.
type shelf struct {
	stored version
	lease  lease
}

func (s shelf) has(l lease) bool {
	return s.lease == l || l.stamp == 0 && s.lease.token == l.token
}

// answer is what a script answers.
type answer uint8

const (
	held answer = iota // what is held is the lease on the shelf
	busy
	changed
	done
	lost
)

// scripts are the protocol. A broken one has another function in one place.
type scripts struct {
	acquire func(s shelf, t token, now uint8, seen version, force bool) (shelf, answer)
	renew   func(s shelf, l lease) (shelf, answer)
	fill    func(s shelf, l lease, v version) (shelf, answer)
	release func(s shelf, l lease) shelf
	set     func(s shelf, v version) shelf
	del     func(s shelf) shelf
}

var rightScripts = scripts{
	acquire: func(s shelf, t token, now uint8, seen version, force bool) (shelf, answer) {
		switch {
		case !force && s.stored != 0 && s.stored != seen:
			return s, changed
		case s.lease.token == t: // the answer to the first try was lost
			return s, held
		case s.lease.token != 0:
			return s, busy
		}
		s.lease = lease{t, now}
		return s, held
	},
	renew: func(s shelf, l lease) (shelf, answer) {
		if !s.has(l) {
			return s, lost
		}
		return s, done
	},
	fill: func(s shelf, l lease, v version) (shelf, answer) {
		switch {
		case s.has(l):
			return shelf{stored: v}, done
		case s.stored == v: // the answer to the first try was lost
			return s, done
		}
		return s, lost
	},
	release: func(s shelf, l lease) shelf {
		if s.has(l) {
			s.lease = lease{}
		}
		return s
	},
	set: func(_ shelf, v version) shelf { return shelf{stored: v} },
	del: func(shelf) shelf { return shelf{} },
}
