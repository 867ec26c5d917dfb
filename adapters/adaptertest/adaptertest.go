// Package adaptertest is the conformance suite for adapters: everything that
// [corral.Cache] and its optional interfaces promise, as sub-tests that anybody
// can run over their own.
//
//	func TestConformance(t *testing.T) {
//		adaptertest.Run(t, adaptertest.Config[string, User]{
//			New:   func(t *testing.T) corral.Cache[string, User] { return myadapter.New(…) },
//			Value: func(n int) User { return User{ID: n} },
//		})
//	}
//
// A sub-test that fails says what it saw, which promise that breaks, what goes
// wrong in a service behind such an adapter, and what usually causes it.
//
// Every sub-test runs in a testing/synctest bubble of its own, in which hours
// pass at once; [Config].RealTime is for stores that cannot live in one.
package adaptertest

import (
	"fmt"
	"strings"
	"testing"
)

// Run runs every sub-test that applies to cfg, one after another. It makes the
// bubbles itself and is not called from within one. A cfg that cannot work
// fails t at once.
func Run[K comparable, V any](t *testing.T, cfg Config[K, V]) {
	t.Helper()
	cfg, err := cfg.complete()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range clauses[K, V]() {
		if !c.applies(&cfg) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			if err := c.test(t, cfg); err != nil {
				t.Error(c.explain(err))
			}
		})
	}
}

// clause is one promise of the port and the check that a cache keeps it.
type clause[K comparable, V any] struct {
	name  string
	rule  string // what the port promises
	why   string // what goes wrong in a service where it does not hold
	cause string // what usually breaks it
	when  func(cfg *Config[K, V]) bool
	check func(p *probe[K, V])

	// leaks makes goroutines that outlive the cache a failure. One clause asks
	// for that, so that an adapter that leaks fails there and not everywhere.
	leaks bool
}

// clauses lists the promises, the simple ones first: where several sub-tests
// fail, the first one is the one to look at.
func clauses[K comparable, V any]() []clause[K, V] {
	var all []clause[K, V]
	for _, group := range [][]clause[K, V]{
		entryClauses[K, V](), valueClauses[K, V](), writeClauses[K, V](), keyClauses[K, V](),
		lifeClauses[K, V](), plainClauses[K, V](), concurrencyClauses[K, V](), contextClauses[K, V](),
		faultClauses[K, V](), byteClauses[K, V](), abilityClauses[K, V](), glanceClauses[K, V](), incarnationClauses[K, V](), wrapperClauses[K, V](),
		leaseClauses[K, V](), leaseSeenClauses[K, V](), leaseEndClauses[K, V](), leaseVoidClauses[K, V](),
		leaseWatchClauses[K, V](), listenClauses[K, V](), layerClauses[K, V](),
		batchClauses[K, V](), batchTroubleClauses[K, V](), batchLeaseClauses[K, V](), scanClauses[K, V](),
	} {
		all = append(all, group...)
	}
	return all
}

func (c *clause[K, V]) applies(cfg *Config[K, V]) bool { return c.when == nil || c.when(cfg) }

func (c *clause[K, V]) explain(err error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v\n", err)
	for _, part := range [][2]string{{"promise", c.rule}, {"matters", c.why}, {"look at", c.cause}} {
		fmt.Fprintf(&b, "  %s: %s\n", part[0], part[1])
	}
	return b.String()
}

// plainly and whole are conditions for clauses.
func plainly[K comparable, V any](cfg *Config[K, V]) bool { return cfg.Plain }
func whole[K comparable, V any](cfg *Config[K, V]) bool   { return !cfg.Plain }
