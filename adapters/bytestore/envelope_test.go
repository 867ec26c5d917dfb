package bytestore_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/bytestore"
)

var update = flag.Bool("update", false, "write the golden envelopes anew: only with a new version of the format")

const key = "5:users:42"

// at is a moment on which both clocks agree.
var at = bytestore.Instant{
	Local: time.Unix(1_800_000_000, 123_456_789),
	Store: 1_800_000_000_123_456_789,
}

// later returns at moved on by d on both clocks.
func later(d time.Duration) bytestore.Instant {
	return bytestore.Instant{Local: at.Local.Add(d), Store: at.Store + int64(d)}
}

func entry[V any](v V) *corral.Entry[V] {
	return &corral.Entry[V]{
		Value:    v,
		LoadedAt: at.Local.Add(-1500 * time.Microsecond),
		LoadTime: 1234567 * time.Nanosecond,
		TTL:      500*time.Millisecond + 1,
		Keep:     time.Hour + 1,
	}
}

func seal[V any](t testing.TB, e *corral.Entry[V]) []byte {
	t.Helper()
	data, err := bytestore.Envelope[V]{}.Seal(key, e, at)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The bytes of a release are what the next one has to read.
func TestGolden(t *testing.T) {
	t.Run("json", func(t *testing.T) { golden(t, "v1-json.bin", entry(User{Name: "Ann <ann@example.org>"})) })
	t.Run("string", func(t *testing.T) { golden(t, "v1-string.bin", entry("a\xff\x00\xC7\x01")) })
	t.Run("bytes", func(t *testing.T) { golden(t, "v1-bytes.bin", entry([]byte{0, 1, 254, 255})) })
	t.Run("empty", func(t *testing.T) { golden(t, "v1-empty.bin", entry("")) })
	absent := entry("")
	absent.Absent = true
	t.Run("absent", func(t *testing.T) { golden(t, "v1-absent.bin", absent) })
	ageless := entry(User{})
	ageless.LoadedAt = time.Time{}
	t.Run("age unknown", func(t *testing.T) { golden(t, "v1-age-unknown.bin", ageless) })
}

func golden[V any](t *testing.T, name string, e *corral.Entry[V]) {
	path := filepath.Join("testdata", name)
	sealed := seal(t, e)
	if *update {
		if err := os.WriteFile(path, sealed, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sealed, want) {
		t.Errorf("the format has changed: sealed\n%x, golden\n%x", sealed, want)
	}
	back, err := bytestore.Envelope[V]{}.Open(key, want, at)
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, back, e)
}

func wantSame[V any](t *testing.T, got, want *corral.Entry[V]) {
	t.Helper()
	if a, b := bytesOf(t, got.Value), bytesOf(t, want.Value); a != b {
		t.Errorf("value %q, want %q", a, b)
	}
	if !got.LoadedAt.Equal(want.LoadedAt) {
		t.Errorf("loaded at %v, want %v", got.LoadedAt, want.LoadedAt)
	}
	if got.LoadTime != want.LoadTime || got.TTL != want.TTL || got.Keep != want.Keep || got.Absent != want.Absent {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func bytesOf[V any](t *testing.T, v V) string {
	data, err := bytestore.DefaultCodec[V]().Append(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestContract_A4_DamageIsUndecodable(t *testing.T) {
	sealed := seal(t, entry(User{Name: "Ann"}))
	t.Run("every truncation", func(t *testing.T) {
		for n := range sealed {
			wantUndecodable(t, sealed[:n])
		}
	})
	t.Run("every flipped bit", func(t *testing.T) {
		for bit := range len(sealed) * 8 {
			damaged := bytes.Clone(sealed)
			damaged[bit/8] ^= 1 << (bit % 8)
			wantUndecodable(t, damaged)
		}
	})
}

// wantUndecodable returns the text of the error.
func wantUndecodable(t *testing.T, data []byte) string {
	t.Helper()
	e, err := bytestore.Envelope[User]{}.Open(key, data, at)
	if e != nil || !errors.Is(err, corral.ErrUndecodable) {
		t.Fatalf("Open(%x) = %v, %v; want ErrUndecodable", data, e, err)
	}
	return err.Error()
}

func TestContract_A4_TheErrorSaysWhy(t *testing.T) {
	const payload = `{"Name":"Ann"}`
	sealed := seal(t, entry(User{Name: "Ann"}))
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, "not written by this library"},
		{"plain JSON", []byte(`{"Name":"Ann"}`), "not written by this library"},
		{"only the magic", sealed[:1], "truncated"},
		{"half a header", sealed[:20], "truncated"},
		{"half a payload", sealed[:len(sealed)-1], "checksum"},
		{"a tail", append(bytes.Clone(sealed), 0), "checksum"},
		{"the next version", with(sealed, 1, 2), "unknown version"},
		{"the next version, shorter", with(sealed, 1, 2)[:2], "unknown version"},
		{"a damaged payload", with(sealed, len(sealed)-1, 'x'), "checksum"},
		{"compressed", repaired(with(sealed, 2, sealed[2]|2)), "unknown flags"},
		{"a flag of later", repaired(with(sealed, 2, sealed[2]|128)), "unknown flags"},
		{"absent with a payload", repaired(with(sealed, 2, sealed[2]|1)), "absent, with a value"},
		{"another codec", repaired(with(sealed, 3, 3)), "another codec"},
		{"times without end", repaired(append(bytes.Clone(sealed[:28]), bytes.Repeat([]byte{0xFF}, 40)...)), "truncated"},
		{"half the times", repaired(append(bytes.Clone(sealed[:28]), 1, 1, 0x80)), "truncated"},
		{"garbage under the codec", repaired(with(sealed, len(sealed)-len(payload), '!')), "the codec refused it (*json.SyntaxError)"},
		{"a tail under the codec", repaired(append(bytes.Clone(sealed), "{}"...)), "the codec refused it (*json.SyntaxError)"},
		{"no payload", repaired(sealed[:len(sealed)-len(payload)]), "the codec refused it (*json.SyntaxError)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if text := wantUndecodable(t, c.data); !strings.Contains(text, c.want) {
				t.Errorf("error %q, want it to say %q", text, c.want)
			}
		})
	}
}

// with returns data with one byte set.
func with(data []byte, i int, b byte) []byte {
	data = bytes.Clone(data)
	data[i] = b
	return data
}

func TestContract_A5_AnotherKeysPayloadIsUndecodable(t *testing.T) {
	sealed := seal(t, entry("Ann"))
	for _, other := range []string{"", "5:users:4", "5:users:422", "6:users:42"} {
		if _, err := (bytestore.Envelope[string]{}).Open(other, sealed, at); !errors.Is(err, corral.ErrUndecodable) {
			t.Errorf("under %q: %v, want ErrUndecodable", other, err)
		}
	}
}

// An error text goes to logs: neither key nor value may.
func TestErrorsQuoteNothing(t *testing.T) {
	const secret = 987654321
	number := seal(t, entry(secret))
	small := bytestore.Envelope[int8]{}
	_, err := small.Open(key, number, at)
	if err == nil || strings.Contains(err.Error(), "987") || strings.Contains(err.Error(), "users") {
		t.Errorf("Open: %v; want an error without the value", err)
	}
	_, err = bytestore.Envelope[any]{}.Seal(key, entry[any](math.NaN()), at)
	if err == nil || strings.Contains(err.Error(), "NaN") {
		t.Errorf("Seal: %v; want an error without the value", err)
	}
}

func TestContract_F10_TimesAreExact(t *testing.T) {
	for _, d := range []time.Duration{0, 1, 999, 1_000_001, 500 * time.Millisecond, math.MaxInt64} {
		e := &corral.Entry[string]{Value: "v", LoadedAt: at.Local, LoadTime: d, TTL: d, Keep: max(d, 1)}
		back, err := bytestore.Envelope[string]{}.Open(key, seal(t, e), at)
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, back, e)
	}
}

