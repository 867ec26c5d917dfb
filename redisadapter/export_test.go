package redisadapter

import "github.com/corralcache/corral/internal/stored"

// Name and PlainName return how keys are written on the server.
func Name[K comparable, V any](opts Options[K, V]) func(K) string {
	return func(key K) string { return braced(opts.Prefix)(stored.Text(opts.Key)(key)) }
}

func PlainName[K comparable, V any](opts Options[K, V]) func(K) string {
	return func(key K) string { return opts.Prefix + stored.Text(opts.Key)(key) }
}

// PlainLease is the key of the lease of a plain key, and Slot the hash slot of
// any.
var (
	PlainLease = plainLease
	Slot       = slotOf
	TagOf      = tagOf
)

// HooksSurvive reports whether this version of go-redis keeps hooks in what
// WithTimeout returns.
func HooksSurvive() bool { return hooksSurvive() }

// KeepsHooks finds that out anew.
func KeepsHooks() bool { return keepsHooks() }
