// Package contender holds what is compared. Each file is one contender and
// registers itself; what it can do it says by the fields of [Contender] that it
// sets, and a scenario takes those that can do what it asks for.
//
// The loops that are timed in nanoseconds stand in the contenders' own files, so
// that no call of an interface lies between the clock and the library.
package contender

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"
)

// Value is what the caches hold; every hit touches a byte of it.
type Value struct{ Data [64]byte }

// Key is a key that every store takes.
type Key interface{ string | int }

// Contender is one way to get the job done. A nil field is a scenario that it
// does not take part in.
type Contender struct {
	Name   string // as in the tables
	Module string // whose version is printed; empty for Corral

	HitString func(HitOptions) (Hits[string], error)
	HitInt    func(HitOptions) (Hits[int], error)
	Windows   bool // can be filled with entries that are not new
	Unweighed bool // its entries are another contender's, or held twice

	Miss      func(capacity int) (Misses, error)
	Flight    func() Flights // callers that cannot leave
	FlightCtx func() Flights // callers with a context that can end
	Far       func(FarOptions) (Far, error)
	FarMiss   func(FarOptions) (Far, error)
	FarStale  bool // serves stale values
	Service   func(ServiceOptions) (Service, error)
	Shared    func(ServiceOptions) (Service, error) // over Redis, for several processes
}

// Life is the TTL where nothing may expire.
const Life = time.Hour

// Window says how old the entries are that are read.
type Window int

const (
	Fresh     Window = iota
	LastTenth        // near the end of the TTL, where early expiry draws
	Stale            // after it, while the refresh runs
)

// HitOptions says what is read.
type HitOptions struct {
	Capacity int // entries; the store is made so that it evicts none of them
	Window   Window
}

// Hits is a cache that holds what it is asked for.
type Hits[K Key] interface {
	// Fill stores keys and returns once all of them can be read.
	Fill(keys []K) error

	// Hit makes n calls, the first one for keys[from]; the number of keys is a
	// power of two. It returns a sum of bytes of the values. A miss is an error.
	Hit(keys []K, from, n int) (sum int, err error)

	Close()
}

// Misses is an empty cache.
type Misses interface {
	// Miss calls for each of keys, which the cache does not hold, with a load that
	// costs nothing.
	Miss(keys []string) (sum int, err error)

	Close()
}

// Load is what a flight runs.
type Load = func(ctx context.Context) (int, error)

// Call is a coalesced call.
type Call = func(ctx context.Context, key string) (int, error)

// Flights coalesces.
type Flights interface {
	// Fly makes n calls with a load that was made before and costs nothing.
	Fly(ctx context.Context, keys []string, from, n int) error

	// With returns a call that runs fn. What the library's signature needs besides
	// is made here, once, and not at each call.
	With(fn Load) Call
}

// FarOptions says where the server is.
type FarOptions struct {
	Addr   string
	Dial   func(ctx context.Context, network, addr string) (net.Conn, error) // counts
	Window Window
	Loaded []byte // what loads return, at no cost
}

// Far reads bytes over a server.
type Far interface {
	Put(ctx context.Context, key string, value []byte) error
	Get(ctx context.Context, key string) (length int, err error)
	Close()
}

// Deleter is a Far that says what becomes of a value that is no more.
type Deleter interface {
	Delete(ctx context.Context, key string) error
}

// Source loads a value; the load may fail, panic, or take its time.
type Source = func(ctx context.Context, key string) (string, error)

// ServiceOptions says how a service is to cache.
type ServiceOptions struct {
	Load     Source
	TTL      time.Duration
	StaleFor time.Duration // zero: stale values may not be served
	Spread   bool          // values stored together are not to expire together
	Capacity int
	Addr     string // of the server, for several processes
}

// Service reads values of the source through a cache.
type Service interface {
	Get(ctx context.Context, key string) (string, error)
	Delete(ctx context.Context, key string) error
	Close()
}

// ErrMissed is the error of a hit that was none.
var ErrMissed = errors.New("a value that was stored is not found")

var all []Contender

// register makes a contender known. It is called by the init of its file.
func register(c Contender) { all = append(all, c) }

// All returns the contenders, Corral's first, the others by name.
func All() []Contender {
	list := slices.Clone(all)
	slices.SortStableFunc(list, func(a, b Contender) int {
		if own := ownRank(a) - ownRank(b); own != 0 {
			return own
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list
}

// Named returns the contender of that name.
func Named(name string) (Contender, bool) {
	for _, c := range all {
		if c.Name == name {
			return c, true
		}
	}
	return Contender{}, false
}

func ownRank(c Contender) int {
	if c.Module == "" {
		return 0
	}
	return 1
}

// loaded is the value of loads that cost nothing.
var loaded = new(Value)

// missed is a load that must not run.
func missed[K Key](context.Context, K) (*Value, error) { return nil, ErrMissed }

func loadValue[K Key](context.Context, K) (*Value, error) { return loaded, nil }

// fillUntilSeen stores keys until each of them is found, for stores that drop
// writes when they are busy.
func fillUntilSeen[K Key](keys []K, store func(K), settle func(), found func(K) bool) error {
	todo := keys
	for range 100 {
		for i, key := range todo {
			store(key)
			if i%256 == 255 {
				settle()
			}
		}
		settle()
		var left []K
		for _, key := range todo {
			if !found(key) {
				left = append(left, key)
			}
		}
		if len(left) == 0 {
			return nil
		}
		todo = left
	}
	return ErrMissed
}
