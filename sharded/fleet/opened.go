package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// turn waits for the turn to replace what is in force.
func (f *Fleet[K, V]) turn(ctx context.Context) error {
	select {
	case f.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *Fleet[K, V]) endTurn() { <-f.turns }

// openFor opens the shards of t that are not open.
func (f *Fleet[K, V]) openFor(ctx context.Context, t Topology) error {
	if err := f.turn(ctx); err != nil {
		return err
	}
	defer f.endTurn()
	if f.closed.Load() {
		return ErrClosed
	}
	_, err := f.lay(ctx, t)
	return err
}

// lay returns the layout of t, with its shards open. The caller has the turn.
func (f *Fleet[K, V]) lay(ctx context.Context, t Topology) (*layout[K, V], error) {
	t = t.sorted()
	placed := t.placed()
	r, err := f.opts.Router.route(placed)
	if err != nil {
		return nil, err
	}
	bound, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(f.ward.life, func() { end(ErrClosed) })() // Close waits for the turn
	opened, err := openThose(bound, t, f.open, f.opening, f.opts.Close)
	if err != nil {
		return nil, err
	}
	if f.placed.Load() != nil { // New is over: what a fleet can do is known
		if err := covers(f.can, opened); err != nil {
			return nil, errors.Join(err, closeAll(context.WithoutCancel(ctx), slices.Collect(maps.Values(opened)), f.opts.Close))
		}
	}
	if err := f.mayGroup(t, opened); err != nil {
		return nil, errors.Join(err, closeAll(context.WithoutCancel(ctx), slices.Collect(maps.Values(opened)), f.opts.Close))
	}
	for _, m := range opened {
		m.vitals.admit(f.ward, m.far)
	}
	maps.Copy(f.open, opened)
	groups := t.byGroup()
	return layOut(t, placed, r, func(s Shard) *member[K, V] { return f.settledGroup(s, groups[s.ID]) }), nil
}

// covers returns an error for a shard that can what a Loader was told that no shard of
// the fleet can.
func covers[K comparable, V any](can abilities, opened map[string]*member[K, V]) error {
	for id, m := range opened {
		ability := ""
		switch own := abilitiesOf([]*member[K, V]{m}); {
		case own.settle && !can.settle:
			ability = "Settler"
		case m.far && !can.far:
			ability = "Far"
		case m.listener != nil && !can.share:
			ability = "Listener"
		case can.prompt && can.far && !own.prompt:
			return option("New: open", fmt.Sprintf("a far cache for shard %q that is no corral.Prompt", id), "the others of the fleet are")
		default:
			continue
		}
		return option("New: open", fmt.Sprintf("a cache for shard %q that is a corral.%s", id, ability),
			"no shard that the fleet was made with is")
	}
	return nil
}

// closeUnused closes the shards that no call is sent to.
func (f *Fleet[K, V]) closeUnused() {
	f.turns <- struct{}{}
	defer f.endTurn()
	f.closeUnusedInTurn()
}

func (f *Fleet[K, V]) closeUnusedInTurn() {
	p := f.placed.Load()
	var unused []*member[K, V]
	for id, m := range f.open {
		if _, used := p.all.at[id]; !used {
			unused = append(unused, m)
			delete(f.open, id)
		}
	}
	if len(unused) > 0 {
		f.leaving.add(unused, func(m []*member[K, V]) {
			ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
			defer cancel()
			if err := closeAll(ctx, m, f.opts.Close); err != nil {
				f.opts.Hooks.changeError(ctx, Shard{}, err)
			}
		})
	}
}

const (
	// closePause is how long after their last call could begin shards are closed, so
	// that it returns.
	closePause = time.Second

	closeTimeout = 10 * time.Second
)

// leaving are shards that will be closed.
type leaving[K comparable, V any] struct {
	mu    sync.Mutex
	timer *time.Timer     // guarded by mu
	those []*member[K, V] // guarded by mu
	under sync.WaitGroup  // closes under way
	over  bool            // guarded by mu
}

// add has close called with those in a while.
func (l *leaving[K, V]) add(those []*member[K, V], close func([]*member[K, V])) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.those = append(l.those, those...)
	if l.timer != nil {
		l.timer.Stop()
	}
	l.timer = time.AfterFunc(closePause, func() {
		l.mu.Lock()
		due := l.those
		l.those = nil
		if l.over {
			due = nil
		}
		l.under.Add(1)
		l.mu.Unlock()
		defer l.under.Done()
		if len(due) > 0 {
			close(due)
		}
	})
}

// end returns those that are still to be closed, and waits for the others.
func (l *leaving[K, V]) end() []*member[K, V] {
	l.mu.Lock()
	if l.timer != nil {
		l.timer.Stop()
	}
	rest := l.those
	l.those, l.over = nil, true
	l.mu.Unlock()
	l.under.Wait()
	return rest
}
