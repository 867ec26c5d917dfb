package stored

import (
	"bytes"
	"errors"

	"github.com/corralcache/corral/internal/bounded"
)

// Codec is bytestore.Codec, which documents it.
type Codec[V any] interface {
	Append(dst []byte, v V) ([]byte, error)
	Decode(src []byte) (V, error)
}

// errNotAppended is the fault of a codec that ignores dst, as one that returns
// what json.Marshal returns: its bytes would be taken for a header.
var errNotAppended = errors.New("Append returned something else than dst and what follows")

// Append calls codec.Append. A panic is an error, and so is a result that does
// not begin with dst.
func Append[V any](codec Codec[V], dst []byte, v V) (out []byte, err error) {
	out, err = appendGuarded(codec, dst, v)
	if err == nil && !bytes.HasPrefix(out, dst) {
		err = errNotAppended
	}
	if err != nil {
		return nil, &redacted{text: "corral: the codec cannot encode the value", cause: err}
	}
	return out, nil
}

func appendGuarded[V any](codec Codec[V], dst []byte, v V) (out []byte, err error) {
	defer bounded.Recover("the codec", &err)
	return codec.Append(dst, v)
}

// Decode calls codec.Decode. A panic is an error; every error is
// corral.ErrUndecodable.
func Decode[V any](codec Codec[V], src []byte) (V, error) {
	v, err := decodeGuarded(codec, src)
	if err != nil {
		var zero V
		return zero, Undecodable("the codec refused it", err)
	}
	return v, nil
}

func decodeGuarded[V any](codec Codec[V], src []byte) (v V, err error) {
	defer bounded.Recover("the codec", &err)
	return codec.Decode(src)
}
