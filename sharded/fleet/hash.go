package fleet

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"github.com/cespare/xxhash/v2"
	"github.com/dchest/siphash"

	"github.com/corralcache/corral/internal/bounded"
)

// hasher hashes keys, each once per call: with XXH64, or with SipHash-2-4 under a
// secret, for keys that strangers choose.
type hasher[K comparable] struct {
	of     func(dst []byte, key K) []byte // Options.KeyBytes; nil where K is text or a number
	secret *secret
	isText bool
	plain  bool // text without a secret, the usual case
}

type secret struct{ k0, k1 uint64 }

func newHasher[K comparable](of func([]byte, K) []byte, key *[16]byte) (hasher[K], error) {
	h := hasher[K]{of: of}
	if key != nil {
		h.secret = &secret{binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])}
	}
	kind := reflect.TypeFor[K]().Kind()
	h.isText = kind == reflect.String
	h.plain = h.isText && of == nil && key == nil
	if of == nil && !h.isText && !isInteger(kind) {
		return h, option("Options.KeyBytes", "nil",
			fmt.Sprintf("required unless the key's kind is string or integer; the key is a %v", reflect.TypeFor[K]()))
	}
	return h, nil
}

func isInteger(kind reflect.Kind) bool { return reflect.Int <= kind && kind <= reflect.Uintptr }

// hash returns the hash of a key's bytes. It allocates nothing unless KeyBytes does.
func (h *hasher[K]) hash(key K) (uint64, error) {
	if h.plain {
		return xxhash.Sum64String(text(&key)), nil
	}
	return h.slow(key)
}

func (h *hasher[K]) slow(key K) (uint64, error) {
	switch {
	case h.of != nil:
		return h.given(key)
	case h.isText:
		s := text(&key)
		return h.sum(unsafe.Slice(unsafe.StringData(s), len(s))), nil
	default:
		var room [20]byte // the longest number there is
		return h.sum(appendInteger(room[:0], key)), nil
	}
}

func (h *hasher[K]) sum(b []byte) uint64 {
	if h.secret == nil {
		return xxhash.Sum64(b)
	}
	return siphash.Hash(h.secret.k0, h.secret.k1, b)
}

// text reads a key whose kind is string, of whichever type: package reflect, which
// can do it too, takes three times as long as the hash.
func text[K comparable](key *K) string { return *(*string)(unsafe.Pointer(key)) }

// appendInteger appends the decimal digits of a key whose kind is integer, so that
// processes agree whose types for the same key differ.
func appendInteger[K comparable](dst []byte, key K) []byte {
	v := reflect.ValueOf(key)
	if v.CanInt() {
		return strconv.AppendInt(dst, v.Int(), 10)
	}
	return strconv.AppendUint(dst, v.Uint(), 10)
}

// keyRoom lends Options.KeyBytes room for a key. What the function returns is never
// kept in its place: it may be the user's.
var keyRoom = sync.Pool{New: func() any { return new([512]byte) }}

func (h *hasher[K]) given(key K) (sum uint64, err error) {
	defer bounded.Recover("Options.KeyBytes", &err)
	room := keyRoom.Get().(*[512]byte)
	sum = h.sum(h.of(room[:0], key))
	keyRoom.Put(room)
	return sum, nil
}

// AppendHashTag appends to dst what Redis Cluster and go-redis' Ring hash of a Redis
// key: what stands between the first '{' and the first '}' after it, or the whole
// key if there is no such pair or nothing in it. It is for [Options].KeyBytes where
// keys of the same tag belong together, or shall stay where a Ring has them.
func AppendHashTag(dst []byte, key string) []byte {
	if _, rest, found := strings.Cut(key, "{"); found {
		if tag, _, found := strings.Cut(rest, "}"); found && tag != "" {
			return append(dst, tag...)
		}
	}
	return append(dst, key...)
}
