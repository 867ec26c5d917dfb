package corral

import "context"

// LoadFunc fetches the value of key from the source. Its context has the values
// of the caller that started it and an end of its own; see [Options].LoadTimeout.
// [ErrNotFound] says that the source has none, [ErrNotModified] that the previous
// value still holds.
type LoadFunc[K comparable, V any] func(ctx context.Context, key K) (V, error)

// Middleware wraps a load: with retries, a breaker, a trace. It runs inside the
// load, so that callers share what it does, and within its [Options].LoadTimeout,
// which bounds all retries together.
type Middleware[K comparable, V any] func(LoadFunc[K, V]) LoadFunc[K, V]

// Chain wraps load so that the first of mw is the outermost. It leaves nil ones
// out, and returns nil for a nil load, which the Loader refuses.
func Chain[K comparable, V any](load LoadFunc[K, V], mw ...Middleware[K, V]) LoadFunc[K, V] {
	if load == nil {
		return nil
	}
	for i := len(mw) - 1; i >= 0; i-- {
		if mw[i] != nil {
			load = mw[i](load)
		}
	}
	return load
}
