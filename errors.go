package corral

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/corralcache/corral/sharded"
)

var (
	// ErrNotFound is what a load returns, wrapped or not, to say that the source
	// has no value for the key. It is stored as absent for [Options].AbsentTTL;
	// while it is, callers get an error for which errors.Is(err, ErrNotFound)
	// holds.
	ErrNotFound = errors.New("corral: not found")

	// ErrNotModified is what a load returns to keep the previous value and renew
	// its freshness. See [Control.Previous].
	ErrNotModified = errors.New("corral: not modified")

	// ErrClosed is what a call gets that came after [Loader.Close], or whose
	// load Close had to cancel.
	ErrClosed = errors.New("corral: the loader is closed")

	// ErrUndecodable is what an adapter returns, wrapped, for a stored value that
	// is no value of this cache: truncated, foreign, of another key or type, of
	// an unknown version. It counts as a miss and as no failure of the store.
	ErrUndecodable = errors.New("corral: stored value cannot be read")

	// ErrRefused is what an adapter returns, wrapped, for an entry that its store
	// would not take by a policy of its own: too large, too costly, not admitted.
	// It counts in [Stats] and is no failure of the store.
	ErrRefused = errors.New("corral: the cache refused the entry")

	// ErrLeaseLost is what a [Leaser] returns, wrapped or not, for a token that
	// has the lease no more: it ran out, or a Set or Delete ended it. It is no
	// failure of the store.
	ErrLeaseLost = errors.New("corral: the lease is lost")

	// ErrNotAsked is what a cache of several stores returns, wrapped, that has not
	// asked one of them because it knows it to be down. It counts as an error of the
	// cache, and does not have the Loader leave the whole cache alone.
	ErrNotAsked = errors.New("corral: the store was not asked")
)

// These are the errors of package sharded, under the names of this one.
var (
	ErrGoexit        = sharded.ErrGoexit
	ErrRecursiveLoad = sharded.ErrRecursiveLoad
	ErrLoadTimeout   = sharded.ErrLoadTimeout
	ErrInvalidKey    = sharded.ErrInvalidKey
)

// PanicError is what the callers of a load get that panicked.
type PanicError = sharded.PanicError

// OptionError says which option cannot work, its value, and what it may be.
type OptionError struct {
	Field string // the field of [Options], or the argument
	Value any
	Bound string // what the value may be
}

// Error names the field, the value and the bound.
func (e *OptionError) Error() string {
	return fmt.Sprintf("corral: %s is %v: %s", e.Field, e.Value, e.Bound)
}

// KeyErrors says which keys of a call with several keys failed, and with what.
// [Loader.GetOrLoadMany] and [Loader.Delete] return it, a [BulkLoadFunc] and a
// [BatchCache] may. Keys that are not in it, or with a nil error, have not failed, and
// neither have absent ones.
type KeyErrors[K comparable] struct {
	Errors map[K]error
}

// Error counts the keys and gives one error for each text that occurs. It names
// no key: keys do not belong in logs. A key with a nil error has not failed.
func (e *KeyErrors[K]) Error() string {
	texts := map[string]int{}
	errs := e.Unwrap()
	for _, err := range errs {
		texts[fmt.Sprint(err)]++ // which survives a nil pointer in the error
	}
	lines := make([]string, 0, len(texts))
	for _, text := range slices.SortedFunc(maps.Keys(texts), cmp.Compare[string]) {
		lines = append(lines, fmt.Sprintf("%d × %s", texts[text], text))
	}
	return fmt.Sprintf("corral: %d keys failed: %s", len(errs), strings.Join(lines, "; "))
}

// Unwrap returns the errors, so that errors.Is and errors.As reach through. A nil
// KeyErrors has none: it may be joined with other errors.
func (e *KeyErrors[K]) Unwrap() []error {
	if e == nil {
		return nil
	}
	errs := make([]error, 0, len(e.Errors))
	for _, err := range e.Errors {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
