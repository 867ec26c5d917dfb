package adaptertest

import "github.com/corralcache/corral"

// wrapperClauses are about caches made of other caches.
func wrapperClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{{
		name:  "wrapper",
		rule:  "A wrapper has an optional interface only if a cache inside it has it. It has Settler, Checker and Listener if any of them has, Far and PlainCache if all have; and it is far if all of them are.",
		why:   "An ability that is hidden is not used: a buffered Set is not waited for, each caller makes a round trip, deletes by other processes are not heard. An invented one is called and cannot do it.",
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
}

func abilities[K comparable, V any]() []ability {
	return []ability{
		{"Settler", is[corral.Settler[K]], true},
		{"Checker", is[corral.Checker], true},
		{"Listener", is[corral.Listener[K]], true},
		{"Far", is[corral.Far], false},
		{"PlainCache", is[corral.PlainCache[K, V]], false},
		{"Far that returns true", far, false},
	}
}

func is[I any](cache any) bool { _, ok := cache.(I); return ok }

func checkWrapper[K comparable, V any](p *probe[K, V]) {
	inner := p.Inner()
	if len(inner) == 0 {
		p.failf("Config.Inner returned no cache")
	}
	for _, a := range abilities[K, V]() {
		with := 0
		for _, cache := range inner {
			if a.has(cache) {
				with++
			}
		}
		has := a.has(p.cache)
		switch {
		case has && with == 0:
			p.failf("%T has %s, and no cache inside it has", p.cache, a.name)
		case !has && with > 0 && (a.any || with == len(inner)):
			p.failf("%T lacks %s, and %d of the %d caches inside it have it", p.cache, a.name, with, len(inner))
		}
	}
}
