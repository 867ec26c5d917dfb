package adaptertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

type (
	cache = corral.Cache[string, string]
	entry = corral.Entry[string]
)

// faulty is a cache with some of its calls replaced.
type faulty struct {
	Cache  cache
	get    func(ctx context.Context, key string) (*entry, error)
	set    func(ctx context.Context, key string, e *entry) error
	remove func(ctx context.Context, key string) error
}

func (f *faulty) Get(ctx context.Context, key string) (*entry, error) {
	if f.get == nil {
		return f.Cache.Get(ctx, key)
	}
	return f.get(ctx, key)
}

func (f *faulty) Set(ctx context.Context, key string, e *entry) error {
	if f.set == nil {
		return f.Cache.Set(ctx, key, e)
	}
	return f.set(ctx, key, e)
}

func (f *faulty) Delete(ctx context.Context, key string) error {
	if f.remove == nil {
		return f.Cache.Delete(ctx, key)
	}
	return f.remove(ctx, key)
}

func mem() *faulty { return &faulty{Cache: memadapter.New[string, string]()} }

// storing changes each entry on its way in.
func storing(change func(e *entry)) *faulty {
	f := mem()
	f.set = func(ctx context.Context, key string, e *entry) error {
		changed := *e
		change(&changed)
		return f.Cache.Set(ctx, key, &changed)
	}
	return f
}

// keyed changes each key.
func keyed(change func(key string) string) *faulty {
	f := mem()
	f.get = func(ctx context.Context, key string) (*entry, error) { return f.Cache.Get(ctx, change(key)) }
	f.set = func(ctx context.Context, key string, e *entry) error { return f.Cache.Set(ctx, change(key), e) }
	f.remove = func(ctx context.Context, key string) error { return f.Cache.Delete(ctx, change(key)) }
	return f
}

// bare is a cache of plain values with some of its calls replaced.
type bare struct {
	*memadapter.PlainCache[string, string]
	getValue func(ctx context.Context, key string) (string, time.Duration, bool, error)
	setValue func(ctx context.Context, key, value string, life time.Duration) error
	set      func(ctx context.Context, key string, e *entry) error
	returned func(e *entry) // changes what Get returns
}

func (b *bare) Get(ctx context.Context, key string) (*entry, error) {
	e, err := b.PlainCache.Get(ctx, key)
	if e != nil && b.returned != nil {
		b.returned(e)
	}
	return e, err
}

func (b *bare) GetValue(ctx context.Context, key string) (string, time.Duration, bool, error) {
	if b.getValue == nil {
		return b.PlainCache.GetValue(ctx, key)
	}
	return b.getValue(ctx, key)
}

func (b *bare) SetValue(ctx context.Context, key, value string, life time.Duration) error {
	if b.setValue == nil {
		return b.PlainCache.SetValue(ctx, key, value, life)
	}
	return b.setValue(ctx, key, value, life)
}

func (b *bare) Set(ctx context.Context, key string, e *entry) error {
	if b.set == nil {
		return b.PlainCache.Set(ctx, key, e)
	}
	return b.set(ctx, key, e)
}

func plain() *bare { return &bare{PlainCache: memadapter.Plain[string, string]()} }

var errDown = errors.New("the store is down")

// server is a far store of bytes with entries in envelopes, as honest as it
// is slow. What encode and decode leave out is up to the test.
type server struct {
	mu    sync.Mutex
	items map[string]stored // guarded by mu
	down  bool              // guarded by mu
	stall chan struct{}     // if not nil, calls wait for it; set before use

	encode func(key string, e *entry) []byte
	decode func(key string, b []byte) (*entry, error)

	silent   bool // errors of the store are swallowed
	patient  bool // contexts are ignored
	hasNoFar bool
}

type stored struct {
	bytes []byte
	until time.Time
}

func newServer() *server {
	return &server{items: map[string]stored{}, encode: seal, decode: unseal}
}

func (s *server) Far() bool { return !s.hasNoFar }

// trip is the way to the server and back.
func (s *server) trip(ctx context.Context) error {
	if s.patient {
		ctx = context.Background()
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.stall:
	case <-time.After(time.Millisecond):
		if s.stall != nil {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-s.stall:
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down && !s.silent {
		return errDown
	}
	return nil
}

func (s *server) Get(ctx context.Context, key string) (*entry, error) {
	if err := s.trip(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	it, ok := s.items[key]
	ok = ok && time.Now().Before(it.until) && !s.down
	s.mu.Unlock()
	if !ok {
		return nil, nil
	}
	return s.decode(key, it.bytes)
}

func (s *server) Set(ctx context.Context, key string, e *entry) error {
	life := e.Keep
	if !e.LoadedAt.IsZero() {
		life -= max(0, time.Since(e.LoadedAt))
	}
	if life <= 0 {
		return s.Delete(ctx, key)
	}
	b, until := s.encode(key, e), time.Now().Add(life)
	if err := s.trip(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items[key] = stored{b, until}
	return nil
}

func (s *server) Delete(ctx context.Context, key string) error {
	if err := s.trip(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.items, key)
	return nil
}

// config is how this package is used for a far store of bytes.
func (s *server) config() Config[string, string] {
	return Config[string, string]{
		Granularity: time.Nanosecond,
		Corrupt: func(_ *testing.T, key string, change func([]byte) []byte) {
			s.mu.Lock()
			defer s.mu.Unlock()
			it, ok := s.items[key]
			if !ok {
				it.until = time.Now().Add(time.Hour)
			}
			it.bytes = change(it.bytes)
			s.items[key] = it
		},
		Outage: func(*testing.T) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.down = true
		},
		Stall: func(t *testing.T) {
			stall := make(chan struct{})
			s.stall = stall
			t.Cleanup(func() { close(stall) })
		},
	}
}

// seal is the key and the entry behind a checksum.
func seal(key string, e *entry) []byte {
	b := body(key, e)
	sum := sha256.Sum256(b)
	return append(sum[:], b...)
}

func body(key string, e *entry) []byte {
	var b bytes.Buffer
	enc := gob.NewEncoder(&b)
	if err := errors.Join(enc.Encode(key), enc.Encode(e)); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func unseal(key string, b []byte) (*entry, error) {
	if len(b) < sha256.Size || sha256.Sum256(b[sha256.Size:]) != [sha256.Size]byte(b) {
		return nil, fmt.Errorf("checksum: %w", corral.ErrUndecodable)
	}
	owner, e, err := open(b[sha256.Size:])
	if err != nil || owner != key {
		return nil, fmt.Errorf("of key %q: %w", owner, corral.ErrUndecodable)
	}
	return e, nil
}

func open(b []byte) (key string, e *entry, err error) {
	dec := gob.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&key); err != nil {
		return "", nil, err
	}
	err = dec.Decode(&e)
	return key, e, err
}
