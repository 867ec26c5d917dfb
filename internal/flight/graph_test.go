package flight

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// script makes nodes a to h and plays waits such as "a>b", ends of waits such as
// "a-b", and waits that must be refused such as "b!a".
func script(t *testing.T, steps ...string) map[byte]*node {
	t.Helper()
	nodes := map[byte]*node{}
	for c := byte('a'); c <= 'h'; c++ {
		nodes[c] = &node{}
	}
	for _, s := range steps {
		from, to := nodes[s[0]], nodes[s[2]]
		switch s[1] {
		case '>', '!':
			if from.wait(to) != (s[1] == '>') {
				t.Errorf("%v: %s went wrong", steps, s)
			}
		case '-':
			from.unwait(to)
		}
	}
	return nodes
}

func TestWaitsThatCloseACircleAreRefused(t *testing.T) {
	script(t, "a!a")
	script(t, "a>b", "b!a")
	script(t, "a>b", "b>c", "c>d", "d!a", "d!b", "d>e")
	script(t, "a>b", "a>c", "b>d", "c>d", "d!a") // two ways to the same end
	script(t, "a>b", "c>d", "b>c", "d!a")
	script(t, "a>b", "a-b", "b>a", "a!b")
	script(t, "a>b", "a>b", "a-b", "b!a", "a-b", "b>a") // each wait counts
	script(t, "a-b", "b>a")
	script(t, "b!b", "a>b", "a>c", "a>d", "a-c", "d!a", "c>a")
}

func TestEndedWaitsLeaveNothing(t *testing.T) {
	nodes := script(t, "a>b", "a>c", "a>d", "a-c", "a-b", "a-d")
	if nodes['a'].waits != nil {
		t.Error("a still holds edges")
	}
}

// The graph against the plain algorithm on a matrix.
func TestGraphRandomly(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		const n = 6
		var nodes [n]node
		var edges [n][n]int
		for range 60 {
			i, j := r.IntN(n), r.IntN(n)
			if edges[i][j] > 0 && r.IntN(2) == 0 {
				nodes[i].unwait(&nodes[j])
				edges[i][j]--
				continue
			}
			want := !reaches(edges[:], j, i)
			if got := nodes[i].wait(&nodes[j]); got != want {
				t.Fatalf("wait(%d, %d) = %v with %v", i, j, got, edges)
			}
			if want {
				edges[i][j]++
			}
		}
	}
}

func reaches(edges [][6]int, from, to int) bool {
	seen := []int{from}
	for i := 0; i < len(seen); i++ {
		for next, count := range edges[seen[i]] {
			if count > 0 && !slices.Contains(seen, next) {
				seen = append(seen, next)
			}
		}
	}
	return slices.Contains(seen, to)
}
