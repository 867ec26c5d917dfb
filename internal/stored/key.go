// Package stored is what adapters have in common: how lives are counted, and,
// over stores of bytes, how keys become text and codecs given by users are run.
package stored

import (
	"fmt"
	"reflect"
	"strconv"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
)

// Text returns how keys of type K become text: given, or, where it is nil and
// K's kind is string or integer, the string itself or its decimal digits. It
// returns nil for any other kind: formatted structs such as {"a b" "c"} and
// {"a" "b c"} would share a text.
func Text[K comparable](given func(K) string) func(K) string {
	if given != nil {
		return given
	}
	switch kind := reflect.TypeFor[K]().Kind(); {
	case kind == reflect.String:
		return func(key K) string { return reflect.ValueOf(key).String() }
	case reflect.Int <= kind && kind <= reflect.Int64:
		return func(key K) string { return strconv.FormatInt(reflect.ValueOf(key).Int(), 10) }
	case reflect.Uint <= kind && kind <= reflect.Uintptr:
		return func(key K) string { return strconv.FormatUint(reflect.ValueOf(key).Uint(), 10) }
	default:
		return nil
	}
}

// CheckText returns what [corral.Checker] says of an adapter whose option field
// gave [Text] nothing.
func CheckText[K comparable](text func(K) string, field string) error {
	if text != nil {
		return nil
	}
	return &corral.OptionError{
		Field: field,
		Value: "nil",
		Bound: fmt.Sprintf("required unless the key's kind is string or integer; the key is a %v", reflect.TypeFor[K]()),
	}
}

// TextOf returns text(key). A panic of text, which is a user's function, is an
// error.
func TextOf[K comparable](key K, text func(K) string) (name string, err error) {
	defer bounded.Recover("the Key function", &err)
	return text(key), nil
}

// IsNil reports whether v is nil or an interface around a nil pointer, map or
// function: what a variable holds that was declared and never set.
func IsNil(v any) bool {
	if v == nil {
		return true
	}
	switch value := reflect.ValueOf(v); value.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Func, reflect.Chan:
		return value.IsNil()
	default:
		return false
	}
}
