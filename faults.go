package corral

import "errors"

// faults gathers the errors of a call's keys. The zero value has none.
type faults[K comparable] struct {
	errs map[K]error
	odd  bool // a key was refused that no map can hold
}

func (f *faults[K]) add(key K, err error) {
	if f.errs == nil {
		f.errs = map[K]error{}
	}
	f.errs[key] = err
}

// refuse adds a key that is invalid.
func (f *faults[K]) refuse(key K) {
	defer func() {
		if recover() != nil {
			f.odd = true
		}
	}()
	f.add(key, ErrInvalidKey)
}

// error returns the error of the call, nil if no key failed.
func (f *faults[K]) error() error {
	err := keyErrors(f.errs)
	switch {
	case !f.odd:
		return err
	case err == nil:
		return ErrInvalidKey
	}
	return errors.Join(err, ErrInvalidKey)
}

// keyErrors returns the error of a call of several keys of which some failed, nil
// if none did.
func keyErrors[K comparable](failed map[K]error) error {
	if len(failed) == 0 {
		return nil
	}
	return &KeyErrors[K]{failed}
}

// perKey returns the error of each key of a call of the cache that returned err:
// what a KeyErrors names, and for the rest nothing, unless there is more to err.
func perKey[K comparable](keys []K, err error) []error {
	errs := make([]error, len(keys))
	if err == nil {
		return errs
	}
	var some *KeyErrors[K]
	if !errors.As(err, &some) || some == nil {
		some = &KeyErrors[K]{}
	}
	for i, key := range keys {
		named, ok := some.Errors[key]
		switch {
		case ok:
			errs[i] = named
		case err != error(some):
			errs[i] = err
		}
	}
	return errs
}
