package adaptertest

import (
	"errors"

	"github.com/corralcache/corral"
)

// faultClauses are about stores that fail.
func faultClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{{
		name:  "outage",
		rule:  "When the store fails, every call returns its error: Get not a miss, Delete not nil. It is none of ErrUndecodable, ErrRefused and ErrLeaseLost, and nothing panics.",
		why:   "The Loader turns the error into a load, counts it, and leaves a store alone that keeps failing. A swallowed error looks like an empty cache: each call waits for the time-out first. A swallowed Delete leaves the wrong value without anyone knowing.",
		cause: "if err != nil { return nil, nil }; only one of the store's errors handled; fire and forget writes.",
		when:  func(cfg *Config[K, V]) bool { return cfg.Outage != nil },
		check: checkOutage[K, V],
	}}
}

func checkOutage[K comparable, V any](p *probe[K, V]) {
	p.put(p.Key(0), p.entry(0))
	p.Outage(p.t)
	for _, key := range []K{p.Key(0), p.Key(1)} {
		for _, op := range p.operations(key, p.entry(1)) {
			var err error
			p.await(op.name+" on a failing store", p.patience(), func() { err = op.run(p.ctx) })
			switch {
			case err == nil:
				p.failf("%s returned a nil error on a failing store", op.name)
			case errors.Is(err, corral.ErrUndecodable), errors.Is(err, corral.ErrRefused), errors.Is(err, corral.ErrLeaseLost):
				p.failf("%s returned %q on a failing store: that says the store works", op.name, err)
			}
		}
	}
}
