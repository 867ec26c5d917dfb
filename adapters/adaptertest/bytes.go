package adaptertest

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/corralcache/corral"
)

// byteClauses are about stored bytes that are not what Set wrote.
func byteClauses[K comparable, V any]() []clause[K, V] {
	damaged := func(cfg *Config[K, V]) bool { return cfg.Corrupt != nil }
	return []clause[K, V]{
		{
			name:  "undecodable",
			rule:  "Stored bytes that are truncated, foreign or corrupt are the error ErrUndecodable and no entry; Set replaces and Delete removes them. Plain values have no envelope to tell: there, nothing panics.",
			why:   "Two releases, another program or a broken disk share the store. A panic there takes every process down at once; a wrong value is served; an allocation of the size that the bytes claim ends the process.",
			cause: "Lengths believed before they are compared with the bytes at hand; no checksum; the codec's error returned without ErrUndecodable, which counts it as a failure of the store.",
			when:  damaged,
			check: checkUndecodable[K, V],
		},
		{
			name:  "foreign-key",
			rule:  "Bytes that belong to another key are ErrUndecodable.",
			why:   "A hash conflict or a reply on the wrong connection serves one user another user's data.",
			cause: "The key, or a digest of it, is not stored beside the value.",
			when:  func(cfg *Config[K, V]) bool { return cfg.Corrupt != nil && !cfg.Plain },
			check: checkForeignKey[K, V],
		},
	}
}

// damage is one way in which stored bytes go wrong.
type damage struct {
	name   string
	change func(stored []byte) []byte
}

// damages returns foreign bytes and, for a payload of the given size, cuts,
// flips and claims of huge lengths at about 64 places each.
func damages(size int) []damage {
	all := []damage{
		{"no bytes", func([]byte) []byte { return []byte{} }},
		{"a zero byte", func([]byte) []byte { return []byte{0} }},
		{"zero bytes", func([]byte) []byte { return make([]byte, 256) }},
		{"0xff bytes", func([]byte) []byte { return bytes.Repeat([]byte{0xff}, 256) }},
		{"text", func([]byte) []byte { return []byte("\"neither number nor entry") }},
		{"a byte more", func(b []byte) []byte { return append(slices.Clone(b), 'x') }},
	}
	for at := 0; at < size; at += 1 + size/64 {
		all = append(all,
			damage{fmt.Sprintf("only the first %d of %d bytes", at, size), func(b []byte) []byte { return b[:min(at, len(b))] }},
			damage{fmt.Sprintf("bits flipped in byte %d", at), func(b []byte) []byte { return overwrite(b, at, 1, 0xff) }},
			damage{fmt.Sprintf("a huge number at byte %d", at), func(b []byte) []byte { return overwrite(b, at, 8, 0) }})
	}
	return all
}

// overwrite flips the bits of mask in n bytes from at on, or, with no mask,
// makes them the number 0x7f7f….
func overwrite(b []byte, at, n int, mask byte) []byte {
	b = slices.Clone(b)
	for i := at; i < min(at+n, len(b)); i++ {
		if mask == 0 {
			b[i] = 0x7f
		} else {
			b[i] ^= mask
		}
	}
	return b
}

func checkUndecodable[K comparable, V any](p *probe[K, V]) {
	key, e := p.Key(0), p.entry(0)
	p.put(key, e)
	for _, d := range damages(len(p.stored(key))) {
		p.put(key, e)
		p.Corrupt(p.t, key, d.change)
		p.wantUnreadable(key, e, d.name)
	}
	p.put(key, e)
	p.want(key, e, "after Set over unreadable bytes")
	p.Corrupt(p.t, key, func([]byte) []byte { return []byte("foreign") })
	p.remove(key)
	p.wantMiss(key, "after Delete of unreadable bytes")
}

// stored returns the bytes that the store holds under key.
func (p *probe[K, V]) stored(key K) (stored []byte) {
	p.Corrupt(p.t, key, func(b []byte) []byte {
		stored = slices.Clone(b)
		return b
	})
	return stored
}

// wantUnreadable fails unless Get says ErrUndecodable. Damage that changed
// nothing may still give the entry.
func (p *probe[K, V]) wantUnreadable(key K, e *corral.Entry[V], what string) {
	const most = 64 << 20
	got, err := p.getAny(key, what, most)
	switch {
	case err != nil && !errors.Is(err, corral.ErrUndecodable):
		p.failf("%s of %s returned the error %q, want ErrUndecodable", call("Get", key), what, err)
	case err != nil && got != nil:
		p.failf("%s of %s returned an entry with its error", call("Get", key), what)
	case err != nil || p.Plain:
	case got == nil:
		p.failf("%s of %s returned nil and nil, want ErrUndecodable, which is counted", call("Get", key), what)
	default:
		if diff := p.differ(got, e); diff != "" {
			p.failf("%s of %s returned an entry with %s", call("Get", key), what, diff)
		}
	}
}

// getAny is Get with any result, for at most so many bytes of memory.
func (p *probe[K, V]) getAny(key K, what string, most uint64) (e *corral.Entry[V], err error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p.await(call("Get", key)+" of "+what, p.patience(), func() { e, err = p.cache.Get(p.ctx, key) })
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > most {
		p.failf("%s of %s took %d MiB of memory", call("Get", key), what, took>>20)
	}
	return e, err
}

func checkForeignKey[K comparable, V any](p *probe[K, V]) {
	p.put(p.Key(0), p.entry(0))
	p.put(p.Key(1), p.entry(1))
	other := p.stored(p.Key(0))
	p.Corrupt(p.t, p.Key(1), func([]byte) []byte { return other })
	p.wantUnreadable(p.Key(1), p.entry(1), "the bytes of another key")
	e := p.entry(2)
	p.put(p.Key(1), e)
	p.want(p.Key(1), e, "after Set over the bytes of another key")
}
