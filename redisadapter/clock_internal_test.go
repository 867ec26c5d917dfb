package redisadapter

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTakeSample(t *testing.T) {
	const ms = time.Millisecond
	at := func(offset, err, at time.Duration) sample { return sample{offset: int64(offset), err: err, at: at} }
	for _, c := range []struct {
		name            string
		old, next, want sample
	}{
		{"one that agrees changes nothing", at(0, ms, 0), at(ms, ms, 10*time.Second), at(0, 2*ms, 10*time.Second)},
		{"a vague one that agrees neither", at(0, ms, 0), at(90*ms, 100*ms, 0), at(0, ms, 0)},
		{"a better one replaces", at(0, 100*ms, 0), at(50*ms, ms, 0), at(50*ms, ms, 0)},
		{"as good a one replaces", at(0, ms, 0), at(2*ms, ms, 0), at(2*ms, ms, 0)},
		{"a worse one does, once the old one has aged", at(0, ms, 0), at(5*ms, 2*ms, 10*time.Second), at(5*ms, 2*ms, 10*time.Second)},
		{"a worse one does not", at(0, ms, 0), at(10*ms, 9*ms+999*time.Microsecond, 0), at(0, ms, 0)},
		{"a vague one does, if the old one cannot be true", at(0, ms, 0), at(-time.Hour, time.Second, 0), at(-time.Hour, time.Second, 0)},
		{"a server that was set ahead", at(0, ms, 0), at(time.Hour, time.Second, 0), at(time.Hour, time.Second, 0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.old.take(c.next); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestClockCountsFromTheMiddleOfTheRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		if c.now().Store != 0 {
			t.Error("a new clock knows the time")
		}
		sent := time.Now()
		time.Sleep(2 * time.Second)
		server := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
		if err := c.learn(sent, time.Now(), server); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := c.now().Store; got != server.Add(2*time.Second).UnixNano() {
			t.Errorf("the clock says %v, want 2s after the server's answer", time.Unix(0, got))
		}
	})
}

func TestClockAsksNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		learn := func(took time.Duration) {
			now := time.Now()
			if err := c.learn(now.Add(-took), now, now); err != nil {
				t.Fatal(err)
			}
		}
		fail := func() { c.failed(time.Now()) }
		for i, step := range []struct {
			after       time.Duration
			write, want bool
			then        func()
		}{
			{0, false, true, nil}, // nothing is known: all ask
			{0, false, true, fail},
			{time.Second - 1, true, false, nil}, // it just failed
			{1, true, true, func() { learn(0) }},
			{time.Minute - 1, true, false, nil},
			{1, false, false, nil}, // a read may use it for longer
			{0, true, true, nil},
			{0, true, false, nil}, // one asks already
			{time.Second, true, true, fail},
			{time.Second - 1, true, false, nil},
			{1, true, true, func() { learn(0) }},
			{10*time.Minute - 1, false, false, nil},
			{1, false, true, nil},
		} {
			time.Sleep(step.after)
			if got := c.due(step.write); got != step.want {
				t.Errorf("step %d: due is %v, want %v", i, got, step.want)
			}
			if step.then != nil {
				step.then()
			}
		}
	})
}

// A first answer that took long is not good for long, if there are writes.
func TestClockAsksAgainAfterASlowAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		now := time.Now()
		if err := c.learn(now.Add(-time.Second), now, now); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second - 1)
		if c.due(true) {
			t.Error("asks again at once")
		}
		time.Sleep(1)
		if c.due(false) {
			t.Error("a read asks again")
		}
		if !c.due(true) {
			t.Error("a write does not ask again")
		}
	})
}

// F10: a machine that was suspended, or whose wall clock was set, asks again, once.
func TestClockAsksAgainAfterALeap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		now := time.Now()
		if err := c.learn(now, now, now); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			ahead time.Duration
			want  bool
		}{{0, false}, {leap - 1, false}, {1 - leap, false}, {leap, true}, {time.Hour, false}} {
			if got := c.dueAt(time.Millisecond, step.ahead, false); got != step.want {
				t.Errorf("%v ahead: due is %v, want %v", step.ahead, got, step.want)
			}
		}
		if !c.dueAt(time.Millisecond+soon, -time.Hour, false) {
			t.Error("a clock that was set back does not ask")
		}
	})
	if gained := newClock().gained(time.Now()); gained.Abs() > leap/2 {
		t.Errorf("the wall clock gained %v at once", gained)
	}
}

func TestClockRefusesTimesThatAreNone(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Unix(-1, 0), time.Unix(1<<40, 0), time.Unix(1<<62, 0)} {
		c := newClock()
		if err := c.learn(time.Now(), time.Now(), at); err == nil || c.now().Store != 0 {
			t.Errorf("%v was learnt", at)
		}
	}
}

func TestParseTime(t *testing.T) {
	at, err := parseTime([]string{"1800000000", "123456"})
	if err != nil || at.UnixNano() != 1_800_000_000_123_456_000 {
		t.Errorf("%v, %v", at, err)
	}
	for _, parts := range [][]string{nil, {"1"}, {"1", "2", "3"}, {"x", "1"}, {"1", "x"}, {"", ""}} {
		if _, err := parseTime(parts); err == nil {
			t.Errorf("%q was read as a time", parts)
		}
	}
}
