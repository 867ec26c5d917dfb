package corral

import "errors"

// blamed tells the error of a bulk load apart: the errors that it has for keys,
// and that of every other key without a value. They are absent if nothing failed,
// or only what a KeyErrors about the load's own keys names: one about others', of
// a call inside the load, says nothing of these.
func blamed[K comparable](err error, own func(K) bool) (some map[K]error, rest error) {
	if err == nil {
		return nil, ErrNotFound
	}
	keys, plain := err.(*KeyErrors[K])
	switch {
	case !plain: // wrapped, or joined with another
		some = map[K]error{}
		gather(some, err)
		return some, err
	case keys == nil: // of a variable that was never set
		return nil, ErrNotFound
	}
	for key := range keys.Errors {
		if own(key) {
			return keys.Errors, ErrNotFound
		}
	}
	return keys.Errors, err
}

// gather adds what each KeyErrors inside an error says of keys: a load made of
// several calls joins theirs. A panic is one of every key, whatever its value.
func gather[K comparable](some map[K]error, err error) {
	switch e := err.(type) {
	case *PanicError:
		return
	case *KeyErrors[K]:
		if e == nil {
			return
		}
		for key, named := range e.Errors {
			if named != nil && some[key] == nil {
				some[key] = named
			}
		}
		return
	}
	var keys *KeyErrors[K]
	if e, ok := err.(interface{ As(target any) bool }); ok && e.As(&keys) {
		gather(some, error(keys))
		return
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		gather(some, e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			gather(some, err)
		}
	}
}

// apart is blamed for a load of the Loader. What the error does when it is looked
// into is no other key's failure.
func (b *bulk[K, V]) apart(err error) (some map[K]error, rest error) {
	defer func() {
		if value := recover(); value != nil {
			some, rest = nil, crash(value)
		}
	}()
	some, rest = blamed(err, func(key K) bool { return b.control(key) != nil })
	return some, sound(rest)
}

// sound returns the error of a key, or what that panics with when it is asked
// what it is: of a nil pointer in it, for example.
func sound(err error) (known error) {
	defer func() {
		if value := recover(); value != nil {
			known = crash(value)
		}
	}()
	if !errors.Is(err, ErrNotFound) {
		_ = errors.As(err, new(*PanicError))
	}
	return err
}
