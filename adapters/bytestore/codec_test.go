package bytestore_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/bytestore"
)

type (
	name string
	blob []byte
)

func TestCodecsGiveBackWhatTheyGot(t *testing.T) {
	roundTrip(t, bytestore.DefaultCodec[string](), "", "a", "\xff\xfe", "\x00", `"quoted"`, "\xC7\x01", "*")
	roundTrip(t, bytestore.DefaultCodec[name](), "", "ann\xff")
	roundTrip(t, bytestore.DefaultCodec[[]byte](), []byte{}, []byte{0, 255}, []byte("null"))
	roundTrip(t, bytestore.DefaultCodec[blob](), blob{1})
	roundTrip(t, bytestore.DefaultCodec[json.RawMessage](), json.RawMessage(`{"a": 1}`), json.RawMessage("not json"))
	roundTrip(t, bytestore.DefaultCodec[int64](), 0, -1, 1<<53+1)
	roundTrip(t, bytestore.DefaultCodec[*User](), nil, &User{Name: "Ann"})
	roundTrip(t, bytestore.DefaultCodec[[]string](), nil, []string{}, []string{""})
	roundTrip(t, bytestore.Gob[User](), User{}, User{Name: "\xff"})
	roundTrip(t, bytestore.Gob[string](), "", "\xff")
	roundTrip(t, bytestore.Bytes[blob](), blob{}, blob{0})
	roundTrip(t, bytestore.String[name](), "", "\xff")
}

func roundTrip[V any](t *testing.T, codec bytestore.Codec[V], values ...V) {
	t.Helper()
	for _, v := range values {
		t.Run(fmt.Sprintf("%T of %T %q", codec, v, fmt.Sprint(v)), func(t *testing.T) {
			data, err := codec.Append([]byte("before"), v)
			rest, found := strings.CutPrefix(string(data), "before")
			if err != nil || !found {
				t.Fatalf("Append = %q, %v; want it after what was there", data, err)
			}
			src := []byte(rest)
			back, err := codec.Decode(src)
			for i := range src {
				src[i] = 'X' // the store uses its bytes again
			}
			if err != nil || !reflect.DeepEqual(back, v) {
				t.Errorf("Decode = %#v, %v; want %#v", back, err, v)
			}
		})
	}
}

func TestCodecsRefuseWhatFollowsTheValue(t *testing.T) {
	for name, codec := range map[string]bytestore.Codec[User]{
		"JSON": bytestore.JSON[User](),
		"gob":  bytestore.Gob[User](),
	} {
		t.Run(name, func(t *testing.T) {
			data, err := codec.Append(nil, User{Name: "Ann"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := codec.Decode(append(data, data...)); err == nil {
				t.Error("two values were read as one")
			}
			if _, err := codec.Decode(data[:len(data)-1]); err == nil {
				t.Error("half a value was read")
			}
		})
	}
}

// twisted is a codec that does what its fields say.
type twisted struct {
	append func([]byte) ([]byte, error)
	decode func() (int, error)
}

func (c twisted) Append(dst []byte, _ int) ([]byte, error) { return c.append(dst) }
func (c twisted) Decode([]byte) (int, error)               { return c.decode() }

func TestContract_C5_ACodecThatPanicsIsAnError(t *testing.T) {
	envelope := bytestore.Envelope[int]{Codec: twisted{
		append: func([]byte) ([]byte, error) { panic("secret") },
		decode: func() (int, error) { panic("secret") },
	}}
	data := seal(t, entry(1))
	data = repaired(with(data, 3, 0)) // a codec without a number
	_, sealing := envelope.Seal(key, entry(1), at)
	_, opening := envelope.Open(key, data, at)
	for call, err := range map[string]error{"Seal": sealing, "Open": opening} {
		var p *corral.PanicError
		if !errors.As(err, &p) || p.Value != "secret" {
			t.Errorf("%s: %v, want a PanicError", call, err)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the text %q quotes the panic", call, err)
		}
	}
	if !errors.Is(opening, corral.ErrUndecodable) {
		t.Errorf("Open: %v, want ErrUndecodable", opening)
	}
}

func TestACodecThatDoesNotAppendIsAnError(t *testing.T) {
	for name, result := range map[string]func(dst []byte) []byte{
		"its own bytes": func([]byte) []byte { return []byte(strings.Repeat("x", 100)) },
		"too few":       func(dst []byte) []byte { return dst[:10] },
		"none":          func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			envelope := bytestore.Envelope[int]{Codec: twisted{
				append: func(dst []byte) ([]byte, error) { return result(dst), nil },
			}}
			if data, err := envelope.Seal(key, entry(1), at); err == nil {
				t.Errorf("sealed as %x", data)
			}
		})
	}
}

func TestContract_A4_AFailedDecodeIsNoValue(t *testing.T) {
	data := repaired(append(headerOf(1), `{"Name":"Ann","Age":"no number"}`...))
	type person struct {
		Name string
		Age  int
	}
	e, err := bytestore.Envelope[person]{}.Open(key, data, at)
	if e != nil || !errors.Is(err, corral.ErrUndecodable) {
		t.Errorf("Open = %v, %v; want ErrUndecodable and no half of a value", e, err)
	}
	var cause *json.UnmarshalTypeError
	if !errors.As(err, &cause) {
		t.Errorf("%v does not lead to its cause", err)
	}
}

// numbered is a codec of the user's with a number.
type numbered struct {
	bytestore.Codec[int]
	id uint8
}

func (c numbered) CodecID() uint8 { return c.id }

func TestCodecsAreToldApart(t *testing.T) {
	codecs := map[string]bytestore.Codec[int]{
		"JSON":    bytestore.JSON[int](),
		"gob":     bytestore.Gob[int](),
		"128":     numbered{bytestore.JSON[int](), 128},
		"129":     numbered{bytestore.JSON[int](), 129},
		"unnamed": struct{ bytestore.Codec[int] }{bytestore.JSON[int]()},
	}
	for writer, w := range codecs {
		data, err := bytestore.Envelope[int]{Codec: w}.Seal(key, entry(7), at)
		if err != nil {
			t.Fatal(err)
		}
		for reader, r := range codecs {
			e, err := bytestore.Envelope[int]{Codec: r}.Open(key, data, at)
			if writer == reader && (err != nil || e.Value != 7) {
				t.Errorf("%s reads its own as %v, %v", reader, e, err)
			}
			if writer != reader && !errors.Is(err, corral.ErrUndecodable) {
				t.Errorf("%s reads what %s wrote: %v, want ErrUndecodable", reader, writer, err)
			}
		}
	}
}

// P17: a real value equal to a sentinel reads as absent.
//
// Red when Open, in envelope.go, takes an empty payload for absence.
func TestPeers_P17_NoValueIsASentinel(t *testing.T) {
	absent := entry("")
	absent.Absent = true
	for _, v := range []string{"", "*", "null", "nil", string(seal(t, absent)), "\xC7"} {
		back, err := bytestore.Envelope[string]{}.Open(key, seal(t, entry(v)), at)
		if err != nil || back.Absent || back.Value != v {
			t.Errorf("%q came back as %+v, %v", v, back, err)
		}
	}
	back, err := bytestore.Envelope[string]{}.Open(key, seal(t, absent), at)
	if err != nil || !back.Absent || back.TTL != absent.TTL {
		t.Errorf("absence came back as %+v, %v", back, err)
	}
}
