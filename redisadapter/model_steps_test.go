package redisadapter_test

import "slices"

// steps calls yield with everything that can happen next.
func (p *protocol) steps(w world, yield func(step)) {
	p.events(w, yield)
	for i := range w.clients {
		p.lates(w, i, yield)
		switch c := w.clients[i]; c.doing {
		case idle:
			p.look(w, i, yield)
		case loading:
			p.load(w, i, yield)
		case asking, filling, releasing:
			if c.air == question {
				p.arrive(w, i, yield)
				p.delay(w, i, yield)
			} else {
				p.deliver(w, i, yield)
			}
		}
		p.crash(w, i, yield)
	}
}

// events are what no client does.
func (p *protocol) events(w world, yield func(step)) {
	if n := w; w.left.expiries > 0 && w.fresh {
		n.left.expiries--
		n.ceased()
		if !p.keeps {
			n.stored = 0
		}
		yield(step{-1, "what is stored ceases to be fresh", n, ""})
	}
	if n := w; w.left.deletes > 0 {
		n.left.deletes--
		n.shelf = p.del(w.shelf)
		n.ceased()
		n.written()
		yield(step{-1, "a Delete", n, ""})
	}
	if n := w; w.left.sets > 0 {
		n.left.sets--
		n.shelf = p.set(w.shelf, p.wrote(&n))
		n.fresh = true
		n.written()
		yield(step{-1, "a Set", n, ""})
	}
	if n := w; w.left.ends && w.lease.token != 0 {
		n.lease = lease{}
		n.excuses++
		yield(step{-1, "the lease runs out", n, ""})
	}
}

// look begins a call: what is fresh ends it, else it asks for the lease.
func (p *protocol) look(w world, i int, yield func(step)) {
	if w.fresh {
		p.end(&w, i)
		yield(step{int8(i), "finds a fresh value", w, ""})
		return
	}
	c := &w.clients[i]
	c.doing, c.air, c.seen = asking, question, w.stored
	yield(step{int8(i), "looks and asks", w, ""})
}

// load ends a load. Whoever still loads also renews: with the right scripts that
// changes nothing but the lease's end, which may come at any time here.
func (p *protocol) load(w world, i int, yield func(step)) {
	if s, _ := p.renew(w.shelf, w.clients[i].lease); s != w.shelf {
		n := w
		n.shelf = s
		yield(step{int8(i), "renews", n, ""})
	}
	n := w
	n.clients[i].doing, n.clients[i].air = filling, question
	yield(step{int8(i), "loaded, fills", n, ""})
	if w.left.failures > 0 {
		n.left.failures--
		n.clients[i].doing = releasing
		yield(step{int8(i), "fails to load, releases", n, ""})
	}
}

// arrive runs the script that a client waits for.
func (p *protocol) arrive(w world, i int, yield func(step)) {
	c := &w.clients[i]
	what, fault := "", ""
	switch c.doing {
	case asking:
		what = "its acquire arrives"
		c.answer, fault = p.ask(&w, p.token(i, c.round), c.seen)
		if c.answer == held {
			if w.shared() {
				fault = "two loads under one lease"
			}
			c.lease = w.lease
		}
	case filling:
		what = "its fill arrives"
		c.answer, fault = p.store(&w, c.lease, p.loaded(i, c.round), c.older)
	case releasing:
		what = "its release arrives"
		if w.lease.token == c.lease.token {
			w.excuses++
		}
		w.shelf, c.answer = p.release(w.shelf, c.lease), done
	}
	c.air = reply
	yield(step{int8(i), what, w, fault})
}

// shared reports whether a client loads already under the lease that is out.
func (w *world) shared() bool {
	return slices.ContainsFunc(w.clients[:], func(c client) bool {
		return c.doing == loading && c.lease == w.lease
	})
}

func (p *protocol) ask(w *world, t token, seen version) (a answer, fault string) {
	before := w.lease
	w.shelf, a = p.acquire(w.shelf, t, w.now(), seen, false)
	if w.lease != before {
		w.grants++
		if w.grants > 1+w.excuses {
			fault = "two loads for one expiry, though no lease ran out"
		}
	}
	return a, fault
}

