package redisadapter_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/corralcache/corral"
)

// rig is one key of a server, and the model that says what must be there.
// What a call does and answers is held against what the model's script does.
type rig struct {
	c   *leased
	ctx context.Context

	shelf   shelf
	now     uint8
	entries []*corral.Entry[User] // by version
	held    [2]lease              // what each of two attempts was told that it has
	token   [2]string             // the same on the server
	brought [2]version            // what each filled with last
	looked  version
	seen    *corral.Entry[User] // the same on the server
}

func newRig(t *testing.T, c *leased) *rig {
	return &rig{
		c:       c,
		ctx:     t.Context(),
		entries: make([]*corral.Entry[User], 1),
		held:    [2]lease{{token: 1}, {token: 2}},
		token:   [2]string{"a", "b"},
	}
}

// rigCalls are the calls that one key may see, each by one of two attempts.
var rigCalls = []struct {
	name string
	do   func(r *rig, who int) error
	both bool // it is something else for each attempt
}{
	{"acquire, none seen", func(r *rig, who int) error { return r.acquire(who, nil, 0, false) }, true},
	{"acquire, seen", func(r *rig, who int) error { return r.acquire(who, r.seen, r.looked, false) }, true},
	{"acquire by force", func(r *rig, who int) error { return r.acquire(who, nil, 0, true) }, true},
	{"an acquire that nobody waits for", (*rig).acquireLate, true},
	{"renew", (*rig).renew, true},
	{"fill", func(r *rig, who int) error { r.brought[who] = r.make(); return r.fill(who) }, true},
	{"fill again", (*rig).fill, true},
	{"fill with nothing", func(r *rig, who int) error { r.brought[who] = 0; return r.fill(who) }, true},
	{"release", (*rig).release, true},
	{"look", (*rig).look, false},
	{"set", (*rig).set, false},
	{"delete", (*rig).delete, false},
	{"the lease runs out", (*rig).end, false},
	{"the value is evicted", (*rig).evict, false},
}

var errOtherwise = errors.New("the server does otherwise than the model")

func otherwise(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errOtherwise, fmt.Sprintf(format, args...))
}

// make makes the entry of a new version. A later one ends later: that is by what
// plain values are known.
func (r *rig) make() version {
	v := len(r.entries)
	r.entries = append(r.entries, &corral.Entry[User]{
		Value:    User{strconv.Itoa(v)},
		LoadedAt: time.Now(),
		TTL:      time.Hour,
		Keep:     10_000*time.Hour + time.Duration(v)*time.Minute,
	})
	return version(v)
}

func (r *rig) acquire(who int, seen *corral.Entry[User], looked version, force bool) error {
	r.now++
	var a answer
	r.shelf, a = rightScripts.acquire(r.shelf, token(1+who), r.now, looked, force)
	got, err := r.c.Acquire(r.ctx, 42, corral.LeaseRequest[User]{Token: string(rune('a' + who)), Seen: seen, Force: force})
	if err != nil {
		return err
	}
	state := map[answer]corral.LeaseState{held: corral.LeaseHeld, busy: corral.LeaseBusy, changed: corral.LeaseChanged}[a]
	switch {
	case got.State != state:
		return otherwise("acquire says %d, want %d", got.State, state)
	case got.Empty != (r.shelf.stored == 0):
		return otherwise("acquire says that it is %v that nothing is stored", got.Empty)
	case a == changed && got.Entry.Value.Name != strconv.Itoa(int(r.shelf.stored)):
		return otherwise("acquire says that %v is stored, want %d", got.Entry, r.shelf.stored)
	case a == busy && got.Left <= 0:
		return otherwise("of another's lease nothing is left")
	case a == held && r.held[who] == r.shelf.lease:
		r.token[who] = got.Token
	case a == held: // a new lease is for a new load, of which nothing is known yet
		r.held[who], r.token[who], r.brought[who] = r.shelf.lease, got.Token, 0
	}
	return nil
}

func (r *rig) acquireLate(who int) error {
	held, token, brought := r.held, r.token, r.brought
	err := r.acquire(who, r.seen, r.looked, false)
	r.held, r.token, r.brought = held, token, brought
	return err
}

func (r *rig) renew(who int) (err error) {
	var a answer
	r.shelf, a = rightScripts.renew(r.shelf, r.held[who])
	return agrees(a, r.c.Renew(r.ctx, 42, r.token[who]))
}

