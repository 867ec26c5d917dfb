package adaptertest

import (
	"errors"
	"math"
	"time"

	"github.com/corralcache/corral"
)

// plainClauses are about caches of bare values.
func plainClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "plain",
			rule:  "A cache is a PlainCache if and only if it holds bare values, as Config.Plain says.",
			why:   "The Loader reads a PlainCache through GetValue alone. What an entry carries beyond the value would be lost.",
			cause: "Methods that an embedded cache brought along; Config.Plain forgotten.",
			check: checkPlain[K, V],
		},
		{
			name:  "plain-life",
			rule:  "GetValue returns what is left of the life that SetValue, or Keep in Set, gave; it shrinks with time and ends with the value. A life of zero or below keeps nothing.",
			why:   "Freshness is computed from it. If it does not shrink, values are fresh for ever; if it jumps, they are loaded too often.",
			cause: "The life stored and returned as it was; whole seconds; zero read as for ever by the store.",
			when:  plainly[K, V],
			check: checkPlainLife[K, V],
		},
		{
			name:  "plain-entry",
			rule:  "Get of a bare value returns an entry with a zero LoadedAt and what is left of the value's life as Keep.",
			why:   "Nobody knows when the value was loaded. An entry that says it was just now is fresh again in every cache to which it is copied.",
			cause: "time.Now as LoadedAt; the life passed on as TTL; Get and GetValue written apart from each other.",
			when:  plainly[K, V],
			check: checkPlainEntry[K, V],
		},
		{
			name:  "plain-endless",
			rule:  "A value that has no end has a life below zero.",
			why:   "A life of zero makes every value that another program wrote without an end stale at once.",
			cause: "The store's own word for it (0, -1, a zero time) passed on or lost in a conversion.",
			when:  func(cfg *Config[K, V]) bool { return cfg.Plain && cfg.Endless != nil },
			check: checkEndless[K, V],
		},
	}
}

func checkPlain[K comparable, V any](p *probe[K, V]) {
	if _, is := p.cache.(corral.PlainCache[K, V]); is != p.Plain {
		p.failf("%T is a corral.PlainCache: %v; Config.Plain: %v", p.cache, is, p.Plain)
	}
}

func checkPlainLife[K comparable, V any](p *probe[K, V]) {
	p.setValue(p.Key(0), p.Value(0), p.life())
	p.followLife(p.Key(0), 0, p.life())
	p.setValue(p.Key(1), p.Value(1), p.life()/8)
	p.followLife(p.Key(1), 1, p.life()/8)
	p.put(p.Key(2), p.lasting(2, p.life()))
	p.followLife(p.Key(2), 2, p.life())

	p.setValue(p.Key(3), p.Value(3), math.MaxInt64)
	p.sleep(p.life())
	if _, life, ok := p.getValue(p.Key(3)); !ok || life >= 0 && life < time.Hour {
		p.failf("%s: life %v, found %v, after SetValue with a life of MaxInt64", call("GetValue", p.Key(3)), life, ok)
	}
	for _, none := range []time.Duration{0, -1, math.MinInt64} {
		p.setValue(p.Key(3), p.Value(3), none)
		p.wantMiss(p.Key(3), "after SetValue with a life of "+none.String())
	}
}

func checkPlainEntry[K comparable, V any](p *probe[K, V]) {
	start := time.Now()
	p.setValue(p.Key(0), p.Value(0), p.life())
	p.sleep(p.life() / 4)
	most := p.life() - p.life()/4 + p.Granularity
	e := p.get(p.Key(0))
	least := p.life() - time.Since(start) - p.Granularity
	switch {
	case e == nil:
		p.failf("%s missed, want an entry", call("Get", p.Key(0)))
	case !e.LoadedAt.IsZero():
		p.failf("%s returned an entry with LoadedAt %v, want the zero time", call("Get", p.Key(0)), e.LoadedAt)
	case e.Keep < least || e.Keep > most:
		p.failf("%s returned an entry with Keep %v, want what is left of the life: %v to %v", call("Get", p.Key(0)), e.Keep, least, most)
	}
}

// followLife watches a value that was just set until its life is over.
func (p *probe[K, V]) followLife(key K, n int, life time.Duration) {
	start := time.Now()
	for _, at := range []time.Duration{0, life / 4, life / 2} {
		p.sleep(time.Until(start.Add(at)))
		_, left, ok := p.getValue(key)
		took, most := time.Since(start), life-at+p.Granularity
		least := life - took - p.margin()
		if !ok && least > 0 || ok && (left < least || left > most) {
			p.failf("%s: life %v, found %v, %v into a life of %v", call("GetValue", key), left, ok, took, life)
		}
	}
	p.sleep(time.Until(start.Add(life + p.margin())))
	p.wantMiss(key, "after a life of "+life.String())
}

func checkEndless[K comparable, V any](p *probe[K, V]) {
	p.Endless(p.t, p.Key(0), p.Value(0))
	for _, when := range []string{"right after it was stored without an end", "some time after it was stored without an end"} {
		p.wantValueOf(p.Key(0), 0, when)
		if _, life, ok := p.getValue(p.Key(0)); !ok || life >= 0 {
			p.failf("%s %s: life %v, found %v, want a life below zero", call("GetValue", p.Key(0)), when, life, ok)
		}
		p.sleep(p.life())
	}
	p.put(p.Key(0), p.lasting(1, p.life()))
	p.followLife(p.Key(0), 1, p.life())
}

func (p *probe[K, V]) plainCache() corral.PlainCache[K, V] {
	c, ok := p.cache.(corral.PlainCache[K, V])
	if !ok {
		p.failf("Config.Plain is true and %T is no corral.PlainCache", p.cache)
	}
	return c
}

func (p *probe[K, V]) getValue(key K) (value V, life time.Duration, ok bool) {
	c, err := p.plainCache(), error(nil)
	p.await(call("GetValue", key), p.patience(), func() { value, life, ok, err = c.GetValue(p.ctx, key) })
	p.must(call("GetValue", key), err)
	return value, life, ok
}

func (p *probe[K, V]) setValue(key K, value V, life time.Duration) {
	c, err := p.plainCache(), error(nil)
	p.await(call("SetValue", key), p.patience(), func() { err = c.SetValue(p.ctx, key, value, life) })
	p.must(call("SetValue", key), err)
	if err := p.apply(key); life > 0 || !errors.Is(err, corral.ErrRefused) {
		p.must(call("Settle", key), err)
	}
}
