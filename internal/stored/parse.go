package stored

import (
	"reflect"
	"strconv"

	"github.com/corralcache/corral/internal/bounded"
)

// Parser returns how text becomes a key again: given, or, where no Key function
// made the text and K's kind is string or integer, by the inverse of what did;
// nil for any other.
func Parser[K comparable](given func(string) (K, error), made bool) func(string) (K, error) {
	if given != nil || made {
		return given
	}
	kind := reflect.TypeFor[K]()
	switch {
	case kind.Kind() == reflect.String:
		return parseWith[K](func(v reflect.Value, text string) error {
			v.SetString(text)
			return nil
		})
	case reflect.Int <= kind.Kind() && kind.Kind() <= reflect.Int64:
		return parseWith[K](func(v reflect.Value, text string) error {
			n, err := strconv.ParseInt(text, 10, kind.Bits())
			v.SetInt(n)
			return err
		})
	case reflect.Uint <= kind.Kind() && kind.Kind() <= reflect.Uintptr:
		return parseWith[K](func(v reflect.Value, text string) error {
			n, err := strconv.ParseUint(text, 10, kind.Bits())
			v.SetUint(n)
			return err
		})
	default:
		return nil
	}
}

func parseWith[K comparable](set func(v reflect.Value, text string) error) func(string) (K, error) {
	return func(text string) (key K, err error) {
		err = set(reflect.ValueOf(&key).Elem(), text)
		return key, err
	}
}

// Parsed returns parse(text). A panic of parse, which is a user's function, is an
// error.
func Parsed[K comparable](text string, parse func(string) (K, error)) (key K, err error) {
	defer bounded.Recover("the ParseKey function", &err)
	return parse(text)
}
