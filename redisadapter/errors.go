package redisadapter

import (
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
)

// failure is an error of the client or the server, of which the text leaves out
// what they quote: "unknown command" comes with the arguments of the command,
// "can't parse" with what could not be parsed, and both are keys and values.
// errors.As and errors.Is reach the whole error.
type failure struct {
	command string
	cause   error
	advice  string // what to do about it, if that is known
}

// failed returns err as the error of a command, nil if it is nil. A key that
// holds something else than a string is [corral.ErrUndecodable]: Set and Delete
// heal it, and the server is well.
func failed(command string, err error) error {
	if err == nil {
		return nil
	}
	return &failure{command: command, cause: err}
}

// failedScript returns err as the error of a script. Where scripts cannot run at
// all it says what can be done.
func failedScript(err error) error {
	f := &failure{command: "EVALSHA", cause: err}
	if forbidden(err) {
		f.advice = " (leases need EVALSHA, EVAL, the commands that the scripts call, and the prefix's channels; " +
			"with Options.NoLease the cache does without, and each process loads for itself)"
	}
	return f
}

// unknown reports whether err says that the server has no such command.
func unknown(err error) bool { return redis.HasErrorPrefix(err, "unknown command") }

// forbidden reports whether err says that the server has no such command, or not
// for this user. Of what a script calls each release says so in its own words.
func forbidden(err error) bool {
	return unknown(err) || redis.HasErrorPrefix(err, "NOPERM") ||
		redis.HasErrorPrefix(err, "The user executing the script") ||
		redis.HasErrorPrefix(err, "ACL failure in script")
}

// Error says which command failed, and with what.
func (f *failure) Error() string {
	text := "redisadapter: " + f.command + ": " + unquoted(f.cause)
	if f.undecodable() {
		text = corral.ErrUndecodable.Error() + ": " + text
	}
	return text + f.advice
}

func (f *failure) Unwrap() []error {
	if f.undecodable() {
		return []error{corral.ErrUndecodable, f.cause}
	}
	return []error{f.cause}
}

func (f *failure) undecodable() bool { return redis.HasErrorPrefix(f.cause, "WRONGTYPE") }

// unquoted returns the text of err up to what it quotes. The client quotes with
// ", the server with ' or `; for the client ' is an apostrophe.
func unquoted(err error) string {
	quotes := `"`
	if reply := redis.Error(nil); errors.As(err, &reply) {
		quotes = "\"'`"
	}
	text := err.Error()
	if i := strings.IndexAny(text, quotes); i >= 0 {
		text = strings.TrimSpace(text[:i]) + " …"
	}
	return text
}

var errNoEntry = errors.New("redisadapter: nil entry")

// firstError returns the first error that is one.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
