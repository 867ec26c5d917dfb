package adaptertest

import (
	"context"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

type keyErrors = corral.KeyErrors[string]

// each runs f for every key and gathers the errors.
func each(keys []string, f func(n int, key string) error) error {
	failed := map[string]error{}
	for n, key := range keys {
		if err := f(n, key); err != nil {
			failed[key] = err
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return &keyErrors{Errors: failed}
}

// manyCalls is the honest BatchCache of a cache that takes one key at a time,
// with some of its calls replaced.
type manyCalls struct {
	one    cache
	get    func(ctx context.Context, keys []string) ([]*entry, error)
	set    func(ctx context.Context, keys []string, entries []*entry) error
	remove func(ctx context.Context, keys []string) error
}

func (m *manyCalls) GetMany(ctx context.Context, keys []string) ([]*entry, error) {
	if m.get == nil {
		return m.honestGet(ctx, keys)
	}
	return m.get(ctx, keys)
}

func (m *manyCalls) honestGet(ctx context.Context, keys []string) ([]*entry, error) {
	entries := make([]*entry, len(keys))
	return entries, each(keys, func(n int, key string) (err error) {
		entries[n], err = m.one.Get(ctx, key)
		return err
	})
}

func (m *manyCalls) SetMany(ctx context.Context, keys []string, entries []*entry) error {
	if m.set == nil {
		return m.honestSet(ctx, keys, entries)
	}
	return m.set(ctx, keys, entries)
}

func (m *manyCalls) honestSet(ctx context.Context, keys []string, entries []*entry) error {
	return each(keys, func(n int, key string) error { return m.one.Set(ctx, key, entries[n]) })
}

func (m *manyCalls) DeleteMany(ctx context.Context, keys []string) error {
	if m.remove == nil {
		return m.honestRemove(ctx, keys)
	}
	return m.remove(ctx, keys)
}

func (m *manyCalls) honestRemove(ctx context.Context, keys []string) error {
	return each(keys, func(_ int, key string) error { return m.one.Delete(ctx, key) })
}

// The caches that take many keys.
type (
	manyNear struct {
		*faulty
		*manyCalls
	}
	manySlow struct {
		*slow
		*manyCalls
	}
	manyPlain struct {
		*bare
		*manyCalls
	}
	manyFar struct {
		*server
		*manyCalls
	}
)

func manyNearConfig(spoil func(m *manyCalls)) Config[string, string] {
	return Config[string, string]{New: func(*testing.T) cache {
		f := mem()
		m := &manyCalls{one: f}
		spoil(m)
		return manyNear{f, m}
	}}
}

func manySlowConfig(spoil func(m *manyCalls)) Config[string, string] {
	return Config[string, string]{New: func(*testing.T) cache {
		s := buffered()
		m := &manyCalls{one: s}
		spoil(m)
		return manySlow{s, m}
	}}
}

func manyPlainConfig(spoil func(m *manyCalls)) Config[string, string] {
	cfg := plainConfig(func(*bare) {})
	single := cfg.New
	cfg.New = func(t *testing.T) cache {
		b := single(t).(*bare)
		m := &manyCalls{one: b}
		spoil(m)
		return manyPlain{b, m}
	}
	return cfg
}

func manyFarConfig(spoil func(m *manyCalls)) Config[string, string] {
	cfg := serverConfig(func(*server) {})
	single := cfg.New
	cfg.New = func(t *testing.T) cache {
		s := single(t).(*server)
		m := &manyCalls{one: s}
		spoil(m)
		return manyFar{s, m}
	}
	return cfg
}

// manyLeased is a process of a shared store that takes many keys, with some of
// its calls replaced.
type manyLeased struct {
	*leased
	*manyCalls
	acquire func(ctx context.Context, keys []string, r []request) ([]answer, error)
	renew   func(ctx context.Context, keys, tokens []string) error
	fill    func(ctx context.Context, keys, tokens []string, entries []*entry) error
	release func(ctx context.Context, keys, tokens []string) error
}

func (m *manyLeased) AcquireMany(ctx context.Context, keys []string, r []request) ([]answer, error) {
	if m.acquire == nil {
		return m.honestAcquire(ctx, keys, r)
	}
	return m.acquire(ctx, keys, r)
}

func (m *manyLeased) honestAcquire(ctx context.Context, keys []string, r []request) ([]answer, error) {
	answers := make([]answer, len(keys))
	return answers, each(keys, func(n int, key string) (err error) {
		answers[n], err = m.leased.Acquire(ctx, key, r[n])
		return err
	})
}

func (m *manyLeased) RenewMany(ctx context.Context, keys, tokens []string) error {
	if m.renew == nil {
		return m.honestRenew(ctx, keys, tokens)
	}
	return m.renew(ctx, keys, tokens)
}

func (m *manyLeased) honestRenew(ctx context.Context, keys, tokens []string) error {
	return each(keys, func(n int, key string) error { return m.leased.Renew(ctx, key, tokens[n]) })
}

func (m *manyLeased) FillMany(ctx context.Context, keys, tokens []string, entries []*entry) error {
	if m.fill == nil {
		return m.honestFill(ctx, keys, tokens, entries)
	}
	return m.fill(ctx, keys, tokens, entries)
}

func (m *manyLeased) honestFill(ctx context.Context, keys, tokens []string, entries []*entry) error {
	return each(keys, func(n int, key string) error { return m.leased.Fill(ctx, key, tokens[n], entries[n]) })
}

func (m *manyLeased) ReleaseMany(ctx context.Context, keys, tokens []string) error {
	if m.release == nil {
		return each(keys, func(n int, key string) error { return m.leased.Release(ctx, key, tokens[n]) })
	}
	return m.release(ctx, keys, tokens)
}

func manyLeasedConfig(spoil func(m *manyLeased)) Config[string, string] {
	cfg := leasedConfig(func(*leased) {})
	several := func(single func(*testing.T) cache) func(*testing.T) cache {
		return func(t *testing.T) cache {
			l := single(t).(*leased)
			m := &manyLeased{leased: l, manyCalls: &manyCalls{one: l}}
			spoil(m)
			return m
		}
	}
	cfg.New, cfg.Other = several(cfg.New), several(cfg.Other)
	return cfg
}

// manyDouble is a layered cache that takes many keys, as its layers do.
type manyDouble struct {
	*double
	*manyCalls
	near, far cache
}

func (d *manyDouble) Layers() (near, far cache) { return d.near, d.far }

func manyLayer(one cache) cache { return manyNear{&faulty{Cache: one}, &manyCalls{one: one}} }

func manyLayeredConfig(spoil func(d *manyDouble)) Config[string, string] {
	cfg := layeredConfig(func(*double) {})
	several := func(single func(*testing.T) cache) func(*testing.T) cache {
		return func(t *testing.T) cache {
			d := single(t).(*double)
			near, far := d.Layers()
			m := &manyDouble{d, &manyCalls{one: d}, manyLayer(near), manyLayer(far)}
			spoil(m)
			return m
		}
	}
	cfg.New, cfg.Other = several(cfg.New), several(cfg.Other)
	return cfg
}

func TestHonestCachesOfManyKeysPass(t *testing.T) {
	for name, cfg := range map[string]Config[string, string]{
		"near":     manyNearConfig(func(*manyCalls) {}),
		"buffered": manySlowConfig(func(*manyCalls) {}),
		"plain":    manyPlainConfig(func(*manyCalls) {}),
		"far":      manyFarConfig(func(*manyCalls) {}),
		"leased":   manyLeasedConfig(func(*manyLeased) {}),
		"layered":  manyLayeredConfig(func(*manyDouble) {}),
	} {
		t.Run(name, func(t *testing.T) {
			for clause, said := range fallen(t, "", cfg) {
				t.Errorf("%s: %s", clause, said)
			}
		})
		t.Run(name+" in real time", func(t *testing.T) {
			cfg.RealTime = true
			inBubble(t, func(t *testing.T) {
				for clause, said := range fallen(t, "", cfg) {
					t.Errorf("%s: %s", clause, said)
				}
			})
		})
	}
}

func TestBrokenCachesOfManyKeysAreCaught(t *testing.T) {
	for _, tt := range brokenBatches {
		t.Run(tt.name, func(t *testing.T) { wantFallen(t, tt.clause, tt.config(tt.spoil)) })
	}
}

func TestBrokenLeasesOfManyKeysAreCaught(t *testing.T) {
	for _, tt := range brokenBatchLeases {
		t.Run(tt.name, func(t *testing.T) {
			cfg := manyLeasedConfig(tt.spoil)
			wantFallen(t, tt.clause, cfg)
		})
	}
}

func TestBrokenLayersOfManyKeysAreCaught(t *testing.T) {
	for name, spoil := range map[string]func(d *manyDouble){
		"far is bare": func(d *manyDouble) { d.far = manyLayer(d.process) },
		"near keeps copies of what SetMany replaced": func(d *manyDouble) {
			d.set = func(ctx context.Context, keys []string, entries []*entry) error {
				return each(keys, func(n int, key string) error { return d.process.Set(ctx, key, entries[n]) })
			}
		},
		"near keeps copies of what DeleteMany removed": func(d *manyDouble) {
			d.remove = func(ctx context.Context, keys []string) error {
				return each(keys, func(_ int, key string) error { return d.process.Delete(ctx, key) })
			}
		},
		"far keeps what DeleteMany removed": func(d *manyDouble) {
			d.remove = func(ctx context.Context, keys []string) error {
				return each(keys, func(_ int, key string) error { return d.double.near.Delete(ctx, key) })
			}
		},
	} {
		t.Run(name, func(t *testing.T) { wantFallen(t, "layer-batch", manyLayeredConfig(spoil)) })
	}
	t.Run("the layers hide it", func(t *testing.T) {
		cfg := manyLayeredConfig(func(d *manyDouble) { d.near, d.far = d.double.Layers() })
		cfg.Inner = func() []any { return []any{manyLayer(mem()), manyLayer(mem())} }
		wantFallen(t, "layer-batch", cfg)
	})
}

// One that takes many keys and another, over the same store, that does not.
func TestProcessesThatDifferInBatchesAreCaught(t *testing.T) {
	cfg := manyLeasedConfig(func(*manyLeased) {})
	single := leasedConfig(func(*leased) {})
	cfg.Other = func(t *testing.T) cache { return single.New(t) }
	for _, clause := range []string{"batch-acquire", "batch-heard"} {
		wantFallen(t, clause, cfg)
	}
}

// late runs f when its caller has gone on.
func late(f func()) { time.AfterFunc(time.Millisecond, f) }

func manyLeases() cache { return manyLeasedConfig(func(*manyLeased) {}).New(nil) }
