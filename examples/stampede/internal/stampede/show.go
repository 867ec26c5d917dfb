package stampede

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/guptarohit/asciigraph"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/examples/stampede/internal/report"
)

// show is one run of the example.
type show struct {
	options
	out  io.Writer
	live bool
	open func(log func(report.Event)) (sourceConn, error) // a new source

	openRedis CacheFunc

	schedule *schedule
	events   []report.Event
}

// sourceConn is a connection to a source that is this program's own. Stop
// returns when the source has closed its log and ended.
type sourceConn interface {
	io.ReadWriter
	stop() error
}

func openProcess(log func(report.Event)) (sourceConn, error) { return startProcess(log) }

// performer is how a set-up enters the show.
type performer struct {
	about string
	color asciigraph.AnsiColor
	make  func(loadFunc) (setUp, error)
}

func (s *show) performer(name string) performer {
	switch name {
	case report.Plain:
		return performer{"get from Ristretto; on a miss load and set", asciigraph.Red, newPlain}
	case report.ByHand:
		return performer{"the same with golang.org/x/sync/singleflight around the load", asciigraph.Yellow, newByHand}
	}
	about, open := "a Loader around Ristretto", openRistretto
	if s.redis != "" {
		about, open = "a Loader around Redis", s.redisCache
	}
	if s.broken != "" {
		about += ", broken on purpose: " + s.broken + " is off"
	}
	return performer{about, asciigraph.Green, func(load loadFunc) (setUp, error) {
		return newCorral(load, s.broken, open)
	}}
}

// run performs, and keeps the events if they are wanted, also those of a show
// that failed: that is when they are looked at.
func (s *show) run(ctx context.Context) error {
	if err := s.checkRedis(); err != nil {
		return err
	}
	if s.json == "" {
		return s.perform(ctx)
	}
	file, err := os.Create(s.json)
	if err != nil {
		return err
	}
	err = s.perform(ctx)
	return errors.Join(err, report.Write(file, s.events), file.Close())
}

// checkRedis says what is wrong with an address before the show begins, not when
// it is the Loader's turn.
func (s *show) checkRedis() error {
	if s.redis == "" {
		return nil
	}
	_, closing, err := s.redisCache()
	if err == nil {
		closing()
	}
	return err
}

func (s *show) redisCache() (corral.Cache[string, Row], func(), error) {
	cache, closing, err := s.openRedis(s.redis)
	if err != nil {
		return nil, nil, fmt.Errorf("-redis %s: %w", s.redis, err)
	}
	return cache, closing, nil
}

// perform plays the schedule to each set-up, then prints the table. It returns
// an error if a promise is not kept.
func (s *show) perform(ctx context.Context) error {
	s.schedule = newSchedule(s.seed)
	s.introduce()
	for i, name := range s.order() {
		if err := s.turn(ctx, i+1, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return report.Show(s.out, s.events)
}

// order rotates the set-ups by the seed, so that none always has the machine
// warm. Seed 1 has them in the order of the table.
func (s *show) order() []string {
	first := (s.seed + 2) % 3
	return slices.Concat(report.SetUps[first:], report.SetUps[:first])
}

// introduce says what will happen, and opens the record with it.
func (s *show) introduce() {
	calls := 0
	for _, step := range s.schedule.steps {
		if step.Kind == report.KindCall {
			calls++
		}
	}
	fmt.Fprintf(s.out, "%d calls in %.1f s, drawn from seed %d, to each of three set-ups. A value is fresh for %v.\n",
		calls, s.schedule.length().Seconds(), s.seed, ttl)
	fmt.Fprintf(s.out, "The source needs %v for a query and answers %d at once; %d more may wait, %v at most;\n"+
		"others it refuses. One caller in %d hangs up after %v.\n\n", cost, slots, queue, queueTime, impatientIn, impatience)
	s.events = append(s.events, report.Event{Kind: report.KindRun, Seed: s.seed, Break: s.broken, TTL: ttl})
	for i, phase := range s.schedule.phases {
		fmt.Fprintf(s.out, "  %d  %.1f s  %-15s  %s\n", i+1, phase.Due.Seconds(), phase.Name, phase.About)
		s.events = append(s.events, phase)
	}
	fmt.Fprintln(s.out)
}

// turn plays the schedule to one set-up, with a cache and a source of its own.
func (s *show) turn(ctx context.Context, number int, name string) error {
	performer := s.performer(name)
	fmt.Fprintf(s.out, "%d/3  %s: %s.\n     Source queries per 100 ms (it can answer %.0f):\n\n",
		number, name, performer.about, sourceCapacity)
	rec := newRecorder(name, s.schedule.length())
	conn, err := s.open(rec.record)
	if err != nil {
		return err
	}
	source := newClient(conn)
	if err := s.play(ctx, source, performer, rec); err != nil {
		return errors.Join(err, conn.stop())
	}
	if err := conn.stop(); err != nil {
		return err
	}
	s.events = append(s.events, rec.events...)
	return nil
}

func (s *show) play(ctx context.Context, source *client, performer performer, rec *recorder) error {
	set, err := performer.make(source.load)
	if err != nil {
		return err
	}
	chart := &chart{
		out: s.out, live: s.live, top: float64(s.schedule.busiest()),
		color: performer.color, phases: s.schedule.phases,
	}
	played, drawn := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(drawn)
		chart.follow(rec, source.now, played)
	}()
	err = newTurn(set, source, rec.record).run(ctx, s.schedule.steps)
	close(played)
	<-drawn
	if err := errors.Join(err, s.count(set, source, rec)); err != nil {
		return err
	}
	chart.finish(rec.chart())
	fmt.Fprintln(s.out)
	return nil
}

// count ends the set-up and keeps what it counted beside what its source will
// say.
func (s *show) count(set setUp, source *client, rec *recorder) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	loads, err := set.stop(ctx)
	if rec.setUp == report.Corral {
		rec.record(report.Event{Kind: report.KindStats, Count: loads, Unsent: int(source.unsent.Load())})
	}
	return err
}
