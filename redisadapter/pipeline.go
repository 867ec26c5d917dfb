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
// error of the pipeline, or, if that is the answer to another command,
// [errUnanswered].
func answered(err error, cmds ...redis.Cmder) {
	for _, cmd := range cmds {
		if !silent(cmd) {
			return
		}
	}
	if reply := redis.Error(nil); err == nil || errors.As(err, &reply) {
		err = errUnanswered
	}
	for _, cmd := range cmds {
		cmd.SetErr(err)
	}
}

// silent reports whether cmd looks as it did before it was sent.
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
	case *redis.SliceCmd:
		return cmd.Val() == nil
	case *redis.Cmd:
		return cmd.Val() == nil
	default:
		return false
	}
}

// replied reports whether err, of a command, is the server's reply to it, or none.
func replied(err error) bool {
	if err == nil {
		return true
	}
	reply := redis.Error(nil)
	return errors.As(err, &reply)
}
