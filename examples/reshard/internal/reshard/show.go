package reshard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/corralcache/corral/sharded/fleet"
)

// step is a part of the show.
type step struct {
	name        string
	change      bool // of the shards: it must cost nothing
	from, until time.Duration
}

// action is what happens in a step. It returns what there is to tell of it.
type action struct {
	name   string
	change bool
	do     func(ctx context.Context) (note string, err error)
}

// run plays all steps, and then prints the table. It returns an error if a change was
// noticed, or a deleted value served.
func (s *show) run(ctx context.Context) error {
	start := time.Now()
	for i := range s.arms {
		gutter := fleet.GutterOptions{}
		if s.gutter && i == 0 {
			gutter = fleet.GutterOptions{Life: 10 * time.Second, Fills: 1000}
		}
		a, err := newArm(ctx, &arm{source: newSource(start), lease: s.lease, gutter: gutter, control: i == 1}, "a", "b", "c", "d")
		if err != nil {
			return err
		}
		s.arms[i] = a
	}
	s.introduce()
	if err := s.fill(ctx); err != nil {
		return err
	}
	s.traffic = newTraffic(s.arms, allKeys(s.keyCount), s.rate)
	s.traffic.begin(context.WithoutCancel(ctx), s.seed)
	err := s.playAll(ctx)
	s.traffic.end()
	for _, a := range s.arms {
		err = errors.Join(err, a.close(context.WithoutCancel(ctx)))
	}
	if err != nil {
		return err
	}
	table := s.table()
	table.print(s.out)
	return table.check()
}

func (s *show) introduce() {
	how := "by Apply and Migrate"
	if s.swap {
		how = "by another fleet over the same servers"
	}
	fmt.Fprintf(s.out, "Two fleets of four Redis servers get the same %d calls a second of %d keys, and %d Deletes.\n",
		s.rate, s.keyCount, s.rate/deletePart)
	fmt.Fprintf(s.out, "The shards of the first one change, %s; the control's do not.\n", how)
	fmt.Fprintf(s.out, "Source loads per 100 ms:\n\n")
}

// fill asks for every key in both fleets: what is loaded later was deleted or lost.
func (s *show) fill(ctx context.Context) error {
	s.steps = append(s.steps, &step{name: "every key is loaded"})
	var errs [2]error
	var both sync.WaitGroup
	for i, a := range s.arms {
		both.Go(func() { errs[i] = a.fill(ctx, allKeys(s.keyCount)) })
	}
	both.Wait()
	return errors.Join(errs[:]...)
}

