package flight

import (
	"context"
	"sync"
)

// node is a flight's place in the wait-for graph of all live flights of the
// process, whatever their tables: an edge leads from a flight whose load waits
// to the flight that it waits for. A wait that would close a circle is refused.
// Only calls made inside a load touch the graph.
type node struct {
	waits *edge // guarded by graph
}

// edge is one entry in the list of a node's edges.
type edge struct {
	to   *node
	next *edge
	crew *Crew // of which to is the node; nil for a wait
}

var graph sync.Mutex

type nodeKey struct{}

// nodeOf returns the node of the flight inside whose load ctx was made, or nil.
func nodeOf(ctx context.Context) *node {
	n, _ := ctx.Value(nodeKey{}).(*node)
	return n
}

// Nested reports whether ctx was made inside a load.
func Nested(ctx context.Context) bool { return nodeOf(ctx) != nil }

// wait adds the edge from n to on. It reports false, and adds nothing, if on
// waits for n already.
func (n *node) wait(on *node) bool {
	graph.Lock()
	defer graph.Unlock()
	if on.reachesLocked(n, nil) {
		return false
	}
	n.waits = &edge{to: on, next: n.waits}
	return true
}

// unwait removes one edge from n to on.
func (n *node) unwait(on *node) {
	graph.Lock()
	defer graph.Unlock()
	for at := &n.waits; *at != nil; at = &(*at).next {
		if (*at).to == on {
			*at = (*at).next
			return
		}
	}
}

// reachesLocked reports whether a path leads from n to target. seen holds the
// nodes that were looked at.
func (n *node) reachesLocked(target *node, seen map[*node]bool) bool {
	if n == target {
		return true
	}
	if n.waits == nil || seen[n] {
		return false
	}
	if seen == nil {
		seen = map[*node]bool{}
	}
	seen[n] = true
	for e := n.waits; e != nil; e = e.next {
		if e.to.reachesLocked(target, seen) {
			return true
		}
	}
	return false
}