// What an entry costs beside its value: 40 bytes at the most as a rule.
func TestHeaderSizes(t *testing.T) {
	for _, c := range []struct {
		name                string
		loadTime, ttl, keep time.Duration
		want                int
	}{
		{"nothing", 0, 0, 0, 31},
		{"whole seconds", 200 * time.Millisecond, time.Hour, 2 * time.Hour, 28 + 4 + 2 + 2},
		{"milliseconds", 200 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second, 28 + 4 + 2 + 2},
		{"an hour with jitter", 200 * time.Millisecond, time.Hour - 1, 2*time.Hour - 1, 40},
		{"a slow load, a day with jitter", 10 * time.Second, 24*time.Hour - 1, 48*time.Hour - 1, 28 + 5 + 7 + 3},
		{"no end", math.MaxInt64, 1, math.MaxInt64, 28 + 9 + 1 + 9},
	} {
		e := &corral.Entry[string]{LoadedAt: at.Local, LoadTime: c.loadTime, TTL: c.ttl, Keep: c.keep}
		if n := len(seal(t, e)); n != c.want {
			t.Errorf("%s: %d bytes, want %d", c.name, n, c.want)
		}
	}
}

func TestAges(t *testing.T) {
	for _, c := range []struct {
		name     string
		loadedAt time.Time
		readAt   bytestore.Instant
		want     time.Duration // the age on reading
		unknown  bool
	}{
		{"at once", at.Local, at, 0, false},
		{"a nanosecond later", at.Local, later(1), 1, false},
		{"loaded before it was stored", at.Local.Add(-time.Second), later(time.Minute), time.Minute + time.Second, false},
		{"read on a clock that is behind", at.Local, later(-time.Hour), 0, false},
		{"loaded in the future", at.Local.Add(time.Hour), later(time.Minute), time.Minute, false},
		{"loaded in another age", at.Local.Add(-200 * 365 * 24 * time.Hour), at, time.Duration(at.Store) - 1, false},
		{"loaded at no time", time.Time{}, at, 0, true},
		{"read without a clock", at.Local, bytestore.Instant{Local: at.Local}, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &corral.Entry[string]{LoadedAt: c.loadedAt, Keep: math.MaxInt64}
			back, err := bytestore.Envelope[string]{}.Open(key, seal(t, e), c.readAt)
			if err != nil {
				t.Fatal(err)
			}
			if back.LoadedAt.IsZero() != c.unknown {
				t.Fatalf("loaded at %v; unknown should be %v", back.LoadedAt, c.unknown)
			}
			if age := c.readAt.Local.Sub(back.LoadedAt); !c.unknown && age != c.want {
				t.Errorf("age %v, want %v", age, c.want)
			}
		})
	}
}

