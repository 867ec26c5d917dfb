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
	magic      = "\xC7CRL"
	version    = 1
	headerSize = 64
	sealedSize = headerSize - 4 // what the checksum covers of the header

	flagAbsent     = 1 << 0
	flagCompressed = 1 << 1 // reserved: what sets it is unreadable to this version
	flagAgeless    = 1 << 2 // loadedAt is when the entry was stored
	knownFlags     = flagAbsent | flagAgeless

	// maxPayload is what the length field holds, or what an int does.
	maxPayload = min(math.MaxUint32, math.MaxInt) - headerSize
)

var (
	errNoEntry    = errors.New("corral: nil entry")
	errForeign    = stored.Undecodable("not written by this library", nil)
	errTruncated  = stored.Undecodable("truncated", nil)
	errVersion    = stored.Undecodable("unknown version of the envelope", nil)
	errTrailer    = stored.Undecodable("longer than it says", nil)
	errChecksum   = stored.Undecodable("wrong checksum", nil)
	errFlags      = stored.Undecodable("unknown flags", nil)
	errOtherKey   = stored.Undecodable("stored under another key", nil)
	errOtherCodec = stored.Undecodable("written by another codec", nil)
)

// digest stands for a key. SHA-256 is the same in every process, leaves nobody a
// way to make two keys meet, and costs what weaker digests of this length do:
// 83 ns for a key of 36 bytes, FNV-1a 95, MD5 108 (go test -bench Digest, 2
// CPUs of an AMD EPYC, without the allocation of the result).
type digest [16]byte

func digestOf(key string) digest {
	sum := sha256.Sum256([]byte(key))
	return digest(sum[:16])
}

// header is what stands before the payload.
type header struct {
	absent, ageless     bool
	codec               uint8
	loadedAt            int64
	loadTime, ttl, keep time.Duration
	digest              digest
}

// append writes the header. The length and the checksum follow with [finish],
// when the payload is there.
func (h header) append(dst []byte) []byte {
	var flags byte
	if h.absent {
		flags |= flagAbsent
	}
	if h.ageless {
		flags |= flagAgeless
	}
	dst = append(dst, magic...)
	dst = append(dst, version, flags, h.codec, 0)
	for _, n := range [...]int64{h.loadedAt, int64(h.loadTime), int64(h.ttl), int64(h.keep)} {
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	dst = append(dst, h.digest[:]...)
	return append(dst, make([]byte, 8)...)
}

// finish fills in length and checksum of data, a header and its payload.
func finish(data []byte) {
	binary.BigEndian.PutUint32(data[56:], uint32(len(data)-headerSize))
	binary.BigEndian.PutUint32(data[sealedSize:], checksum(data))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(data []byte) uint32 {
	return crc32.Update(crc32.Checksum(data[:sealedSize], castagnoli), castagnoli, data[headerSize:])
}

// open takes data apart and allocates nothing: the payload is a part of data.
func open(data []byte) (h header, payload []byte, err error) {
	if err := inspect(data); err != nil {
		return header{}, nil, err
	}
	h.absent, h.ageless = data[5]&flagAbsent != 0, data[5]&flagAgeless != 0
	h.codec = data[6]
	h.loadedAt = int64(binary.BigEndian.Uint64(data[8:]))
	h.loadTime = time.Duration(binary.BigEndian.Uint64(data[16:]))
	h.ttl = time.Duration(binary.BigEndian.Uint64(data[24:]))
	h.keep = time.Duration(binary.BigEndian.Uint64(data[32:]))
	copy(h.digest[:], data[40:])
	return h, data[headerSize:], nil
}

// inspect says what is wrong with data. The version comes before all that
// another version may have changed, the length before the checksum, so that
// damage and half a value are told apart.
func inspect(data []byte) error {
	switch {
	case len(data) < len(magic) || string(data[:len(magic)]) != magic:
		return errForeign
	case len(data) == len(magic):
		return errTruncated
	case data[4] != version:
		return errVersion
	case len(data) < headerSize:
		return errTruncated
	}
	claimed, there := uint64(binary.BigEndian.Uint32(data[56:])), uint64(len(data)-headerSize)
	switch {
	case there < claimed:
		return errTruncated
	case there > claimed:
		return errTrailer
	case binary.BigEndian.Uint32(data[sealedSize:]) != checksum(data):
		return errChecksum
	case data[5]&^knownFlags != 0 || data[7] != 0:
		return errFlags
	case data[5]&flagAbsent != 0 && claimed != 0:
		return errTrailer
	default:
		return nil
	}
}
