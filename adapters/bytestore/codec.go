package bytestore

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"reflect"
	"unsafe"
)

// Codec turns values into bytes and back. Its methods are called concurrently,
// under no lock. A panic in one is an error of the call.
//
//   - Append appends the bytes of v to dst, which it may not change, and returns
//     the extended slice, as the built-in append does. It may use dst's spare
//     room and keeps nothing of it.
//   - Decode returns the value that src, the whole of src, was made of. It neither
//     changes nor keeps src, also not as a part of the value: the store may use
//     those bytes again. An error says that src is no such value.
//
// A value whose Go type changed can still decode, into something else than was
// meant: with JSON a renamed field is simply empty. Change the Prefix with the
// type.
type Codec[V any] interface {
	Append(dst []byte, v V) ([]byte, error)
	Decode(src []byte) (V, error)
}

// Identified is the optional interface of a codec that can be told from others
// by a number, which the envelope carries: a value that another codec wrote is
// then a miss instead of a guess. 0 is any codec without a number, 1 to 127 are
// this package's, 128 to 255 are free.
type Identified interface {
	CodecID() uint8
}

const (
	idJSON uint8 = 1
	idRaw  uint8 = 2
	idGob  uint8 = 3
)

// DefaultCodec is the codec of an Options that names none: for values whose
// kind is string or []byte the bytes as they are, for all others [JSON].
func DefaultCodec[V any]() Codec[V] {
	switch t := reflect.TypeFor[V](); {
	case t.Kind() == reflect.String:
		return rawString[V]{}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return rawBytes[V]{}
	default:
		return JSON[V]()
	}
}

// JSON is the codec of encoding/json. Bytes after the value are an error. What
// JSON cannot say is lost in it: invalid UTF-8 in a string becomes U+FFFD, the
// monotonic clock of a time.Time goes, unexported fields go; NaN is an error.
func JSON[V any]() Codec[V] { return jsonCodec[V]{} }

// Gob is the codec of encoding/gob, each value with the description of its
// type. Gob was not made for bytes from others, whose claims it believes 10 MiB
// at a time: use it where only trusted programs write to the store.
func Gob[V any]() Codec[V] { return gobCodec[V]{} }

// Bytes stores a []byte as it is. A nil slice comes back as an empty one.
func Bytes[V ~[]byte]() Codec[V] { return rawBytes[V]{} }

// String stores a string as it is, also one that is no valid UTF-8.
func String[V ~string]() Codec[V] { return rawString[V]{} }

type jsonCodec[V any] struct{}

func (jsonCodec[V]) CodecID() uint8 { return idJSON }

func (jsonCodec[V]) Append(dst []byte, v V) ([]byte, error) {
	text, err := json.Marshal(v)
	return append(dst, text...), err
}

func (jsonCodec[V]) Decode(src []byte) (v V, err error) {
	err = json.Unmarshal(src, &v)
	return v, err
}

var errTrailing = errors.New("bytes after the value")

type gobCodec[V any] struct{}

func (gobCodec[V]) CodecID() uint8 { return idGob }

func (gobCodec[V]) Append(dst []byte, v V) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	err := gob.NewEncoder(buf).Encode(&v)
	return buf.Bytes(), err
}

func (gobCodec[V]) Decode(src []byte) (v V, err error) {
	rest := bytes.NewReader(src) // an io.ByteReader: gob reads no further than the value
	if err := gob.NewDecoder(rest).Decode(&v); err != nil {
		return v, err
	}
	if rest.Len() > 0 {
		return v, errTrailing
	}
	return v, nil
}

// keeper is a codec whose values can be the bytes that they are decoded from.
type keeper[V any] interface{ keep(src []byte) V }

// rawBytes and rawString take V as any type and go by its kind, so that
// DefaultCodec can name them where the compiler knows nothing of V.

type rawBytes[V any] struct{}

func (rawBytes[V]) CodecID() uint8 { return idRaw }

func (rawBytes[V]) Append(dst []byte, v V) ([]byte, error) {
	return append(dst, reflect.ValueOf(&v).Elem().Bytes()...), nil
}

func (rawBytes[V]) Decode(src []byte) (v V, err error) {
	reflect.ValueOf(&v).Elem().SetBytes(append([]byte{}, src...))
	return v, nil
}

// keep leaves no room behind the value: what follows is not its own.
func (rawBytes[V]) keep(src []byte) (v V) {
	reflect.ValueOf(&v).Elem().SetBytes(src[:len(src):len(src)])
	return v
}

type rawString[V any] struct{}

func (rawString[V]) CodecID() uint8 { return idRaw }

func (rawString[V]) Append(dst []byte, v V) ([]byte, error) {
	return append(dst, reflect.ValueOf(&v).Elem().String()...), nil
}

func (rawString[V]) Decode(src []byte) (v V, err error) {
	reflect.ValueOf(&v).Elem().SetString(string(src))
	return v, nil
}

func (rawString[V]) keep(src []byte) (v V) {
	reflect.ValueOf(&v).Elem().SetString(unsafe.String(unsafe.SliceData(src), len(src)))
	return v
}
