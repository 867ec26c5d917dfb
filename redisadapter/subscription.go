package redisadapter

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"
)

// subscription reads the messages of one node.
type subscription struct {
	node    subscriber
	channel string
	id      int
	events  chan<- heard
}

// run reads until ctx ends, of which it takes note within pingAfter, or the
// connection fails.
func (s subscription) run(ctx context.Context) {
	sub := s.node.Subscribe(ctx) // to nothing yet, which needs no connection
	defer sub.Close()
	err := sub.Subscribe(ctx, s.channel)
	for unanswered := 0; err == nil && ctx.Err() == nil; {
		var got any
		got, err = sub.ReceiveTimeout(ctx, pingAfter)
		switch {
		case err == nil:
			unanswered = 0
			err = s.pass(ctx, got)
		case !timedOut(err):
		case unanswered == 2:
			err = errSilent
		default:
			unanswered++
			err = sub.Ping(ctx, ping)
		}
	}
	s.send(ctx, heard{kind: ended, err: err})
}

// timedOut reports whether err is that nothing came in time. Had a part come, the
// connection would be out of step from then on: it is noticed by what the next
// reads make of the rest, which is no message, and no answer to a ping.
func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// pass hands on what was received.
func (s subscription) pass(ctx context.Context, got any) error {
	switch got := got.(type) {
	case *redis.Subscription:
		s.send(ctx, heard{kind: begun})
	case *redis.Message:
		s.send(ctx, heard{kind: told, message: got.Payload})
	case *redis.Pong:
		if got.Payload != ping {
			return errStep
		}
		s.send(ctx, heard{kind: alive})
	}
	return nil
}

func (s subscription) send(ctx context.Context, h heard) {
	h.from = s.id
	select {
	case s.events <- h:
	case <-ctx.Done():
	}
}
