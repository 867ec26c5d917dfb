package redisadapter

import (
	"context"
	"fmt"
	"reflect"
	"strconv"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
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
	if key, err := parsed(text, s.parse); ok && err == nil {
		drop(key)
	} else {
		drop()
	}
}

// parsed returns parse(text). A panic of parse, which is a user's function, is an
// error.
func parsed[K comparable](text string, parse func(string) (K, error)) (key K, err error) {
	defer bounded.Recover("the ParseKey function", &err)
	return parse(text)
}

// parser returns how text becomes a key again: given, or, where no Key function
// made the text and K's kind is string or integer, by the inverse of what did;
// nil for any other.
func parser[K comparable](given func(string) (K, error), made bool) func(string) (K, error) {
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