func (s *show) playAll(ctx context.Context) error {
	if s.typed {
		return s.playTyped(ctx)
	}
	for _, a := range []action{
		{"nothing happens", false, nothing}, s.add("e"), s.drop("e"), s.kill("b"), s.revive("b"),
		{"all is well", false, nothing},
	} {
		if err := s.play(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// drain is how long calls of the step before have to end: they count for that one.
const drain = 50 * time.Millisecond

// play lets a step happen while the calls go on, and shows it. It lasts as long as all
// steps do, or until what happens is over.
func (s *show) play(ctx context.Context, a action) error {
	since := func() time.Duration { return time.Since(s.arms[0].source.start) }
	now := &step{name: a.name, change: a.change, from: since()}
	s.steps = append(s.steps, now)
	number := len(s.steps) - 1
	s.traffic.step.Store(int64(number))
	chart := &chart{out: s.out, live: s.live, top: float64(s.rate) / 40, columns: int(s.length / interval), echoed: &s.echoed}
	chart.begin(number, now.name)

	var note string
	var err error
	over := make(chan struct{})
	go func() {
		defer close(over)
		time.Sleep(drain)
		note, err = a.do(ctx)
	}()
	frames, least := time.NewTicker(interval), time.After(s.length)
	defer frames.Stop()
	for wait := over; wait != nil || least != nil; {
		select {
		case <-wait:
			wait = nil
		case <-least:
			least = nil
		case <-frames.C:
			chart.draw(s.loads(now.from, since()))
		case <-ctx.Done():
			<-over
			return context.Cause(ctx)
		}
	}
	now.until = since()
	chart.finish(s.loads(now.from, now.until))
	if note != "" {
		fmt.Fprintf(s.out, "   %s\n", note)
	}
	fmt.Fprintln(s.out)
	return err
}

func (s *show) loads(from, to time.Duration) (ours, control []float64) {
	return s.arms[0].source.between(from, to, interval), s.arms[1].source.between(from, to, interval)
}

func nothing(context.Context) (string, error) { return "", nil }

func (s *show) add(id string) action {
	return s.change(id+" is added", func(shards []string) []string { return append(shards, id) })
}

func (s *show) drop(id string) action {
	return s.change(id+" is taken away", func(shards []string) []string {
		return slices.DeleteFunc(shards, func(other string) bool { return other == id })
	})
}

// change changes the shards of the fleet, and not those of the control.
func (s *show) change(name string, to func(shards []string) []string) action {
	return action{name, true, func(ctx context.Context) (string, error) {
		a := s.arms[0]
		shards := to(slices.Clone(a.shards))
		if s.swap {
			return "calls go to another fleet", a.swap(ctx, shards)
		}
		start := time.Now()
		report, err := a.change(ctx, shards)
		return fmt.Sprintf("%d keys stayed, %d were copied by Migrate and %d by calls before; over after %.1f s",
			report.Stayed, report.Copied, report.Present, time.Since(start).Seconds()), err
	}}
}

func (s *show) kill(id string) action {
	return action{id + " is killed", false, func(context.Context) (string, error) {
		for _, a := range s.arms {
			a.kill(id)
		}
		if s.gutter {
			return "the fleet keeps its keys at the next shard; a Delete of one fails and says so", nil
		}
		return "its keys are loaded for each call and not stored; a Delete of one fails and says so", nil
	}}
}

// revive has a server come back, and waits until it is used.
func (s *show) revive(id string) action {
	return action{id + " comes back, empty", false, func(ctx context.Context) (string, error) {
		start := time.Now()
		for _, a := range s.arms {
			if err := a.revive(id); err != nil {
				return "", err
			}
		}
		for !s.arms[0].well() || !s.arms[1].well() {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return "", context.Cause(ctx)
			}
		}
		return fmt.Sprintf("it was asked again after %.1f s; each of its keys is loaded once more", time.Since(start).Seconds()), nil
	}}
}

// playTyped plays what is typed, until that ends.
func (s *show) playTyped(ctx context.Context) error {
	fmt.Fprintf(s.out, "Type, each with Enter: a(dd a shard), d(rop one), k(ill a server), r(eturn it), q(uit).\n\n")
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	lines := make(chan string)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(s.in); in.Scan() && ctx.Err() == nil; {
			select {
			case lines <- in.Text():
				s.echoed.Add(one(s.echo))
			case <-ctx.Done():
			}
		}
	}()
	next, more := action{"nothing happens", false, nothing}, true
	for more {
		now := next
		do := now.do
		now.do = func(ctx context.Context) (string, error) {
			note, err := do(ctx)
			for more && err == nil {
				select {
				case line, ok := <-lines:
					if next, more = s.typedAction(line); !ok {
						more = false
					} else if more && next.do == nil {
						continue // it was none of the keys
					}
					return note, err
				case <-ctx.Done():
					return note, context.Cause(ctx)
				}
			}
			return note, err
		}
		if err := s.play(ctx, now); err != nil {
			return err
		}
	}
	return nil
}

// typedAction returns what a key stands for; no action for other keys and for what
// cannot be done now, and more is false for the last one.
func (s *show) typedAction(line string) (a action, more bool) {
	shards, down := s.arms[0].shards, s.arms[0].down
	last := shards[len(shards)-1]
	switch {
	case line == "q":
		return a, false
	case line == "a" && len(shards) < 8 && len(down) == 0:
		return s.add(string(last[0] + 1)), true
	case line == "d" && len(shards) > 2 && len(down) == 0:
		return s.drop(last), true
	case line == "k" && len(down) == 0:
		return s.kill("b"), true
	case line == "r" && len(down) > 0:
		return s.revive(down[0]), true
	}
	return a, true
}
