package redisadapter

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// timer asks a server for the time, in the round trip of other commands. One
// without a clock asks for none.
type timer struct {
	client redis.UniversalClient
	clock  *clock

	// key is asked for the time where there may be many servers, empty where there
	// is one. All processes have to ask the same, or their entries' ages would
	// differ by as much as the servers' clocks do.
	key string
}

func newTimer(client redis.UniversalClient, key string) timer {
	if _, one := client.(*redis.Client); one {
		key = ""
	}
	return timer{client: client, clock: newClock(), key: key}
}

// inScript says whether a script shall say the time: where there is one server,
// and somebody who wants to know.
func (t timer) inScript() string {
	if t.clock == nil || t.key != "" {
		return "0"
	}
	return "1"
}

// run issues one command, and the question for the time with it if that is due.
func run[C redis.Cmder](ctx context.Context, t timer, write bool, issue func(redis.Cmdable) C) C {
	if t.clock == nil || !t.clock.due(write) {
		return issue(t.client)
	}
	return ride(ctx, t, true, issue)
}

// ride issues one command, and asks for the time with it if asks.
func ride[C redis.Cmder](ctx context.Context, t timer, asks bool, issue func(redis.Cmdable) C) C {
	if !asks {
		return issue(t.client)
	}
	pipe := t.client.Pipeline()
	cmd := issue(pipe)
	r := t.ride(ctx, pipe, true) // the clock has taken note
	answered(r.err, cmd)         // an empty answer is none, or no entry
	return cmd
}

// beforeRead reports whether the question goes with commands that only read.
func (t timer) beforeRead(context.Context) (asks bool, err error) {
	return t.clock != nil && t.clock.due(false), nil
}

// beforeWrite reports whether it goes with writes.
func (t timer) beforeWrite(context.Context) (asks bool, err error) {
	return t.clock != nil && t.clock.due(true), nil
}

// know asks for the time unless it is known.
func (t timer) know(ctx context.Context) error {
	if t.clock.now().Store != 0 {
		return nil
	}
	return failed("TIME", t.ride(ctx, t.client.Pipeline(), true).unknown)
}

// trip is the round trip of a pipeline.
type trip struct {
	sent, got time.Time
	err       error // the pipeline's; of its commands some have their own, maybe all
	unknown   error // why the time was not told, if it was asked for
}

// ride runs pipe, with the question for the time if asks.
func (t timer) ride(ctx context.Context, pipe redis.Pipeliner, asks bool) (r trip) {
	question, answer := redis.Cmder(nil), func() (time.Time, error) { return time.Time{}, nil }
	if asks {
		question, answer = t.ask(ctx, pipe)
	}
	r.sent = time.Now()
	_, r.err = pipe.Exec(ctx)
	r.got = time.Now()
	if !asks {
		return r
	}
	answered(r.err, question)
	at, err := answer()
	if err != nil {
		t.clock.failed(r.got)
		r.unknown = err
		return r
	}
	r.unknown = t.clock.learn(r.sent, r.got, at)
	return r
}

// ask adds the question to pipe and returns what reads the answer.
func (t timer) ask(ctx context.Context, pipe redis.Pipeliner) (redis.Cmder, func() (time.Time, error)) {
	if t.key == "" {
		cmd := pipe.Time(ctx)
		return cmd, cmd.Result
	}
	cmd := pipe.Eval(ctx, "return redis.call('TIME')", []string{t.key})
	return cmd, func() (time.Time, error) {
		parts, err := cmd.StringSlice()
		if err != nil {
			return time.Time{}, err
		}
		return parseTime(parts)
	}
}

// parseTime reads the seconds and microseconds that TIME says.
func parseTime(parts []string) (time.Time, error) {
	if len(parts) != 2 {
		return time.Time{}, fmt.Errorf("reply of %d parts, want 2", len(parts))
	}
	sec, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	micro, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(sec, micro*int64(time.Microsecond)), nil
}
