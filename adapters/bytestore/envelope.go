package bytestore

import (
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/stored"
)

// Envelope turns entries into bytes and back, with what is needed to know on
// reading whether the bytes are an entry of this key and how old it is. See the
// package's description for the format, which is the same in every release.
//
// Its fields are set before its first use and not changed after it; its methods
// are safe for concurrent use.
type Envelope[V any] struct {
	// Codec turns the values into bytes; nil is [DefaultCodec].
	Codec Codec[V]

	// MaxValueBytes is how long the sealed bytes may be; zero is 32 MiB.
	MaxValueBytes int

	// MayKeep says that the bytes given to Open are nobody else's, before or after:
	// values of [Bytes] and [String] are then parts of them instead of copies.
	MayKeep bool
}

// DefaultMaxValueBytes is the bound that stands for a zero MaxValueBytes.
const DefaultMaxValueBytes = 32 << 20

// Instant is one moment on two clocks.
type Instant struct {
	// Local is the moment on this process's clock.
	Local time.Time

	// Store is the moment on the clock that all who share the store go by:
	// nanoseconds since 1970, zero if unknown. The age of an entry that was
	// written or read without it is unknown.
	Store int64
}

// Seal returns the bytes to store under key. The codec is not asked for an
// absent entry. The error is [corral.ErrRefused] for more than MaxValueBytes;
// otherwise the codec's, without its text, which may quote the value.
func (s Envelope[V]) Seal(key string, e *corral.Entry[V], now Instant) ([]byte, error) {
	if e == nil {
		return nil, errNoEntry
	}
	codec := s.codec()
	h := header{
		absent:   e.Absent,
		ageless:  e.LoadedAt.IsZero(),
		loadedAt: storeTime(e.LoadedAt, now),
		loadTime: e.LoadTime,
		ttl:      e.TTL,
		keep:     e.Keep,
		digest:   digestOf(key),
	}
	if !e.Absent {
		h.codec = idOf(codec)
	}
	data := h.append(make([]byte, 0, longestHeader+192))
	if !e.Absent {
		var err error
		if data, err = stored.Append(codec, data, e.Value); err != nil {
			return nil, err
		}
	}
	if most := s.maxValueBytes(); len(data) > most {
		return nil, stored.TooLarge(len(data), most)
	}
	finish(data)
	return data, nil
}

// Open returns the entry that data holds, nil if its Keep is over. It keeps
// nothing of data, unless MayKeep says so. LoadedAt is on this process's clock, monotonic from now on,
// and never after now.Local; it is the zero time if the age is unknown. An error
// is [corral.ErrUndecodable] and says why data is no entry of key; it quotes
// neither.
func (s Envelope[V]) Open(key string, data []byte, now Instant) (*corral.Entry[V], error) {
	h, payload, err := open(data)
	if err != nil {
		return nil, err
	}
	if h.digest != digestOf(key) {
		return nil, errOtherKey
	}
	at := localTime(h.loadedAt, now)
	if h.over(at, now.Local) {
		return nil, nil
	}
	if h.ageless {
		at = time.Time{}
	}
	e := &corral.Entry[V]{LoadedAt: at, LoadTime: h.loadTime, TTL: h.ttl, Keep: h.keep, Absent: h.absent}
	if h.absent {
		return e, nil
	}
	codec := s.codec()
	if h.codec != idOf(codec) {
		return nil, errOtherCodec
	}
	if k, ok := codec.(keeper[V]); ok && s.MayKeep {
		e.Value = k.keep(payload)
		return e, nil
	}
	if e.Value, err = stored.Decode(codec, payload); err != nil {
		return nil, err
	}
	return e, nil
}

// over reports whether an entry loaded, or if ageless stored, at a moment has
// outlived its Keep. Of one from no time the store alone knows.
func (h header) over(at, now time.Time) bool {
	if at.IsZero() {
		return h.keep <= 0
	}
	return now.Sub(at) >= h.keep
}

func (s Envelope[V]) codec() Codec[V] {
	if s.Codec == nil {
		return DefaultCodec[V]()
	}
	return s.Codec
}

func (s Envelope[V]) maxValueBytes() int {
	if s.MaxValueBytes == 0 {
		return DefaultMaxValueBytes
	}
	return s.MaxValueBytes
}

func idOf(codec any) uint8 {
	if c, ok := codec.(Identified); ok {
		return c.CodecID()
	}
	return 0
}

// storeTime moves a time of this process, for no time now, to the store's clock.
func storeTime(at time.Time, now Instant) int64 {
	switch {
	case now.Store <= 0:
		return 0
	case at.IsZero():
		return now.Store
	default:
		return max(now.Store-int64(max(now.Local.Sub(at), 0)), 1)
	}
}

// localTime moves a time of the store's clock to this process.
func localTime(at int64, now Instant) time.Time {
	if at <= 0 || now.Store <= 0 {
		return time.Time{}
	}
	return now.Local.Add(-time.Duration(max(now.Store-at, 0)))
}
