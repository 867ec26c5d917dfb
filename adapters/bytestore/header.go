package bytestore

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"time"

	"github.com/corralcache/corral/internal/stored"
)

const (
	magic   = 0xC7
	version = 1

	// Where the parts of a header are whose place is fixed. Scripts on a server go by
	// these places too.
	atFlags    = 2
	atCodec    = 3
	atLoaded   = 4
	atChecksum = 12
	atDigest   = 16
	atTimes    = 28

	shortestHeader = atTimes + 3
	longestHeader  = atTimes + 3*binary.MaxVarintLen64

	flagAbsent     = 1 << 0
	flagCompressed = 1 << 1 // reserved: what sets it is unreadable to this version
	flagAgeless    = 1 << 2 // loadedAt is when the entry was stored
	shiftTTL       = 3      // two bits: the unit of TTL
	shiftMore      = 5      // two bits: the unit of Keep less TTL
	knownFlags     = flagAbsent | flagAgeless | 3<<shiftTTL | 3<<shiftMore

	// maxPayload is the most that is stored: 4 GiB, or what an int holds.
	maxPayload = min(math.MaxUint32, math.MaxInt) - longestHeader
)

// units are what TTL, and Keep less TTL, are counted in: the largest that gives a
// whole number. Nearly all are whole seconds, of which two bytes hold 4 hours.
var units = [...]time.Duration{time.Nanosecond, time.Microsecond, time.Millisecond, time.Second}

var (
	errNoEntry    = errors.New("corral: nil entry")
	errForeign    = stored.Undecodable("not written by this library", nil)
	errTruncated  = stored.Undecodable("truncated", nil)
	errVersion    = stored.Undecodable("unknown version of the envelope", nil)
	errTrailer    = stored.Undecodable("absent, with a value", nil)
	errChecksum   = stored.Undecodable("wrong checksum: damaged, or cut short", nil)
	errFlags      = stored.Undecodable("unknown flags", nil)
	errOtherKey   = stored.Undecodable("stored under another key", nil)
	errOtherCodec = stored.Undecodable("written by another codec", nil)
)

// digest stands for a key. SHA-256 is the same in every process, and costs what
// weaker digests do: 83 ns for a key of 36 bytes, FNV-1a 95, MD5 108 (go test -bench
// Digest, 2 CPUs of an AMD EPYC, without the allocation of the result). Of 96 bits of
// it nobody finds another key to a given one.
type digest [12]byte

func digestOf(key string) digest {
	var room [128]byte // most keys fit, and are not allocated a second time
	sum := sha256.Sum256(append(room[:0], key...))
	return digest(sum[:len(digest{})])
}

// header is what stands before the payload.
type header struct {
	absent, ageless     bool
	codec               uint8
	loadedAt            int64
	loadTime, ttl, keep time.Duration
	digest              digest
}

// append writes the header. The checksum follows with [finish], when the payload is
// there.
func (h header) append(dst []byte) []byte {
	ttl, more := unitOf(h.ttl), unitOf(h.keep-h.ttl)
	flags := byte(ttl<<shiftTTL | more<<shiftMore)
	if h.absent {
		flags |= flagAbsent
	}
	if h.ageless {
		flags |= flagAgeless
	}
	dst = append(dst, magic, version, flags, h.codec)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.loadedAt))
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, h.digest[:]...)
	dst = binary.AppendUvarint(dst, uint64(h.loadTime))
	dst = binary.AppendUvarint(dst, uint64(h.ttl/units[ttl]))
	return binary.AppendUvarint(dst, uint64((h.keep-h.ttl)/units[more]))
}

// unitOf returns the largest unit in which d is a whole number.
func unitOf(d time.Duration) int {
	unit := len(units) - 1
	for d%units[unit] != 0 {
		unit--
	}
	return unit
}

// times reads what follows the fixed part of the header, and returns what is left.
// The sum of two that no header was written with may overflow, as it does on writing.
func (h *header) times(data []byte, flags byte) (payload []byte, ok bool) {
	var n [3]time.Duration
	for i := range n {
		v, size := binary.Uvarint(data)
		if size <= 0 {
			return nil, false
		}
		n[i], data = time.Duration(v), data[size:]
	}
	h.loadTime = n[0]
	h.ttl = n[1] * units[flags>>shiftTTL&3]
	h.keep = h.ttl + n[2]*units[flags>>shiftMore&3]
	return data, true
}

// finish fills in the checksum of data, a header and its payload.
func finish(data []byte) {
	binary.BigEndian.PutUint32(data[atChecksum:], checksum(data))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(data []byte) uint32 {
	return crc32.Update(crc32.Checksum(data[:atChecksum], castagnoli), castagnoli, data[atDigest:])
}

// open takes data apart and allocates nothing: the payload is a part of data.
func open(data []byte) (h header, payload []byte, err error) {
	if err := inspect(data); err != nil {
		return header{}, nil, err
	}
	flags := data[atFlags]
	payload, ok := h.times(data[atTimes:], flags)
	if !ok {
		return header{}, nil, errTruncated
	}
	h.absent, h.ageless = flags&flagAbsent != 0, flags&flagAgeless != 0
	if h.absent && len(payload) > 0 {
		return header{}, nil, errTrailer
	}
	h.codec = data[atCodec]
	h.loadedAt = int64(binary.BigEndian.Uint64(data[atLoaded:]))
	copy(h.digest[:], data[atDigest:])
	return h, payload, nil
}

// inspect says what is wrong with data. The version comes before all that
// another version may have changed.
func inspect(data []byte) error {
	switch {
	case len(data) == 0 || data[0] != magic:
		return errForeign
	case len(data) == 1:
		return errTruncated
	case data[1] != version:
		return errVersion
	case len(data) < shortestHeader:
		return errTruncated
	case binary.BigEndian.Uint32(data[atChecksum:]) != checksum(data):
		return errChecksum
	case data[atFlags]&^knownFlags != 0:
		return errFlags
	default:
		return nil
	}
}