// A step of the wall clock after reading must not make an entry older.
func TestContract_F10_AnEntryThatWasReadGoesByTheMonotonicClock(t *testing.T) {
	now := time.Now()
	clock := bytestore.Instant{Local: now, Store: at.Store}
	sealed, err := bytestore.Envelope[string]{}.Seal(key, &corral.Entry[string]{LoadedAt: now, Keep: time.Hour}, clock)
	if err != nil {
		t.Fatal(err)
	}
	back, err := bytestore.Envelope[string]{}.Open(key, sealed, clock)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(back.LoadedAt.String(), "m=") {
		t.Errorf("LoadedAt %v carries no monotonic clock", back.LoadedAt)
	}
}

// Keep ends an entry whether or not the store does, and whether or not its age is
// known.
func TestOpenEndsAnEntryAtKeep(t *testing.T) {
	for name, loadedAt := range map[string]time.Time{"of known age": at.Local, "of unknown age": {}} {
		for _, keep := range []time.Duration{1, time.Second, time.Hour} {
			data := seal(t, &corral.Entry[string]{LoadedAt: loadedAt, Keep: keep})
			last, err := bytestore.Envelope[string]{}.Open(key, data, later(keep-1))
			if last == nil || err != nil {
				t.Errorf("%s, a nanosecond before the end of %v: %v, %v", name, keep, last, err)
			}
			over, err := bytestore.Envelope[string]{}.Open(key, data, later(keep))
			if over != nil || err != nil {
				t.Errorf("%s, at the end of %v: %v, %v; want neither", name, keep, over, err)
			}
		}
		none := seal(t, &corral.Entry[string]{LoadedAt: loadedAt})
		if e, err := (bytestore.Envelope[string]{}).Open(key, none, bytestore.Instant{Local: at.Local}); e != nil || err != nil {
			t.Errorf("%s, without a Keep: %v, %v; want neither", name, e, err)
		}
	}
}

func TestSealBounds(t *testing.T) {
	most := len(seal(t, entry("123456")))
	envelope := bytestore.Envelope[string]{MaxValueBytes: most}
	if _, err := envelope.Seal(key, entry("123456"), at); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	_, err := envelope.Seal(key, entry("1234567"), at)
	if !errors.Is(err, corral.ErrRefused) || !strings.Contains(err.Error(), fmt.Sprintf("%d bytes, MaxValueBytes is %d", most+1, most)) {
		t.Errorf("above the bound: %v", err)
	}
	if _, err := (bytestore.Envelope[string]{}).Seal(key, nil, at); err == nil {
		t.Error("a nil entry was sealed")
	}
	// What a process with a larger bound wrote is still a value.
	if _, err := envelope.Open(key, seal(t, entry("a longer value")), at); err != nil {
		t.Errorf("reading above the bound: %v", err)
	}
}
