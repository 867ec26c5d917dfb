package redisfleet

import (
	"context"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/stored"
	"github.com/corralcache/corral/sharded/fleet"
)

// PinOptions of [NewPins]. The zero value works for keys whose kind is string or
// integer.
type PinOptions[K comparable] struct {
	// Prefix sets these pins apart from others on the server. It may hold no brace,
	// and at most 255 bytes; empty is "fleet".
	Prefix string

	// Key turns a key into text, two different keys into two different texts, and
	// ParseKey turns it back. Both may be nil where K's kind is string or integer; a
	// Key needs a ParseKey. A text of which ParseKey says that it is of no key is no
	// pin.
	Key      func(K) string
	ParseKey func(string) (K, error)

	// Life is how long a pin lasts after it was made, moved or, by a TryPin that
	// changes nothing, renewed. At least a millisecond, and rounded up to those. Zero
	// is for good.
	Life time.Duration
}

// Pins are [fleet.Pins], a key of the server for each, beside one that counts their
// changes. A script looks and writes, so that of all processes that race one pins.
//
// A command whose reply was lost is sent again by the client, and then finds done what
// it wanted to do: GetOrPin returns pinned false then, and TryPin and Unpin ok false.
type Pins[K comparable] struct {
	store
	text  func(K) string
	parse func(string) (K, error)
	life  time.Duration
	count pinCounts
}

var _ fleet.Pins[string] = (*Pins[string])(nil)

// maxKeyBytes bounds the text of a key.
const maxKeyBytes = 1 << 20

// NewPins asks the server nothing. The error is a [*corral.OptionError] for a nil
// client or options that cannot work.
func NewPins[K comparable](client redis.UniversalClient, opts PinOptions[K]) (*Pins[K], error) {
	s, err := newStore(client, "NewPins", opts.Prefix)
	if err != nil {
		return nil, err
	}
	p := &Pins[K]{store: s, text: stored.Text(opts.Key), parse: stored.Parser(opts.ParseKey, opts.Key != nil), life: opts.Life}
	if err := stored.CheckText(p.text, "redisfleet.PinOptions.Key"); err != nil {
		return nil, err
	}
	switch {
	case p.parse == nil:
		return nil, option("PinOptions.ParseKey", "nil", "required with a Key")
	case opts.Life < 0, opts.Life > 0 && opts.Life < time.Millisecond, opts.Life > maxLife:
		return nil, option("PinOptions.Life", opts.Life, fmt.Sprintf("must be 0 or from 1ms to %v", maxLife))
	}
	return p, nil
}

// maxLife is as far as a server counts with its numbers, and Lua with its own.
const maxLife = math.MaxInt64 / 4 * time.Nanosecond

// Get returns the shard that key is pinned to. A pin that names no shard is a
// [*CorruptError].
func (p *Pins[K]) Get(ctx context.Context, key K) (shard string, ok bool, err error) {
	name, err := p.name(key)
	if err != nil {
		return "", false, err
	}
	shard, err = do(ctx, "the pin", func(ctx context.Context) (string, error) {
		shard, ok, err := p.get(ctx, name)
		if err == nil && ok {
			err = checkPin(name, shard)
		}
		return shard, err
	})
	p.count.asked(shard != "", err)
	return shard, err == nil && shard != "", err
}

// GetOrPin returns the shard that key is pinned to, and pins it to shard if there is
// none.
func (p *Pins[K]) GetOrPin(ctx context.Context, key K, shard string) (owner string, pinned bool, err error) {
	if err := checkShard("shard", shard); err != nil {
		return "", false, err
	}
	owner, pinned, err = p.change(ctx, "to pin", key, "", shard)
	p.count.asked(!pinned, err)
	return owner, pinned, err
}

// TryPin pins key to new if it is pinned to old, or, where old is empty, not at all.
func (p *Pins[K]) TryPin(ctx context.Context, key K, old, new string) (owner string, ok bool, err error) {
	if err := checkShard("new", new); err != nil {
		return "", false, err
	}
	return p.change(ctx, "to pin", key, old, new)
}

// Unpin takes the pin of key away if it is old.
func (p *Pins[K]) Unpin(ctx context.Context, key K, old string) (bool, error) {
	if old == "" {
		return false, nil
	}
	_, ok, err := p.change(ctx, "to unpin", key, old, "")
	return ok, err
}

// All visits every pin once, by SCAN. Two texts of one key are two pins. Of a pin that
// names no shard the error is a [*CorruptError].
func (p *Pins[K]) All(ctx context.Context) iter.Seq2[fleet.Pin[K], error] {
	return func(yield func(fleet.Pin[K], error) bool) {
		seen := map[string]struct{}{}
		for page, err := range p.pages(ctx) {
			if err != nil {
				yield(fleet.Pin[K]{}, err)
				return
			}
			for _, pin := range page {
				if _, twice := seen[pin.name]; twice {
					continue
				}
				seen[pin.name] = struct{}{}
				if !yield(pin.Pin, nil) {
					return
				}
			}
		}
	}
}

