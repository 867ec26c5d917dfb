package stampede

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/corralcache/corral/examples/stampede/internal/report"
)

// mostCallers bounds the calls under way at once. A call over it is not begun
// and counts as an error.
const mostCallers = 20_000

var errCrowded = fmt.Errorf("not begun: %d calls under way", mostCallers)

// turn is one set-up's turn at the schedule.
type turn struct {
	setUp  setUp
	source *client
	record func(report.Event)

	callers  chan struct{}
	underWay sync.WaitGroup
}

func newTurn(set setUp, source *client, record func(report.Event)) *turn {
	return &turn{setUp: set, source: source, record: record, callers: make(chan struct{}, mostCallers)}
}

// run does each step at its time, in a goroutine of its own, and returns when
// all have returned or ctx ends.
func (t *turn) run(ctx context.Context, steps []report.Step) error {
	if err := t.source.begin(); err != nil {
		return err
	}
	defer t.underWay.Wait()
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for _, step := range steps {
		if wait := step.Due - t.source.now(); wait > 0 {
			alarm.Reset(wait)
			select {
			case <-alarm.C:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := t.do(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

func (t *turn) do(ctx context.Context, step report.Step) error {
	switch step.Kind {
	case report.KindMood:
		t.record(report.Event{Kind: report.KindMood, Due: step.Due, Mood: step.Mood, Cost: step.Cost})
		return t.source.mood(step.Mood, step.Cost)
	case report.KindDelete:
		t.underWay.Go(func() { t.delete(ctx, step) })
	case report.KindCall:
		select {
		case t.callers <- struct{}{}:
			t.underWay.Go(func() {
				defer func() { <-t.callers }()
				t.call(ctx, step)
			})
		default:
			t.answered(step, t.source.now(), Row{}, errCrowded, false)
		}
	}
	return nil
}

func (t *turn) call(ctx context.Context, step report.Step) {
	ctx, cancel := context.WithTimeout(ctx, step.Patience)
	defer cancel()
	began := t.source.now()
	v, err := t.setUp.get(ctx, step.Key)
	left := step.Patience == impatience && ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded)
	t.answered(step, began, v, err, left)
}

func (t *turn) answered(step report.Step, began time.Duration, v Row, err error, left bool) {
	e := report.Event{
		Kind: report.KindCall, Due: step.Due, Began: began, Ended: t.source.now(),
		Key: step.Key, Patience: step.Patience, Left: left,
	}
	if err != nil {
		e.Err = err.Error()
	} else {
		e.Version, e.Loaded = v.Version, v.Loaded
	}
	t.record(e)
}

// delete changes the row and then deletes its key. Ended is when the service
// may tell its user that the change is made.
func (t *turn) delete(ctx context.Context, step report.Step) {
	e := report.Event{Kind: report.KindDelete, Due: step.Due, Began: t.source.now(), Key: step.Key}
	var err error
	e.Version, err = t.source.bump(step.Key)
	if err == nil {
		err = t.setUp.delete(ctx, step.Key)
	}
	if err != nil {
		e.Err = err.Error()
	}
	e.Ended = t.source.now()
	t.record(e)
}
