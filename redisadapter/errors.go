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

// Error says which command failed, and with what.
func (f *failure) Error() string {
	text := "redisadapter: " + f.command + ": " + unquoted(f.cause)
	if f.undecodable() {
		return corral.ErrUndecodable.Error() + ": " + text
	}
	return text
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
