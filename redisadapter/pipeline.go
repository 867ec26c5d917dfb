package redisadapter

import (
	"errors"

	"github.com/redis/go-redis/v9"
)

// errUnanswered is the error of a command that got neither an answer nor an
// error of its own.
var errUnanswered = errors.New("the command was not sent")

// answered makes up for commands of a pipeline that, having got no answer, have
// no error either. Some versions and clients of go-redis leave them so if they
// found no connection: a GET that was never sent then looks like one that
// found an empty string. If all cmds are in that state they get err, the
// error of the pipeline, or [errUnanswered].
func answered(err error, cmds ...redis.Cmder) {
	for _, cmd := range cmds {
		if !silent(cmd) {
			return
		}
	}
	if err == nil || errors.Is(err, redis.Nil) { // that is another command's answer
		err = errUnanswered
	}
	for _, cmd := range cmds {
		cmd.SetErr(err)
	}
}

// silent reports whether cmd looks as it did before it was sent. The value of an
// EVAL without an answer cannot be read, which is an error of its own.
func silent(cmd redis.Cmder) bool {
	if cmd.Err() != nil {
		return false
	}
	switch cmd := cmd.(type) {
	case *redis.StringCmd:
		return cmd.Val() == ""
	case *redis.StatusCmd:
		return cmd.Val() == ""
	case *redis.DurationCmd:
		return cmd.Val() == 0
	case *redis.TimeCmd:
		return cmd.Val().IsZero()
	default:
		return false
	}
}
