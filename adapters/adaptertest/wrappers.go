package adaptertest

import (
	"slices"
	"time"

	"github.com/corralcache/corral"
)

// wrapperClauses are about caches made of other caches.
func wrapperClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{{
		name:  "wrapper",
		rule:  "A wrapper has an optional interface only if a cache inside it has it, but for Layered, which two caches make, and for BatchCache and BatchLeaser, for which single calls will do. It has Settler, Checker, Listener, Layered and Leaser if any of them has, Far, PlainCache, BatchCache and Scanner if all have, and BatchLeaser if all Leasers have; it is far if all of them are, prompt if all far ones are, and its leases last as long as those inside.",
		why:   "An ability that is hidden is not used: a buffered Set is not waited for, each caller makes a round trip, deletes by other processes are not heard, every process loads, a thousand keys take a thousand round trips. An invented one is called and cannot do it.",
		cause: "The inner cache kept as a corral.Cache, which hides its other methods, or embedded with all of them.",
		when:  func(cfg *Config[K, V]) bool { return cfg.Inner != nil },
		check: checkWrapper[K, V],
	}}
}

// ability is one optional interface.
type ability struct {
	name string
	has  func(cache any) bool
	any  bool // a wrapper has it as soon as one inner cache has it
	made bool // a wrapper may have it without

	among func(cache any) bool // of which it is asked; nil is all
}

func abilities[K comparable, V any]() []ability {
	return []ability{
		{name: "BatchCache", has: is[corral.BatchCache[K, V]], made: true},
		{name: "BatchLeaser", has: is[corral.BatchLeaser[K, V]], made: true, among: is[corral.Leaser[K, V]]},
		{name: "Settler", has: is[corral.Settler[K]], any: true},
		{name: "Checker", has: is[corral.Checker], any: true},
		{name: "Listener", has: is[corral.Listener[K]], any: true},
		{name: "Leaser", has: is[corral.Leaser[K, V]], any: true},
		{name: "Layered", has: is[corral.Layered[K, V]], any: true, made: true},
		{name: "Far", has: is[corral.Far]},
		{name: "PlainCache", has: is[corral.PlainCache[K, V]]},
		{name: "Far that returns true", has: far},
		{name: "Scanner that can", has: func(cache any) bool { _, ok := scanner[K, V](cache); return ok }},
		{name: "Prompt that returns true", has: prompt, among: far},
	}
}

func prompt(cache any) bool {
	p, ok := cache.(corral.Prompt)
	return ok && p.Prompt()
}

func is[I any](cache any) bool { _, ok := cache.(I); return ok }

func checkWrapper[K comparable, V any](p *probe[K, V]) {
	inner := p.Inner()
	if len(inner) == 0 {
		p.failf("Config.Inner returned no cache")
	}
	for i, cache := range inner {
		if c, ok := cache.(corral.Cache[K, V]); ok {
			inner[i] = able(c)
		}
	}
	for _, a := range abilities[K, V]() {
		with, of := 0, 0
		for _, cache := range inner {
			if a.among != nil && !a.among(cache) {
				continue
			}
			of++
			if a.has(cache) {
				with++
			}
		}
		has := a.has(p.cache)
		switch {
		case has && with == 0 && !a.made:
			p.failf("%T has %s, and no cache inside it has", p.cache, a.name)
		case !has && with > 0 && (a.any || with == of):
			p.failf("%T lacks %s, and %d of %d caches inside it have it", p.cache, a.name, with, of)
		}
	}
	p.wantLeaseLifeOf(inner)
}

func (p *probe[K, V]) wantLeaseLifeOf(inner []any) {
	outer, ok := p.cache.(corral.Leaser[K, V])
	if !ok {
		return
	}
	var lives []time.Duration
	for _, cache := range inner {
		if l, ok := cache.(corral.Leaser[K, V]); ok {
			lives = append(lives, l.LeaseLife())
		}
	}
	if got := outer.LeaseLife(); !slices.Contains(lives, got) {
		p.failf("LeaseLife of %T is %v, and inside it %v", p.cache, got, lives)
	}
}
