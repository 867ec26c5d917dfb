package adaptertest

import (
	"context"
	"time"

	"github.com/corralcache/corral"
)

// incarnationClauses are about a cache that tells one store from another that took its
// place.
func incarnationClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "incarnation",
			rule:  "As long as its store works and is the one that it was, Incarnation returns the same text without an error, to each process: after reads, writes and any time. An empty one stays empty.",
			why:   "When it is another one, what the store holds counts as lost writes: every entry is loaded once more, by each process that hears of it.",
			cause: "A text made of a connection, a client or the time; of what the replicas of a store are; drawn anew by each process.",
			when:  telling[K, V],
			check: checkIncarnation[K, V],
		},
		{
			name:  "incarnation-lost",
			rule:  "When the store may have lost writes that it had confirmed, Incarnation returns another text than ever before. An empty one stays empty: there is no way to tell, now and later.",
			why:   "What was deleted since the snapshot of which the store is made would be served again.",
			cause: "A text that was kept from the first answer; the store's name or address, which is the same for who takes its place; a counter that the store begins anew.",
			when:  func(cfg *Config[K, V]) bool { return telling(cfg) && cfg.Reincarnate != nil },
			check: checkReincarnation[K, V],
		},
		{
			name:  "incarnation-outage",
			rule:  "When the store fails, Incarnation returns an error and no text. An empty one may stay empty.",
			why:   "Whoever asks reads the store again when the text is the one before, and does without what it holds when it is another one.",
			cause: "The last answer in the place of one that failed; the error of one of two commands dropped.",
			when:  func(cfg *Config[K, V]) bool { return telling(cfg) && cfg.Outage != nil },
			check: checkIncarnationOutage[K, V],
		},
		{
			name:  "incarnation-context",
			rule:  "Incarnation returns soon after its context ended: with an error if the store does not answer. The calls after it work.",
			why:   "It is asked before a read: who reads waits for it.",
			cause: "A command without the context; a connection broken by the cancellation and given back to its pool.",
			when:  telling[K, V],
			check: checkIncarnationContext[K, V],
		},
	}
}

// telling is a condition for clauses, like leasing.
func telling[K comparable, V any](cfg *Config[K, V]) bool { return !cfg.seen.known || cfg.seen.tells }

// tells asks a cache which incarnation its store is.
func (p *probe[K, V]) tells(ctx context.Context, cache corral.Cache[K, V], patience time.Duration, when string) (id string, err error) {
	c, ok := cache.(corral.Incarnate)
	if !ok {
		p.failf("%T, as Config.Other returned it, is no corral.Incarnate, and the cache under test is", cache)
	}
	p.await("Incarnation "+when, patience, func() { id, err = c.Incarnation(ctx) })
	if err != nil && id != "" {
		p.failf("Incarnation %s returned %q beside the error %q, want one of them", when, id, err)
	}
	return id, err
}

// incarnation fails unless each process is told want, or anything if first.
func (p *probe[K, V]) incarnation(first bool, want, when string) string {
	for _, cache := range p.processes() {
		where := when
		if p.isOther(cache) {
			where = "in another process, " + when + ","
		}
		id, err := p.tells(p.ctx, cache, p.patience(), where)
		p.must("Incarnation "+where, err)
		if !first && id != want {
			p.failf("Incarnation %s is %q, and was %q before", where, id, want)
		}
		first, want = false, id
	}
	return want
}

func checkIncarnation[K comparable, V any](p *probe[K, V]) {
	if _, ok := p.cache.(corral.Incarnate); !ok {
		return
	}
	id := p.incarnation(true, "", "at first")
	p.put(p.Key(0), p.entry(0))
	p.incarnation(false, id, "after Set")
	p.get(p.Key(0))
	p.incarnation(false, id, "after Get")
	p.remove(p.Key(0))
	p.incarnation(false, id, "after Delete")
	for range 3 {
		p.sleep(p.pause())
		p.incarnation(false, id, "after a while")
	}
}

// retold asks until there is an answer: the first calls of a store that comes back may
// find connections that broke.
func (p *probe[K, V]) retold(cache corral.Cache[K, V]) (id string) {
	var err error
	for range many {
		if id, err = p.tells(p.ctx, cache, p.patience(), "of another store"); err == nil {
			return id
		}
		p.sleep(p.pause())
	}
	p.must("Incarnation of another store, each time,", err)
	return id
}

func checkReincarnation[K comparable, V any](p *probe[K, V]) {
	if _, ok := p.cache.(corral.Incarnate); !ok {
		return
	}
	id := p.incarnation(true, "", "at first")
	seen := map[string]bool{id: true}
	for range 3 {
		p.Reincarnate(p.t)
		now := ""
		for _, cache := range p.processes() {
			now = p.retold(cache)
		}
		p.incarnation(false, now, "of another store, once more,")
		switch {
		case id == "" && now != "":
			p.failf("Incarnation is %q when the store is another one, and was empty before: that says that it cannot tell", now)
		case id != "" && seen[now]:
			p.failf("Incarnation is %q when the store is another one, and it was that before", now)
		}
		seen[now] = true
	}
}

func checkIncarnationOutage[K comparable, V any](p *probe[K, V]) {
	if _, ok := p.cache.(corral.Incarnate); !ok {
		return
	}
	was := p.incarnation(true, "", "at first")
	p.Outage(p.t)
	if id, err := p.tells(p.ctx, p.cache, p.patience(), "on a failing store"); err == nil && (id != "" || was != "") {
		p.failf("Incarnation is %q, without an error, on a failing store; it was %q", id, was)
	}
}

func checkIncarnationContext[K comparable, V any](p *probe[K, V]) {
	if _, ok := p.cache.(corral.Incarnate); !ok {
		return
	}
	was := p.incarnation(true, "", "at first")
	ended, cancel := context.WithCancel(p.ctx)
	cancel()
	if id, err := p.tells(ended, p.cache, p.soon(), "with an ended context"); err == nil && id != was {
		p.failf("Incarnation with an ended context is %q without an error, and was %q", id, was)
	}
	p.incarnation(false, was, "after a call with an ended context")
	if p.Stall == nil {
		return
	}
	p.Stall(p.t)
	const bound = 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(p.ctx, bound)
	defer cancel()
	if id, err := p.tells(ctx, p.cache, bound+p.soon(), "with a context of 100ms, on a store that does not answer,"); err == nil && (id != "" || was != "") {
		p.failf("Incarnation is %q, without an error, on a store that does not answer", id)
	}
}