func (r *rig) fill(who int) error {
	var a answer
	r.shelf, a = rightScripts.fill(r.shelf, r.held[who], r.brought[who])
	return agrees(a, r.c.Fill(r.ctx, 42, r.token[who], r.entries[r.brought[who]]))
}

// agrees compares the answers of a call.
func agrees(a answer, err error) error {
	switch {
	case a == lost && !errors.Is(err, corral.ErrLeaseLost):
		return otherwise("err = %v, want ErrLeaseLost", err)
	case a == done && err != nil:
		return otherwise("err = %v, want none", err)
	}
	return nil
}

func (r *rig) release(who int) error {
	r.shelf = rightScripts.release(r.shelf, r.held[who])
	return r.c.Release(r.ctx, 42, r.token[who])
}

func (r *rig) look(int) (err error) {
	r.looked = r.shelf.stored
	r.seen, err = r.c.Get(r.ctx, 42)
	return err
}

func (r *rig) set(int) error {
	v := r.make()
	r.shelf = rightScripts.set(r.shelf, v)
	return r.c.Set(r.ctx, 42, r.entries[v])
}

func (r *rig) delete(int) error {
	r.shelf = rightScripts.del(r.shelf)
	return r.c.Delete(r.ctx, 42)
}

func (r *rig) end(int) error {
	r.shelf.lease = lease{}
	time.Sleep(2 * time.Second)
	return nil
}

func (r *rig) evict(int) error {
	r.shelf.stored = 0
	r.c.m.Del(r.c.value)
	return nil
}

// same compares what is there.
func (r *rig) same() error {
	name := ""
	e, err := r.c.Get(r.ctx, 42)
	if err != nil {
		return err
	}
	if e != nil {
		name = e.Value.Name
	}
	wantName := ""
	if r.shelf.stored != 0 {
		wantName = strconv.Itoa(int(r.shelf.stored))
	}
	if name != wantName {
		return otherwise("%q is stored, want %q", name, wantName)
	}
	if out := r.c.m.Exists(r.c.lease); out != (r.shelf.lease.token != 0) {
		return otherwise("that a lease is out is %v", out)
	}
	return nil
}

// rigMove is a call, by one of two attempts.
type rigMove struct{ op, who int }

func rigMoves() (moves []rigMove) {
	for i, op := range rigCalls {
		moves = append(moves, rigMove{i, 0})
		if op.both {
			moves = append(moves, rigMove{i, 1})
		}
	}
	return moves
}

// rigStarts are what the exhaustive test begins with.
var rigStarts = [][]rigMove{
	{},
	{{rigCall("acquire, none seen"), 0}},
	{{rigCall("set"), 0}, {rigCall("look"), 0}, {rigCall("acquire, seen"), 0}},
	{{rigCall("acquire, none seen"), 0}, {rigCall("fill"), 0}, {rigCall("look"), 0}},
}

func rigCall(name string) int {
	for i := range rigCalls {
		if rigCalls[i].name == name {
			return i
		}
	}
	panic(name)
}

// run makes the moves, and says where server and model part.
func (r *rig) run(moves []rigMove) error {
	story := ""
	for _, move := range moves {
		time.Sleep(time.Millisecond)
		story += fmt.Sprintf("%c: %s\n", 'a'+move.who, rigCalls[move.op].name)
		err := rigCalls[move.op].do(r, move.who)
		if err == nil {
			err = r.same()
		}
		if err != nil {
			return fmt.Errorf("%s=> %w", story, err)
		}
	}
	return nil
}

// What the model of the leases explores is what the adapter does: every short
// sequence of calls, from each start, has the same answers and leaves the same behind.
func TestLeaseModel_IsTheScripts(t *testing.T) {
	bothKinds(t, func(t *testing.T, c *leased) {
		moves, n := rigMoves(), 0
		for _, start := range rigStarts {
			for _, y := range moves {
				for _, z := range moves {
					n++
					c.m.FlushAll()
					if err := newRig(t, c).run(append(start[:len(start):len(start)], y, z)); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		t.Logf("%d sequences", n)
	})
}

// The same for long ones, drawn at random.
func TestLeaseModel_IsTheScripts_Random(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		moves := rapid.SliceOfN(rapid.SampledFrom(rigMoves()), 10, 60).Draw(rt, "moves")
		kind := rapid.SampledFrom([]string{"New", "Plain"}).Draw(rt, "kind")
		var err error
		synctest.Test(t, func(t *testing.T) {
			m, _, client := mini(t)
			c := leasedOver(client, kind)
			c.m = m
			err = newRig(t, c).run(moves)
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}
