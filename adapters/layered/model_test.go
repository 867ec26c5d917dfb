package layered_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
	"pgregory.net/rapid"
)

// step is one thing that happens in the model.
type step struct {
	At      time.Duration // after the beginning
	Process int
	Kind    string
	Took    time.Duration // of the load
}

// world is two processes that share a store, and a source whose value of the one
// key is a version, raised before each Delete.
type world struct {
	t       *testing.T
	members [2]member

	mu      sync.Mutex
	version int
	own     [2]int   // guarded by mu; the version before which a process may serve nothing, for its own Deletes
	others  [2][]due // guarded by mu; the same for those of the other
	errs    []string // guarded by mu
}

// due is a version that a process may serve nothing before, from an instant on.
type due struct {
	version int
	from    time.Time
}

const (
	unheard = 200 * time.Millisecond

	// openFlight is longer than any flight is open, which callers elsewhere may
	// share that were not there when the key was deleted.
	openFlight = 400 * time.Millisecond
)

// W1 across processes: whatever happens at the same time, and however long far
// takes, a process serves nothing older than a Delete of its own that returned. It
// serves nothing older than another's either, once it has heard and the flight is
// over that was open; with gaps in what it hears, once a copy that it made in the
// gap is over too.
func TestContract_W1_AcrossProcesses(t *testing.T) {
	for _, gaps := range []bool{false, true} {
		t.Run(fmt.Sprintf("gaps %v", gaps), func(t *testing.T) {
			kinds := []string{"get", "get", "get", "get", "refresh", "delete"}
			if gaps {
				kinds = append(kinds, "cut")
			}
			steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
				return step{
					At:      time.Duration(rapid.IntRange(0, 2000).Draw(rt, "at")) * time.Millisecond,
					Process: rapid.IntRange(0, 1).Draw(rt, "process"),
					Kind:    rapid.SampledFrom(kinds).Draw(rt, "kind"),
					Took:    time.Duration(rapid.IntRange(0, 40).Draw(rt, "took")) * time.Millisecond,
				}
			}), 5, 80)
			rapid.Check(t, func(rt *rapid.T) {
				script, seed := steps.Draw(rt, "steps"), rapid.Uint64().Draw(rt, "seed")
				var errs []string
				synctest.Test(t, func(t *testing.T) { errs = play(t, script, seed, gaps) })
				if len(errs) > 0 {
					rt.Fatal(errs)
				}
			})
		})
	}
}

func play(t *testing.T, script []step, seed uint64, gaps bool) []string {
	w := &world{t: t}
	s := newStore()
	for i := range w.members {
		w.members[i] = join(t, s, layered.Options{Unheard: unheard}, corral.Options{
			TTL: time.Second, StaleFor: time.Second,
		})
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		var mu sync.Mutex
		lag := func(string) error {
			mu.Lock()
			d := time.Duration(1+r.IntN(20)) * time.Millisecond
			mu.Unlock()
			time.Sleep(d)
			return nil
		}
		w.members[i].far.going, w.members[i].far.coming = lag, lag
	}
	var steps sync.WaitGroup
	for _, st := range script {
		steps.Go(func() {
			time.Sleep(st.At)
			w.play(st, gaps)
		})
	}
	steps.Wait()
	return w.errs
}

func (w *world) play(st step, gaps bool) {
	m := w.members[st.Process]
	switch st.Kind {
	case "cut":
		select {
		case m.far.cut <- struct{}{}:
		default: // it does not listen now
		}
	case "delete":
		w.delete(st.Process, gaps)
	default:
		floor := w.floor(st.Process)
		start := time.Now()
		call := m.GetOrLoad
		if st.Kind == "refresh" {
			call = m.Refresh
		}
		v, err := call(context.Background(), "k", w.load(st.Took))
		if err != nil || v < floor {
			w.fail("%s in process %d, begun at %v, returned %d, %v; want no version below %d",
				st.Kind, st.Process, start.Format(".000"), v, err, floor)
		}
	}
}

// load reads the source at once and takes its time to say what it read.
func (w *world) load(took time.Duration) corral.LoadFunc[string, int] {
	return func(context.Context, string) (int, error) {
		w.mu.Lock()
		v := w.version
		w.mu.Unlock()
		time.Sleep(took)
		return v, nil
	}
}

// delete writes to the source and deletes, and then notes what may not be served
// any more.
func (w *world) delete(process int, gaps bool) {
	w.mu.Lock()
	w.version++
	v := w.version
	w.mu.Unlock()
	if err := w.members[process].Loader.Delete(context.Background(), "k"); err != nil {
		w.fail("Delete in process %d: %v", process, err)
		return
	}
	grace := openFlight
	if gaps {
		grace += unheard
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.own[process] = max(w.own[process], v)
	w.others[1-process] = append(w.others[1-process], due{v, time.Now().Add(grace)})
}

func (w *world) floor(process int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	floor := w.own[process]
	for _, d := range w.others[process] {
		if !time.Now().Before(d.from) {
			floor = max(floor, d.version)
		}
	}
	return floor
}

func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs = append(w.errs, fmt.Sprintf(format, args...))
}
