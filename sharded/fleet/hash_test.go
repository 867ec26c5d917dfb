package fleet_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

type (
	name string
	id   int32
	pair struct{ a, b string }
)

func TestKeysAreHashedAsText(t *testing.T) {
	want := xxhash.Sum64String("42")
	for kind, got := range map[string]uint64{
		"string": hash(t, "42"), "a string type": hash(t, name("42")), "int": hash(t, 42), "int8": hash(t, int8(42)),
		"an integer type": hash(t, id(42)), "uint64": hash(t, uint64(42)), "uintptr": hash(t, uintptr(42)),
	} {
		if got != want {
			t.Errorf("42 as %s has the hash %x, want %x", kind, got, want)
		}
	}
	if got, want := hash(t, int64(-1<<63)), xxhash.Sum64String("-9223372036854775808"); got != want {
		t.Errorf("the least number has the hash %x, want %x", got, want)
	}
}

func TestKeyBytesAreWhatIsHashed(t *testing.T) {
	keyBytes := func(dst []byte, p pair) []byte {
		return append(append(append(dst, p.a...), '|'), p.b...)
	}
	long := strings.Repeat("x", 2000)
	for _, p := range []pair{{"a", "b"}, {}, {long, long}} {
		got, err := fleet.Hash(p, keyBytes, nil)
		must(t, err)
		if want := xxhash.Sum64String(p.a + "|" + p.b); got != want {
			t.Errorf("%.10v has the hash %x, want %x", p, got, want)
		}
	}
	other := func(dst []byte, s string) []byte { return append(dst, "always"...) }
	if got, err := fleet.Hash("key", other, nil); err != nil || got != xxhash.Sum64String("always") {
		t.Errorf("KeyBytes of a string was passed by: %x, %v", got, err)
	}
}

// What KeyBytes returns may be its user's: it is not written to later.
func TestKeyBytesMayReturnItsOwn(t *testing.T) {
	own := []byte("mine")
	for _, key := range []int{1, 2} {
		_, err := fleet.Hash(key, func(dst []byte, key int) []byte {
			if key == 1 {
				return own
			}
			return append(dst, "xxxx"...)
		}, nil)
		must(t, err)
	}
	if string(own) != "mine" {
		t.Errorf("the function's own bytes are now %q", own)
	}
}

func TestKeysThatCannotBeHashed(t *testing.T) {
	_, err := fleet.Hash(pair{}, nil, nil)
	wantOption(t, err, "Options.KeyBytes", "nil")
	_, err = fleet.Hash(1.5, nil, nil)
	wantOption(t, err, "Options.KeyBytes", "nil")
	_, err = fleet.Hash(7, func([]byte, int) []byte { panic("secret text") }, nil)
	var panicked *corral.PanicError
	if !errors.As(err, &panicked) || strings.Contains(err.Error(), "secret") {
		t.Errorf("a KeyBytes that panics: %v, want a PanicError that does not quote", err)
	}
}

// The vectors are those of the paper (Aumasson and Bernstein, "SipHash: a fast
// short-input PRF", INDOCRYPT 2012): of the bytes 0, 1, 2 … under the key 0 … 15.
func TestASecretIsSipHash24(t *testing.T) {
	vectors := []uint64{0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d, 0xcf2794e0277187b7}
	for n, want := range vectors {
		text := make([]byte, n)
		for i := range text {
			text[i] = byte(i)
		}
		got, err := fleet.Hash(string(text), nil, testSecret())
		must(t, err)
		if got != want {
			t.Errorf("%d bytes have the hash %x, want %x", n, got, want)
		}
	}
	text := make([]byte, 15)
	for i := range text {
		text[i] = byte(i)
	}
	const paper = 0xa129ca6149be45e5 // of 15 bytes, in the paper's appendix
	if got, _ := fleet.Hash(string(text), nil, testSecret()); got != paper {
		t.Errorf("the paper's example has the hash %x, want %x", got, uint64(paper))
	}
}

func TestASecretPlacesKeysAnew(t *testing.T) {
	r := route(t, fleet.Rendezvous(), equal(8))
	const keys = 20_000
	moved := 0
	for i := range keys {
		var secrets [2][16]byte
		binary.LittleEndian.PutUint64(secrets[1][:], 1)
		a, _ := fleet.Hash(i, nil, &secrets[0])
		b, _ := fleet.Hash(i, nil, &secrets[1])
		if pick(r, a) != pick(r, b) {
			moved++
		}
	}
	if share := float64(moved) / keys; share < .85 || share > .9 { // 7 of 8
		t.Errorf("another secret moved %.3f of the keys, want 0.875", share)
	}
}

func TestAppendHashTag(t *testing.T) {
	for key, want := range map[string]string{
		"": "", "user:1": "user:1", "{user}:1": "user", "a{b}c{d}": "b", "a{}b{c}": "a{}b{c}", "a{b": "a{b", "a}b{c}": "c",
		"{{a}}": "{a", "{}": "{}",
	} {
		if got := string(fleet.AppendHashTag([]byte("x"), key)); got != "x"+want {
			t.Errorf("the tag of %q is %q, want %q", key, got[1:], want)
		}
	}
}

func TestHashesAllocateNothing(t *testing.T) {
	long := strings.Repeat("x", 300)
	for name, run := range map[string]func(){
		"string":      func() { _, _ = fleet.Hash(long, nil, nil) },
		"string type": func() { _, _ = fleet.Hash(name(long), nil, nil) },
		"int":         func() { _, _ = fleet.Hash(int64(1)<<40, nil, nil) },
	} {
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
