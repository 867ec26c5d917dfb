package redisadapter

import (
	"context"
	"fmt"
	"reflect"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/stored"
)

// Listen tells drop of the keys that other caches of this prefix set or delete,
// in this process or another, and never of this cache's own writes. It calls drop
// without a key once it hears, and for a message that it cannot read. It returns
// when ctx ends, with its cause, and when it may have missed something, within a
// second also where the server fell silent.
//
// The error is an [*corral.OptionError] if the options give a Key function and no
// ParseKey: announcements carry text.
func (c *Cache[K, V]) Listen(ctx context.Context, drop func(keys ...K)) error {
	return c.server.listen(ctx, drop)
}

// Listen tells drop of the keys that other caches of this prefix set or delete,
// as [Cache.Listen] does. What other programs write is not announced.
func (c *PlainCache[K, V]) Listen(ctx context.Context, drop func(keys ...K)) error {
	return c.server.listen(ctx, drop)
}

func (s *server[K]) listen(ctx context.Context, drop func(keys ...K)) error {
	if s.fault != nil {
		return s.fault
	}
	if s.parse == nil {
		return s.noParseKey("to hear of other processes' writes")
	}
	err := hear(ctx, s.client, s.news.written, func() { drop() }, func(message string) { s.dropNamed(message, drop) })
	if ctx.Err() != nil {
		return err
	}
	return failed("SUBSCRIBE", err)
}

func (s *server[K]) noParseKey(to string) error {
	return &corral.OptionError{
		Field: "redisadapter.Options.ParseKey",
		Value: "nil",
		Bound: fmt.Sprintf("required %s, unless Key is nil and the key's kind is string or integer; the key is a %v",
			to, reflect.TypeFor[K]()),
	}
}

// dropNamed drops the key that a message names. What cannot be read may have been
// any key's.
func (s *server[K]) dropNamed(message string, drop func(keys ...K)) {
	author, text, ok := s.news.read(message)
	if author == s.news.author {
		return
	}
	if key, err := stored.Parsed(text, s.parse); ok && err == nil {
		drop(key)
	} else {
		drop()
	}
}
