package bounded

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/corralcache/corral/sharded"
)

// Recover, deferred, turns a panic of foreign code into an error that says whose
// panic it was:
//
//	defer bounded.Recover("the codec", &err)
func Recover(who string, err *error) {
	if value := recover(); value != nil {
		*err = Panicked(who, value)
	}
}

// Panicked is what Recover makes of a recovered value, for who recovers it
// itself.
func Panicked(who string, value any) error {
	return &panicked{who: who, cause: &sharded.PanicError{Value: value, Stack: debug.Stack()}}
}

// panicked is a panic without its text, which may quote a key or a value and
// would carry it into logs. errors.As reaches the [sharded.PanicError] with
// value and stack.
type panicked struct {
	who   string
	cause *sharded.PanicError
}

// Error names the kind of the value, and its text only if it is the runtime's.
func (p *panicked) Error() string {
	if fault, ok := p.cause.Value.(runtime.Error); ok {
		return fmt.Sprintf("%s panicked: %v", p.who, fault)
	}
	return fmt.Sprintf("%s panicked with a %T", p.who, p.cause.Value)
}

func (p *panicked) Unwrap() error { return p.cause }