// Compact takes away the pins that keep returns false for. A panic of keep is an error.
func (p *Pins[K]) Compact(ctx context.Context, keep func(fleet.Pin[K]) bool) (removed int, err error) {
	return fleet.CompactPins(ctx, p, keep)
}

// Version is another one after each change, the end of a pin's Life included. It
// begins with the server's time, so that it is another one also after the server lost
// everything.
func (p *Pins[K]) Version(ctx context.Context) (uint64, error) {
	return do(ctx, "the version of the pins", func(ctx context.Context) (uint64, error) {
		text, err := scriptVersion.Run(ctx, p.client, p.keys("")[1:]).Text()
		if err != nil {
			return 0, typed(p.versionKey(), err)
		}
		version, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			err = &CorruptError{p.versionKey(), err}
		}
		return version, err
	})
}

// change replaces a pin if it is old; empty stands for no pin.
func (p *Pins[K]) change(ctx context.Context, what string, key K, old, new string) (owner string, ok bool, err error) {
	name, err := p.name(key)
	if err != nil {
		return "", false, err
	}
	life := int64((p.life + time.Millisecond - 1) / time.Millisecond)
	reply, err := do(ctx, what, func(ctx context.Context) ([]string, error) {
		reply, err := scriptPin.Run(ctx, p.client, p.keys(name), old, new, life).StringSlice()
		switch {
		case err != nil:
			return nil, typed(name, err)
		case len(reply) != 2:
			return nil, errNotOurs
		case reply[1] != "":
			err = checkPin(name, reply[1])
		}
		return reply, err
	})
	if err != nil {
		return "", false, err
	}
	if ok = reply[0] == "1"; ok {
		p.count.changed(old, new)
	}
	return reply[1], ok, nil
}

// keys are those of the scripts: of a pin, of the version, and of when pins end.
func (p *Pins[K]) keys(pin string) []string { return []string{pin, p.versionKey(), p.tag + "ends"} }

func (p *Pins[K]) versionKey() string { return p.tag + "version" }

// name returns the server's key of a pin.
func (p *Pins[K]) name(key K) (string, error) {
	if !same(key, key) {
		return "", corral.ErrInvalidKey
	}
	text, err := stored.TextOf(key, p.text)
	switch {
	case err != nil:
		return "", err
	case len(text) > maxKeyBytes:
		return "", option("Pins: key", fmt.Sprintf("a text of %d bytes", len(text)), fmt.Sprintf("must have at most %d", maxKeyBytes))
	}
	return p.tag + "pin:" + text, nil
}

func same[K comparable](a, b K) bool { return a == b }

// checkShard returns an error for a text that is no shard's ID.
func checkShard(argument, id string) error {
	if !isShard(id) {
		return option("Pins: "+argument, id, "must be a shard's ID: 1 to 255 bytes of UTF-8")
	}
	return nil
}

func checkPin(name, shard string) error {
	if !isShard(shard) {
		return &CorruptError{name, fmt.Errorf("%.80q is no shard's ID", shard)}
	}
	return nil
}

func isShard(id string) bool { return id != "" && len(id) <= 255 && utf8.ValidString(id) }

// escaped returns the pattern that matches text alone.
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}

// What a change does to the version, in every script that makes one. A server that has
// none begins with its time in microseconds: after it has lost everything, that is a
// greater one than before.
const luaBump = `
local function bump(key)
	if redis.call('EXISTS', key) == 0 then
		local at = redis.call('TIME')
		redis.call('SET', key, at[1] .. string.format('%06d', tonumber(at[2])))
	end
	redis.call('INCR', key)
end
local function millis()
	local at = redis.call('TIME')
	return at[1] * 1000 + math.floor(at[2] / 1000)
end
`

// KEYS: the pin, the version, when pins end. ARGV: old, new, life in milliseconds or 0.
var scriptPin = redis.NewScript(luaBump + `
local now = redis.call('GET', KEYS[1]) or ''
if now ~= ARGV[1] then return {'0', now} end
local life = tonumber(ARGV[3])
if ARGV[2] == '' then
	redis.call('DEL', KEYS[1])
	redis.call('ZREM', KEYS[3], KEYS[1])
elseif life > 0 then
	redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
	redis.call('ZADD', KEYS[3], string.format('%.0f', millis() + life), KEYS[1])
else
	redis.call('SET', KEYS[1], ARGV[2])
	redis.call('ZREM', KEYS[3], KEYS[1])
end
if now ~= ARGV[2] then bump(KEYS[2]) end
return {'1', ARGV[2]}`)

// KEYS: the version, when pins end. Pins that ended since somebody looked last are a
// change.
var scriptVersion = redis.NewScript(luaBump + `
local ended = redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', millis()))
if ended > 0 then bump(KEYS[1]) end
return redis.call('GET', KEYS[1]) or '0'`)
