package bytestore_test

import (
	"testing"

	"github.com/corralcache/corral/adapters/bytestore"
)

// With MayKeep values of Bytes and String are the bytes themselves, and what is
// appended to one overwrites nothing; without, they are copies.
func TestMayKeep(t *testing.T) {
	for _, may := range []bool{false, true} {
		data := append(seal(t, entry([]byte("value"))), '!')
		data, beyond := data[:len(data)-1], data[len(data)-1:]
		e, err := bytestore.Envelope[[]byte]{MayKeep: may}.Open(key, data, at)
		must(t, err)
		if _ = append(e.Value, '?'); beyond[0] != '!' {
			t.Errorf("MayKeep %v: there is room behind the value", may)
		}
		data[len(data)-1] = 'E'
		if kept := string(e.Value) == "valuE"; kept != may {
			t.Errorf("MayKeep %v: kept %v", may, kept)
		}
		data = seal(t, entry("value"))
		s, err := bytestore.Envelope[string]{MayKeep: may}.Open(key, data, at)
		must(t, err)
		data[len(data)-1] = 'E'
		if kept := s.Value == "valuE"; kept != may {
			t.Errorf("MayKeep %v: kept a string %v", may, kept)
		}
	}
}

func TestMayKeepWhatIsEmpty(t *testing.T) {
	e, err := bytestore.Envelope[[]byte]{MayKeep: true}.Open(key, seal(t, entry([]byte{})), at)
	must(t, err)
	if e.Value == nil || len(e.Value) != 0 {
		t.Errorf("got %v, want an empty slice", e.Value)
	}
	s, err := bytestore.Envelope[string]{MayKeep: true}.Open(key, seal(t, entry("")), at)
	must(t, err)
	if s.Value != "" {
		t.Errorf("got %q", s.Value)
	}
}

// Other codecs, as one with the same identity as Bytes, are asked all the same.
func TestMayKeepAsksCodecsOfOthers(t *testing.T) {
	type own struct{ bytestore.Codec[[]byte] }
	codec := own{bytestore.Bytes[[]byte]()}
	sealed, err := bytestore.Envelope[[]byte]{Codec: codec}.Seal(key, entry([]byte("value")), at)
	must(t, err)
	e, err := bytestore.Envelope[[]byte]{Codec: codec, MayKeep: true}.Open(key, sealed, at)
	must(t, err)
	sealed[len(sealed)-1] = 'E'
	if string(e.Value) != "value" {
		t.Errorf("got %q, want a copy", e.Value)
	}
}