func (p *protocol) store(w *world, l lease, v version, older bool) (a answer, fault string) {
	before := w.shelf
	w.shelf, a = p.fill(w.shelf, l, v)
	wrote := a == done && (before.stored != v || before.lease == l)
	switch {
	case wrote && older:
		fault = "a fill sticks after a write that came after its load began"
	case wrote && w.fresh:
		fault = "two fills stick for one expiry"
	case a == lost && w.stored == v:
		fault = "what is stored is reported as lost"
	}
	w.fresh = w.fresh || wrote
	return a, fault
}

// deliver brings a client its answer, or loses it, and the command is repeated.
func (p *protocol) deliver(w world, i int, yield func(step)) {
	n := w
	c := &n.clients[i]
	c.air = nothing
	switch {
	case c.doing != asking:
		p.end(&n, i)
	case c.answer == held:
		c.doing = loading
	case c.answer == busy:
		c.air = question // with the same token: no worse than a new one
	case w.fresh:
		p.end(&n, i)
	default: // what it was told of is no longer fresh
		c.air, c.seen = question, w.stored
	}
	yield(step{int8(i), "gets its answer", n, ""})
	if n = w; w.left.losses > 0 {
		n.left.losses--
		n.clients[i].air = question
		yield(step{int8(i), "its answer is lost, it repeats", n, ""})
	}
}

// delay makes a command late: the client repeats it, or gives up. Who gets no
// answer to its acquire loads and stores nothing, and releases what it may have
// been given. A late release is left out: it is one whose answer is lost.
func (p *protocol) delay(w world, i int, yield func(step)) {
	c := &w.clients[i]
	if w.left.delays == 0 || !c.becomesLate() {
		return
	}
	w.left.delays--
	yield(step{int8(i), "its command is late, it repeats", w, ""})
	if c.doing == asking {
		c.doing, c.lease = releasing, lease{token: p.token(i, c.round)}
	} else {
		p.end(&w, i)
	}
	yield(step{int8(i), "its command is late, it gives up", w, ""})
}

// becomesLate puts the command under way among the late ones, if there is room.
func (c *client) becomesLate() bool {
	switch {
	case c.doing == asking && c.lateAsk.round == 0:
		c.lateAsk = lateAsk{c.round + 1, c.seen}
	case c.doing == filling && c.lateFill.round == 0:
		c.lateFill = lateFill{c.round + 1, c.lease, c.older}
	default:
		return false
	}
	return true
}

// lates run the scripts that nobody waits for any more.
func (p *protocol) lates(w world, i int, yield func(step)) {
	if late := w.clients[i].lateAsk; late.round != 0 {
		n := w
		n.clients[i].lateAsk = lateAsk{}
		_, fault := p.ask(&n, p.token(i, late.round-1), late.seen)
		yield(step{int8(i), "its late acquire arrives", n, fault})
	}
	if late := w.clients[i].lateFill; late.round != 0 {
		n := w
		n.clients[i].lateFill = lateFill{}
		a, fault := p.store(&n, late.lease, p.loaded(i, late.round-1), late.older)
		if a == lost {
			fault = "" // nobody is told
		}
		yield(step{int8(i), "its late fill arrives", n, fault})
	}
}

// crash ends a client. What it had sent arrives, or does not.
func (p *protocol) crash(w world, i int, yield func(step)) {
	c := &w.clients[i]
	if w.left.crashes == 0 || c.doing == over || c.doing == crashed {
		return
	}
	w.left.crashes--
	late := w
	if l := &late.clients[i]; c.air == question && l.becomesLate() {
		l.crash()
		yield(step{int8(i), "crashes, what it sent arrives later", late, ""})
	}
	c.crash()
	yield(step{int8(i), "crashes", w, ""})
}

func (c *client) crash() {
	*c = client{doing: crashed, lateAsk: c.lateAsk, lateFill: c.lateFill}
}

// end ends a client's call, and the client with its last one.
func (p *protocol) end(w *world, i int) {
	c := &w.clients[i]
	rest := client{round: c.round + 1, lateAsk: c.lateAsk, lateFill: c.lateFill}
	if rest.round == p.rounds {
		rest.doing, rest.round = over, 0
	}
	*c = rest
}
