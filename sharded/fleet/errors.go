package fleet

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/corralcache/corral"
)

// ErrClosed is what calls get that come after [Fleet.Close].
var ErrClosed = errors.New("fleet: the fleet is closed")

var errExited = errors.New("fleet: the call of the shard ended its goroutine")

// AbilityError says that a shard lacks what is asked of it.
type AbilityError struct {
	Shard   string // its ID
	Ability string // the interface of package corral, and what of it
	Reason  error  // what the shard says of it; nil for nothing
}

// Error names the shard and the ability.
func (e *AbilityError) Error() string {
	text := fmt.Sprintf("fleet: shard %q lacks corral.%s", e.Shard, e.Ability)
	if e.Reason != nil {
		text += ": " + e.Reason.Error()
	}
	return text
}

// Unwrap returns Reason, or, without one, a [*corral.OptionError]: with these shards
// it can never work.
func (e *AbilityError) Unwrap() error {
	if e.Reason != nil {
		return e.Reason
	}
	return option("New: open", fmt.Sprintf("a cache for shard %q", e.Shard), "must be a corral."+e.Ability)
}

// ShardErrors says which shards failed, by their IDs, and with what.
type ShardErrors struct {
	Errors map[string]error

	// Partial says that other shards went well to their end: what there is of a
	// Broadcast or a Scan is a part of the whole.
	Partial bool
}

// Error names the shards with their errors.
func (e *ShardErrors) Error() string {
	return fmt.Sprintf("fleet: %d shards failed%s", len(e.Errors), listed(e.Errors))
}

// listed is the end of an error's text, that names the shards with their errors.
func listed(errs map[string]error) string {
	var b strings.Builder
	between := ": "
	for _, id := range slices.Sorted(maps.Keys(errs)) {
		fmt.Fprintf(&b, "%s%q: %v", between, id, errs[id])
		between = "; "
	}
	return b.String()
}

// Unwrap returns the errors, so that errors.Is and errors.As reach through.
func (e *ShardErrors) Unwrap() []error { return slices.Collect(maps.Values(e.Errors)) }

// option says which field or argument of this package cannot work.
func option(field string, value any, bound string) error {
	return &corral.OptionError{Field: "fleet." + field, Value: value, Bound: bound}
}
