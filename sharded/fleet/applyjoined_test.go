package fleet_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Of two processes that apply the same topology, one that gives up does not take back what the
// other one is still at: whether it began the change or joined it.
func TestApplyOfTwoOfWhichOneGivesUp(t *testing.T) {
	for name, begins := range map[string]bool{"who began it": true, "who joined it": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				one, other := s.process(two, s.together()), s.process(two, s.together())
				first, second := t.Context(), t.Context()
				ending, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				if begins {
					first = ending
				} else {
					second = ending
				}
				apply := func(f *fleetOfAll, ctx context.Context) <-chan error {
					applied := make(chan error, 1)
					go func() {
						_, err := f.Apply(ctx, three)
						applied <- err
					}()
					return applied
				}
				began := apply(one, first)
				time.Sleep(time.Second)
				joined := apply(other, second)
				if begins {
					began, joined = joined, began
				}
				must(t, <-began)
				wantIs(t, <-joined, context.DeadlineExceeded)
				for _, f := range []*fleetOfAll{one, other} {
					_, err := f.Get(t.Context(), "key")
					if now, _ := f.Topology(); err != nil || now.Epoch != three.Epoch {
						t.Errorf("epoch %d is in force, %v", now.Epoch, err)
					}
				}
			})
		})
	}
}
