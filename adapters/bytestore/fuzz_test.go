package bytestore_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/bytestore"
)

// repaired returns data with the digest and the checksum that make it an envelope,
// so that tests get behind the checksum. It is written from the package's
// description of the format and shares no code with it.
func repaired(data []byte) []byte {
	data = append(bytes.Clone(data), make([]byte, max(0, 31-len(data)))...)
	copy(data, "\xC7\x01")
	sum := sha256.Sum256([]byte(key))
	copy(data[16:28], sum[:])
	covered := append(bytes.Clone(data[:12]), data[16:]...)
	binary.BigEndian.PutUint32(data[12:], crc32.Checksum(covered, crc32.MakeTable(crc32.Castagnoli)))
	return data
}

func seeds(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.bin")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no golden envelopes: %v", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Add([]byte(nil))
	f.Add([]byte(`{"Name":"Ann"}`))
	f.Add(append([]byte("\xC7\x01"), bytes.Repeat([]byte{0xFF}, 59)...)) // varints without end
}

// FuzzOpen reads any bytes, as they are and behind a checksum that fits.
func FuzzOpen(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		openBoth(t, bytestore.Envelope[User]{}, data)
		openBoth(t, bytestore.Envelope[string]{}, data)
		openBoth(t, bytestore.Envelope[[]byte]{}, data)
	})
}

// FuzzOpenGob is apart because gob's steps of 10 MiB make it slow.
func FuzzOpenGob(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		openBoth(t, bytestore.Envelope[map[string][]int]{Codec: bytestore.Gob[map[string][]int]()}, data)
	})
}

func openBoth[V any](t *testing.T, envelope bytestore.Envelope[V], data []byte) {
	before := bytes.Clone(data)
	for _, data := range [][]byte{data, repaired(data)} {
		e, err := envelope.Open(key, data, at)
		switch {
		case err != nil && (e != nil || !errors.Is(err, corral.ErrUndecodable)):
			t.Fatalf("Open = %v, %v; want an entry or ErrUndecodable", e, err)
		case e != nil && e.LoadedAt.After(at.Local):
			t.Fatalf("loaded at %v, in the future", e.LoadedAt)
		}
	}
	if !bytes.Equal(before, data) {
		t.Fatal("Open wrote to its argument")
	}
}

// FuzzSealOpen stores any string and reads it back.
func FuzzSealOpen(f *testing.F) {
	f.Add("", "", int64(0), int64(0))
	f.Add("key", "\xff\x00", int64(1), int64(-1))
	f.Add("key", "", int64(time.Hour), int64(2*time.Hour))
	f.Add("key", "", int64(math.MinInt64), int64(math.MaxInt64))
	f.Add("key", "", int64(1500*time.Microsecond), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, name, value string, ttl, keep int64) {
		e := entry(value)
		e.TTL, e.Keep = time.Duration(ttl), time.Duration(keep)
		data, err := bytestore.Envelope[string]{}.Seal(name, e, at)
		if err != nil {
			t.Fatal(err)
		}
		back, err := bytestore.Envelope[string]{}.Open(name, data, at)
		if err != nil {
			t.Fatal(err)
		}
		if over := e.Keep <= at.Local.Sub(e.LoadedAt); over != (back == nil) {
			t.Fatalf("Open = %v, of a Keep of %v", back, e.Keep)
		}
		if back != nil {
			wantSame(t, back, e)
		}
	})
}

// Memory is asked for by what is there, not by what the bytes claim. gob takes
// a claim's word for 10 MiB at a time.
func TestContract_A4_NoAllocationByClaim(t *testing.T) {
	for _, c := range []struct {
		name string
		data []byte
		most uint64
	}{
		{"the envelope", repaired(bytes.Repeat([]byte{0xFF}, 59)), 64 << 10},
		{"gob, a message of 2^29 bytes", repaired(append(headerOf(3), 0xFC, 0x20, 0, 0, 0)), 16 << 20},
		{"gob, a slice of 2^29 elements", repaired(append(headerOf(3), gobSlice(t)...)), 16 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			envelope := bytestore.Envelope[[]int64]{Codec: bytestore.Gob[[]int64]()}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := envelope.Open(key, c.data, at)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, corral.ErrUndecodable) {
				t.Errorf("err = %v, want ErrUndecodable", err)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > c.most {
				t.Errorf("%d bytes allocated for an input of %d", grown, len(c.data))
			}
		})
	}
}

// headerOf is the header of an entry by a codec, kept for long.
func headerOf(codec byte) []byte { return with(with(make([]byte, 31), 3, codec), 30, 1) }

// gobSlice is a []int64 of one element that says it has 2^29.
func gobSlice(t *testing.T) []byte {
	data, err := bytestore.Gob[[]int64]().Append(nil, []int64{1})
	value, found := bytes.CutSuffix(data, []byte{0, 1, 2}) // 0, count, element
	if err != nil || !found {
		t.Fatalf("gob wrote %x, %v", data, err)
	}
	length := len(value) - 3 // the type follows, in two bytes, as many as gob has seen
	return slices.Concat(value[:length], []byte{9}, value[length+1:], []byte{0, 0xFC, 0x20, 0, 0, 0, 2})
}
