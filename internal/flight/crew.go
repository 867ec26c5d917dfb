package flight

import "context"

// Crew is what flights have in common whose loads are one: the context of that
// load, and a place in the wait-for graph for which all of them wait.
type Crew struct {
	LoadContext
	live int            // flights whose own context was not cancelled; guarded by graph
	gone map[*node]bool // those whose was; guarded by graph
}

// Together makes flights that were not landed yet a crew, with the values of ctx.
// The crew's context is cancelled once every flight's was. A call made inside the
// crew's load is made by all of its flights.
func Together[K comparable, V any](ctx context.Context, flights []*Flight[K, V]) *Crew {
	c := &Crew{LoadContext: LoadContext{Context: Context{values: ctx}}, live: len(flights)}
	edges := make([]edge, len(flights))
	graph.Lock()
	for i, f := range flights {
		n := &f.ctx.node
		edges[i] = edge{to: &c.node, next: n.waits, crew: c}
		n.waits = &edges[i]
	}
	graph.Unlock()
	for _, f := range flights { // one may have been cancelled before
		if f.ctx.Err() != nil {
			f.ctx.node.leave(context.Cause(f.ctx))
		}
	}
	return c
}

// Values returns a context with the values of the crew's and an end of its own, 0
// being none, for a call made for all of its flights.
func (c *Crew) Values(deadline int64) *CallContext {
	return &CallContext{Context: Context{deadline: deadline, values: c.values}, node: &c.node}
}

// HookValues returns a context with the values of the flight's, for a call that
// the flight waits for, and with it the crew that it flies with, if any.
func (f *Flight[K, V]) HookValues() context.Context {
	graph.Lock()
	defer graph.Unlock()
	at := &f.ctx.node
	for e := at.waits; e != nil; e = e.next {
		if e.crew != nil { // the first one is the latest
			at = e.to
			break
		}
	}
	return &CallContext{Context: Context{values: f.ctx.values}, node: at}
}

// Late reports whether the context has outlived its deadline.
func (c *Crew) Late() bool { return c.late() }

// Cancel ends the context with a cause, and that of a crew of which it was the
// last.
func (c *LoadContext) Cancel(cause error) {
	c.Context.Cancel(cause)
	c.node.leave(cause)
}

// leave takes a flight that was cancelled off its crews.
func (n *node) leave(cause error) {
	for _, c := range n.lastOf() {
		c.Context.Cancel(cause)
	}
}

// lastOf notes that a flight was cancelled and returns the crews of which it was
// the last one left.
func (n *node) lastOf() (crews []*Crew) {
	graph.Lock()
	defer graph.Unlock()
	for e := n.waits; e != nil; e = e.next {
		c := e.crew
		if c == nil || c.gone[n] {
			continue
		}
		if c.gone == nil {
			c.gone = map[*node]bool{}
		}
		c.gone[n] = true
		if c.live--; c.live == 0 {
			crews = append(crews, c)
		}
	}
	return crews
}
