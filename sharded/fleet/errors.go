package fleet

import "github.com/corralcache/corral"

// option says which field or argument of this package cannot work.
func option(field string, value any, bound string) error {
	return &corral.OptionError{Field: "fleet." + field, Value: value, Bound: bound}
}
