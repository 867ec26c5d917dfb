package redisadapter_test

import (
	"strings"
	"testing"
)

// leaseModels are what is explored: every interleaving of the clients, with so
// much going wrong. Three clients with all of the last one's faults come to 48
// million worlds: that takes minutes, and found nothing else.
var leaseModels = []struct {
	name    string
	clients int
	rounds  uint8
	keeps   bool
	left    faults
}{
	{"nothing", 3, 2, false, faults{expiries: 2}},
	{"nothing, stale kept", 3, 2, true, faults{expiries: 2}},
	{"lost answers", 3, 2, true, faults{expiries: 1, losses: 1}},
	{"failed loads", 3, 1, true, faults{expiries: 1, failures: 2, losses: 1}},
	{"writes", 3, 1, true, faults{expiries: 1, deletes: 1, sets: 1}},
	{"deletes and lost answers", 3, 1, false, faults{deletes: 2, losses: 1}},
	{"crashes", 3, 1, true, faults{expiries: 1, crashes: 2, ends: true}},
	{"slow holders", 3, 1, true, faults{expiries: 1, deletes: 1, ends: true}},
	{"late commands", 3, 1, false, faults{deletes: 1, delays: 1, ends: true}},
	{"late commands of two", 2, 1, false, faults{deletes: 2, delays: 2, ends: true}},
	{"everything, for two", 2, 1, true, faults{1, 1, 1, 1, 1, 1, 1, true}},
}

func TestLeaseModel_Explored(t *testing.T) {
	for _, m := range leaseModels {
		t.Run(m.name, func(t *testing.T) {
			p := &protocol{scripts: rightScripts, rounds: m.rounds, keeps: m.keeps, token: perAttempt(m.rounds)}
			start := world{left: m.left}
			for i := m.clients; i < len(start.clients); i++ {
				start.clients[i].doing = over
			}
			e, story := explore(p, start)
			t.Logf("%d worlds, %d steps", len(e.worlds), len(e.edges))
			if story != "" {
				t.Error(story)
			}
			if len(e.worlds) < 1000 {
				t.Error("the model hardly moves")
			}
		})
	}
}

// Protocols that are wrong in one place: the exploration finds what breaks.
func TestLeaseModel_Broken(t *testing.T) {
	const (
		twoFills  = "two fills stick for one expiry"
		overWrite = "a fill sticks after a write"
		twoLoads  = "two loads for one expiry"
		twoUnder  = "two loads under one lease"
		misled    = "what is stored is reported as lost"
		stuck     = "nobody can go on"
	)
	for _, m := range []struct {
		name  string
		left  faults
		want  string
		spoil func(p *protocol)
	}{
		{"fill looks at no token", faults{deletes: 1}, overWrite, func(p *protocol) {
			p.fill = func(s shelf, _ lease, v version) (shelf, answer) { return shelf{stored: v}, done }
		}},
		{"fill looks at no token, slow holders", faults{ends: true}, twoFills, func(p *protocol) {
			p.fill = func(s shelf, _ lease, v version) (shelf, answer) { return shelf{stored: v}, done }
		}},
		{"fill leaves the lease", faults{expiries: 1}, stuck, func(p *protocol) {
			p.fill = func(s shelf, l lease, v version) (shelf, answer) {
				next, a := rightScripts.fill(s, l, v)
				next.lease = s.lease
				return next, a
			}
		}},
		{"a repeated fill is lost", faults{losses: 1}, misled, func(p *protocol) {
			p.fill = func(s shelf, l lease, v version) (shelf, answer) {
				if s.lease != l {
					return s, lost
				}
				return shelf{stored: v}, done
			}
		}},
		{"a repeated acquire finds itself busy", faults{losses: 1}, stuck, func(p *protocol) {
			p.acquire = func(s shelf, t token, now uint8, seen version, force bool) (shelf, answer) {
				if s.lease.token == t {
					return s, busy
				}
				return rightScripts.acquire(s, t, now, seen, force)
			}
		}},
		{"acquire does not look again", faults{}, twoLoads, func(p *protocol) {
			p.acquire = func(s shelf, t token, now uint8, _ version, _ bool) (shelf, answer) {
				return rightScripts.acquire(s, t, now, 0, true)
			}
		}},
		{"acquire takes a lease that is out", faults{}, twoLoads, func(p *protocol) {
			p.acquire = func(s shelf, t token, now uint8, seen version, force bool) (shelf, answer) {
				return rightScripts.acquire(shelf{stored: s.stored}, t, now, seen, force)
			}
		}},
		{"delete leaves the lease", faults{deletes: 1}, overWrite, func(p *protocol) {
			p.del = func(s shelf) shelf { return shelf{lease: s.lease} }
		}},
		{"set leaves the lease", faults{sets: 1}, twoFills, func(p *protocol) {
			p.set = func(s shelf, v version) shelf { return shelf{stored: v, lease: s.lease} }
		}},
		{"release looks at no token", faults{failures: 1, losses: 1}, twoLoads, func(p *protocol) {
			p.release = func(s shelf, _ lease) shelf { return shelf{stored: s.stored} }
		}},
		{"release does nothing", faults{failures: 1}, stuck, func(p *protocol) {
			p.release = func(s shelf, _ lease) shelf { return s }
		}},
		{"renew brings a lost lease back", faults{deletes: 1}, overWrite, func(p *protocol) {
			p.renew = func(s shelf, l lease) (shelf, answer) { return shelf{stored: s.stored, lease: l}, done }
		}},
		{"an acquire that arrives late brings its lease back", faults{deletes: 1, delays: 1, ends: true}, overWrite, func(p *protocol) {
			p.acquire = func(s shelf, t token, _ uint8, seen version, force bool) (shelf, answer) {
				return rightScripts.acquire(s, t, 1, seen, force)
			}
		}},
		{"a token for each process", faults{}, twoUnder, func(p *protocol) {
			p.token = func(client int, _ uint8) token { return token(1 + client/2) } // two loads of one process
		}},
		{"leases do not run out", faults{crashes: 1}, stuck, func(*protocol) {}},
	} {
		t.Run(m.name, func(t *testing.T) {
			p := &protocol{scripts: rightScripts, rounds: 2, keeps: true, token: perAttempt(2)}
			m.spoil(p)
			e, story := explore(p, world{left: m.left})
			t.Logf("%d worlds\n%s", len(e.worlds), story)
			if !strings.Contains(story, m.want) {
				t.Errorf("not found: %s", m.want)
			}
		})
	}
}
