package adaptertest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/corralcache/corral/adapters/memadapter"
)

// runs is a store that processes share and that says which run it is.
type runs struct {
	*memadapter.Shared[string, string]
	mu    sync.Mutex
	run   int  // guarded by mu
	calls int  // guarded by mu
	down  bool // guarded by mu
	stall bool // no call is answered; set before use
}

// teller is a process's way to it, of which tell is what it says.
type teller struct {
	*memadapter.Process[string, string]
	store *runs
	tell  func(ctx context.Context) (string, error)
	kept  string
}

func (c *teller) Incarnation(ctx context.Context) (string, error) { return c.tell(ctx) }

// trip is the way to the store and back.
func (s *runs) trip(ctx context.Context) (run int, err error) {
	if s.stall {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.down {
		return 0, errDown
	}
	return s.run, nil
}

func (c *teller) honest(ctx context.Context) (string, error) {
	run, err := c.store.trip(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprint("run ", run), nil
}

// tellingConfig is of a cache that tells what spoil makes of it.
func tellingConfig(spoil func(c *teller)) Config[string, string] {
	var store *runs
	process := func() *teller {
		c := &teller{Process: store.Process(), store: store}
		c.tell = c.honest
		spoil(c)
		return c
	}
	return Config[string, string]{
		New: func(*testing.T) cache {
			store = &runs{Shared: memadapter.NewShared[string, string](0)}
			return process()
		},
		Other: func(*testing.T) cache { return process() },
		Reincarnate: func(*testing.T) {
			store.mu.Lock()
			defer store.mu.Unlock()
			store.run++
		},
		Outage: func(*testing.T) {
			store.mu.Lock()
			defer store.mu.Unlock()
			store.down = true
		},
		Stall: func(*testing.T) { store.stall = true },
	}
}

// changed has the honest answer changed.
func changed(change func(c *teller, id string, err error) (string, error)) func(*teller) {
	return func(c *teller) {
		c.tell = func(ctx context.Context) (string, error) {
			id, err := c.honest(ctx)
			return change(c, id, err)
		}
	}
}

var brokenTellers = []struct {
	name, clause string
	spoil        func(c *teller)
}{
	{"another one each time", "incarnation", changed(func(c *teller, id string, err error) (string, error) {
		return fmt.Sprint(id, c.store.calls), err
	})},
	{"another one for each process", "incarnation", changed(func(c *teller, id string, err error) (string, error) {
		return fmt.Sprintf("%s%p", id, c), err
	})},
	{"empty at first", "incarnation", changed(func(c *teller, id string, err error) (string, error) {
		if c.store.calls < 3 {
			return "", err
		}
		return id, err
	})},
	{"an error at first", "incarnation", changed(func(c *teller, id string, err error) (string, error) {
		if c.store.calls < 2 {
			return "", errDown
		}
		return id, err
	})},
	{"of a write", "incarnation", changed(func(c *teller, id string, err error) (string, error) {
		if e, _ := c.Process.Get(context.Background(), "key-00000000"); e != nil {
			id += " with a key"
		}
		return id, err
	})},
	{"kept", "incarnation-lost", changed(func(c *teller, id string, err error) (string, error) {
		if c.kept == "" {
			c.kept = id
		}
		return c.kept, err
	})},
	{"kept in one process", "incarnation-lost", func() func(*teller) {
		made := 0
		return func(c *teller) {
			if made++; made%2 == 0 {
				changed(func(c *teller, id string, err error) (string, error) {
					if c.kept == "" {
						c.kept = id
					}
					return c.kept, err
				})(c)
			}
		}
	}()},
	{"one of two", "incarnation-lost", changed(func(c *teller, _ string, err error) (string, error) {
		return fmt.Sprint("run ", c.store.run%2), err
	})},
	{"empty until something is lost", "incarnation-lost", changed(func(c *teller, id string, err error) (string, error) {
		if c.store.run == 0 {
			return "", err
		}
		return id, err
	})},
	{"empty when something was lost", "incarnation-lost", changed(func(c *teller, id string, err error) (string, error) {
		if c.store.run > 1 {
			return "", err
		}
		return id, err
	})},
	{"the last one of a failing store", "incarnation-outage", changed(func(c *teller, id string, err error) (string, error) {
		if err == nil {
			c.kept = id
		}
		return c.kept, nil
	})},
	{"empty of a failing store", "incarnation-outage", changed(func(_ *teller, id string, _ error) (string, error) { return id, nil })},
	{"the last one beside the error", "incarnation-outage", changed(func(c *teller, id string, err error) (string, error) {
		if err == nil {
			c.kept = id
		}
		return c.kept, err
	})},
	{"hangs with an ended context", "incarnation-context", func(c *teller) {
		c.tell = func(ctx context.Context) (string, error) {
			if ctx.Err() != nil {
				select {}
			}
			return c.honest(ctx)
		}
	}},
	{"empty with an ended context", "incarnation-context", changed(func(_ *teller, id string, _ error) (string, error) { return id, nil })},
	{"hangs with its store", "incarnation-context", func(c *teller) {
		c.tell = func(ctx context.Context) (string, error) {
			if c.store.stall {
				select {}
			}
			return c.honest(ctx)
		}
	}},
	{"the last one of a store that does not answer", "incarnation-context", changed(func(c *teller, id string, err error) (string, error) {
		switch {
		case err == nil:
			c.kept = id
		case c.store.stall:
			return c.kept, nil
		}
		return id, err
	})},
	{"broken by an ended context", "incarnation-context", func(c *teller) {
		c.tell = func(ctx context.Context) (string, error) {
			if ctx.Err() != nil {
				c.kept = "broken"
			}
			if c.kept != "" {
				return "", errDown
			}
			return c.honest(ctx)
		}
	}},
}

// The honest one passes, whether it can tell or not; and so does one that says so without
// being asked again.
func TestHonestTellersPass(t *testing.T) {
	for name, spoil := range map[string]func(*teller){
		"it can":                  func(*teller) {},
		"it cannot":               changed(func(*teller, string, error) (string, error) { return "", nil }),
		"it cannot, and may fail": changed(func(_ *teller, _ string, err error) (string, error) { return "", err }),
	} {
		t.Run(name, func(t *testing.T) {
			for clause, said := range fallen(t, "", tellingConfig(spoil)) {
				if strings.HasPrefix(clause, "incarnation") {
					t.Errorf("%s: %s", clause, said)
				}
			}
		})
	}
}

func TestBrokenTellersAreCaught(t *testing.T) {
	for _, tt := range brokenTellers {
		t.Run(tt.name, func(t *testing.T) {
			wantFallen(t, tt.clause, tellingConfig(tt.spoil))
		})
	}
}
