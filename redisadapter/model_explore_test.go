package redisadapter_test

import (
	"fmt"
	"slices"
	"strings"
)

// exploration is every world that can come of one, and how.
type exploration struct {
	p      *protocol
	worlds []world
	index  map[world]int32
	from   []int32    // of each world: the one from which it was reached first
	edges  [][2]int32 // all steps, from and to
}

// explore looks at everything that can come of start, nearest first. It returns
// the shortest story that breaks a rule, empty if none does: a rule of a step,
// or that from everywhere an end can be reached at which every client has what
// it wanted or has crashed.
func explore(p *protocol, start world) (e *exploration, story string) {
	e = &exploration{p: p, index: map[world]int32{}}
	e.add(start, -1)
	for i := int32(0); int(i) < len(e.worlds); i++ {
		var broken *step
		p.steps(e.worlds[i], func(s step) {
			if s.fault != "" && broken == nil {
				broken = &s
			}
			if broken == nil {
				e.edges = append(e.edges, [2]int32{i, e.add(s.next, i)})
			}
		})
		if broken != nil {
			return e, e.story(i) + broken.String() + "\n=> " + broken.fault
		}
	}
	if i := e.stuck(); i >= 0 {
		return e, e.story(i) + "=> nobody can go on"
	}
	return e, ""
}

// add returns the number of a world, a new one if it is new.
func (e *exploration) add(w world, from int32) int32 {
	if i, ok := e.index[w]; ok {
		return i
	}
	i := int32(len(e.worlds))
	e.index[w] = i
	e.worlds = append(e.worlds, w)
	e.from = append(e.from, from)
	return i
}

// stuck returns the first world from which no end can be reached, -1 if there is
// none.
func (e *exploration) stuck() int32 {
	before := make([][]int32, len(e.worlds))
	for _, edge := range e.edges {
		before[edge[1]] = append(before[edge[1]], edge[0])
	}
	ends := make([]bool, len(e.worlds))
	var todo []int32
	for i := range e.worlds {
		if e.worlds[i].isOver() {
			ends[i] = true
			todo = append(todo, int32(i))
		}
	}
	for len(todo) > 0 {
		last := len(todo) - 1
		i := todo[last]
		todo = todo[:last]
		for _, b := range before[i] {
			if !ends[b] {
				ends[b] = true
				todo = append(todo, b)
			}
		}
	}
	for i, ok := range ends {
		if !ok {
			return int32(i)
		}
	}
	return -1
}

// story tells how a world came to be, a line for each step.
func (e *exploration) story(i int32) string {
	var lines []string
	for ; e.from[i] >= 0; i = e.from[i] {
		lines = append(lines, e.how(e.from[i], i))
	}
	slices.Reverse(lines)
	return strings.Join(append(lines, ""), "\n")
}

// how names a step from one world to another.
func (e *exploration) how(from, to int32) (what string) {
	e.p.steps(e.worlds[from], func(s step) {
		if what == "" && s.next == e.worlds[to] {
			what = s.String()
		}
	})
	return what
}

func (s *step) String() string {
	if s.who < 0 {
		return s.what
	}
	return fmt.Sprintf("client %d: %s", s.who, s.what)
}
