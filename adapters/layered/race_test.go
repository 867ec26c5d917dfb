package layered_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
)

// events are what makes near's copy of a key wrong: afterwards far holds 2, or
// nothing.
var events = map[string]func(p, other *process) (after int){
	"another process sets": func(_, other *process) int {
		_ = other.Set(context.Background(), "k", lasting(2))
		return 2
	},
	"another process deletes": func(_, other *process) int {
		_ = other.Delete(context.Background(), "k")
		return 0
	},
	"this process sets": func(p, _ *process) int {
		_ = p.Set(context.Background(), "k", lasting(2))
		return 2
	},
	"this process deletes": func(p, _ *process) int {
		_ = p.Delete(context.Background(), "k")
		return 0
	},
	"this process fills": func(p, _ *process) int {
		held, _ := p.Acquire(context.Background(), "k", corral.LeaseRequest[int]{Token: "t", Force: true})
		if held.State != corral.LeaseHeld {
			panic("no lease")
		}
		_ = p.Fill(context.Background(), "k", "t", lasting(2))
		return 2
	},
	"unheard, another process deletes": func(p, other *process) int {
		p.far.cut <- struct{}{}
		synctest.Wait()
		_ = other.Delete(context.Background(), "k")
		return 0
	},
}

// H4: the fill race, with what it races at every point of the fill.
func TestFillRace(t *testing.T) {
	fills := map[string]func(p *process){
		"Get": func(p *process) { p.read("k") },
		"the far layer": func(p *process) {
			_, far := p.Layers()
			_, _ = far.Get(context.Background(), "k")
		},
		"Acquire": func(p *process) {
			_, _ = p.Acquire(context.Background(), "k", corral.LeaseRequest[int]{Token: "of the fill"})
		},
	}
	for what, event := range events {
		for how, fill := range fills {
			for _, when := range []string{"before far is read", "while the answer is under way", "after near was filled"} {
				t.Run(what+"/"+how+"/"+when, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { race(t, event, fill, when) })
				})
			}
		}
	}
}

func race(t *testing.T, event func(p, other *process) int, fill func(p *process), when string) {
	s := newStore()
	p, other := hearing(t, s, layered.Options{}), newProcess(t, s, layered.Options{})
	must(t, other.Set(t.Context(), "k", lasting(1)))
	synctest.Wait()
	after := 0
	happen := func(string) error {
		p.far.going, p.far.coming = nil, nil // the event's own calls pass
		after = event(p, other)
		synctest.Wait()
		return nil
	}
	switch when {
	case "before far is read":
		p.far.going = happen
	case "while the answer is under way":
		p.far.coming = happen
	}
	fill(p)
	if when == "after near was filled" {
		p.wantCopy("k", 1, "after the fill")
		_ = happen("")
	}
	if e := p.copyOf("k"); e != nil && e.Value != after {
		t.Errorf("near serves %v, far has %d", show(e), after)
	}
	if e := p.read("k"); after == 0 && e != nil || after != 0 && (e == nil || e.Value != after) {
		t.Errorf("Get = %v, far has %d", show(e), after)
	}
}

// A fill that nothing disturbs is copied, whatever happens to other keys.
func TestFillOfAnotherKeyIsNotDisturbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		p, other := hearing(t, s, layered.Options{}), newProcess(t, s, layered.Options{})
		must(t, other.Set(t.Context(), "k", lasting(1)))
		synctest.Wait()
		p.far.coming = func(string) error {
			p.far.coming = nil
			for i := range 1000 {
				key := string(rune('A' + i))
				if key != "k" {
					must(t, other.Delete(t.Context(), key))
					must(t, p.Delete(t.Context(), key))
				}
			}
			synctest.Wait()
			return nil
		}
		p.read("k")
		p.wantCopy("k", 1, "after a fill among writes of other keys")
	})
}

// Of two writes at the same time nobody knows which one far applied last.
func TestWritesAtTheSameTimeAreNotCopied(t *testing.T) {
	for name, finish := range map[string][]int{"in order": {0, 1}, "the other way": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := hearing(t, newStore(), layered.Options{})
				gates := []chan struct{}{make(chan struct{}), make(chan struct{})}
				calls := 0
				p.far.going = func(string) error { n := calls; calls++; <-gates[n]; return nil }
				for n := range gates {
					go func() { _ = p.Set(t.Context(), "k", lasting(n+1)) }()
					synctest.Wait()
				}
				for _, n := range finish {
					close(gates[n])
					synctest.Wait()
					p.wantNone("k", "after a Set beside another")
				}
				p.far.going = nil
				must(t, p.Set(t.Context(), "k", lasting(3)))
				p.wantCopy("k", 3, "after a Set alone")
			})
		})
	}
}

// W1: what is read while a Delete is under way may be what it deletes, and is
// never copied.
func TestContract_W1_NothingIsCopiedDuringADelete(t *testing.T) {
	for _, when := range []string{"before far has deleted", "after far has deleted"} {
		t.Run(when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				p := hearing(t, s, layered.Options{})
				must(t, s.Process().Set(t.Context(), "k", lasting(1)))
				synctest.Wait()
				answer := make(chan struct{})
				during := func(op string) error {
					if op == "Delete" {
						p.far.going, p.far.coming = nil, nil
						go func() {
							p.far.coming = func(string) error { <-answer; return nil }
							p.read("k")
						}()
						synctest.Wait()
						p.far.coming = nil
					}
					return nil
				}
				if when == "before far has deleted" {
					p.far.going = during
				} else {
					p.far.coming = during
				}
				must(t, p.Delete(t.Context(), "k"))
				close(answer)
				synctest.Wait()
				p.wantNone("k", "after Delete")
			})
		})
	}
}
