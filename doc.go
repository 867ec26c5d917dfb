// Package corral wraps a cache that its user already has so that no expired
// key, restart or cancelled request sends a herd of identical loads to the
// source.
package corral
