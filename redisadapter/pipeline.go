package redisadapter

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// errUnanswered is the error of a command that got no answer and no error.
var errUnanswered = errors.New("the command was not sent")

// exec runs pipe, which holds cmds, after which each knows its own error. By
// itself go-redis leaves commands for which it found no connection without
// one in some versions and clients: a GET that was never sent then looks like
// one that found an empty string.
func exec(ctx context.Context, pipe redis.Pipeliner, cmds ...redis.Cmder) {
	for _, cmd := range cmds {
		cmd.SetErr(errUnanswered) // reading an answer, or failing to, replaces it
	}
	_, err := pipe.Exec(ctx)
	if err == nil || errors.Is(err, redis.Nil) {
		return
	}
	for _, cmd := range cmds {
		if errors.Is(cmd.Err(), errUnanswered) {
			cmd.SetErr(err)
		}
	}
}
