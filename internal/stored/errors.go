package stored

import (
	"fmt"

	"github.com/corralcache/corral"
)

// redacted is an error whose text leaves out the text of its cause: codecs
// quote what they could not read, and that is a value, perhaps a secret one.
// errors.As and errors.Is reach the cause.
type redacted struct {
	text  string
	kind  error // also what the error is, if not nil
	cause error // nil: text says it all
}

// Error says what happened and of which type the cause is.
func (e *redacted) Error() string {
	if e.cause == nil {
		return e.text
	}
	return fmt.Sprintf("%s (%T)", e.text, e.cause)
}

func (e *redacted) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.kind, e.cause} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// Undecodable returns an error that is [corral.ErrUndecodable] and says why.
// Of cause, which may be nil, only the type is shown.
func Undecodable(reason string, cause error) error {
	return &redacted{
		text:  corral.ErrUndecodable.Error() + ": " + reason,
		kind:  corral.ErrUndecodable,
		cause: cause,
	}
}

// TooLarge returns an error that is [corral.ErrRefused] for a value of more
// than most bytes.
func TooLarge(size, most int) error {
	return fmt.Errorf("%w: %d bytes, MaxValueBytes is %d", corral.ErrRefused, size, most)
}
