package flight

import "reflect"

// odd reports whether keys of type t may be unusable: a float may be NaN, an
// interface may hold a value that cannot be hashed.
func odd(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128, reflect.Interface:
		return true
	case reflect.Array:
		return odd(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if odd(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}

// Usable reports whether a map finds key again. Comparing a key that cannot be
// compared panics.
func Usable[K comparable](key K) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return key == key
}
