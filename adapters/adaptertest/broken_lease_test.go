package adaptertest

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

func TestBrokenLeasesAreCaught(t *testing.T) {
	for _, tt := range brokenLeases {
		t.Run(tt.name, func(t *testing.T) {
			wantFallen(t, tt.clause, leasedConfig(tt.spoil))
		})
	}
}

func TestLeaseLivesAreCaught(t *testing.T) {
	says := func(l *leased) { l.life = func() time.Duration { return shortLife } }
	for name, life := range map[string]time.Duration{
		"without an end":       math.MaxInt64,
		"a nanosecond short":   shortLife - 1,
		"two nanoseconds long": shortLife + 2,
		"half":                 shortLife / 2,
	} {
		t.Run(name, func(t *testing.T) { wantFallen(t, "lease-life", leasedFor(life, says)) })
	}
}

func TestPlainSetValueThatLeavesTheLeaseIsCaught(t *testing.T) {
	wantFallen(t, "lease-set", bareLeasedConfig(true))
}

// In the whole suite too, where what New returns is known before the clause.
func TestBadLeaseLifeIsCaughtByRun(t *testing.T) {
	cfg := leasedConfig(func(l *leased) { l.life = func() time.Duration { return -1 } })
	if said := fallen(t, "", cfg); said["leases"] == "" || len(said) != 1 {
		t.Errorf("fell: %v, want the clause leases alone", said)
	}
}

func TestProcessesThatShareNothingAreCaught(t *testing.T) {
	for name, other := range map[string]func(*testing.T) cache{
		"another store": func(*testing.T) cache { return memadapter.NewShared[string, string](shortLife).Process() },
		"nil":           func(*testing.T) cache { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := leasedConfig(func(*leased) {})
			cfg.Other = other
			for _, clause := range []string{"processes", "lease-acquire", "lease-watch", "listen-others"} {
				wantFallen(t, clause, cfg)
			}
		})
	}
	t.Run("no leases", func(t *testing.T) {
		cfg := leasedConfig(func(*leased) {})
		cfg.Other = func(*testing.T) cache { return mem() }
		wantFallen(t, "lease-acquire", cfg)
	})
}

func TestUndecodableLeases(t *testing.T) {
	for _, tt := range []struct {
		name string
		bad  func(l *leased, r request) error // of Acquire over bytes that nobody can read
		fine bool
	}{
		{"ErrUndecodable", func(_ *leased, r request) error {
			if r.Force {
				return nil
			}
			return corral.ErrUndecodable
		}, true},
		{"not looked at", func(*leased, request) error { return nil }, true},
		{"ErrUndecodable with Force", func(*leased, request) error { return corral.ErrUndecodable }, false},
		{"the codec's own error", func(_ *leased, r request) error {
			if r.Force {
				return nil
			}
			return errors.New("gob: bad data")
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var unreadable sync.Map
			cfg := leasedConfig(func(l *leased) {
				l.acquire = func(ctx context.Context, key string, r request) (answer, error) {
					if _, bad := unreadable.Load(key); bad {
						if err := tt.bad(l, r); err != nil {
							return answer{}, err
						}
						r.Force = true
					}
					return l.lease(ctx, key, r)
				}
			})
			cfg.Corrupt = func(_ *testing.T, key string, _ func([]byte) []byte) { unreadable.Store(key, true) }
			said := fallen(t, "lease-undecodable", cfg)["lease-undecodable"]
			if (said == "") != tt.fine {
				t.Errorf("fine %v, want %v: %s", said == "", tt.fine, said)
			}
		})
	}
}

func TestBrokenLayersAreCaught(t *testing.T) {
	for _, tt := range []struct {
		name, clause string
		spoil        func(d *double)
	}{
		{"no near", "layers", func(d *double) { d.layers = func() (cache, cache) { return nil, d.process } }},
		{"no far", "layers", func(d *double) { d.layers = func() (cache, cache) { return d.near, nil } }},
		{"the wrong way round", "layers", func(d *double) { d.layers = func() (cache, cache) { return d.process, d.near } }},
		{"made anew", "layers", func(d *double) {
			d.layers = func() (cache, cache) { return d.near, &faulty{Cache: (*back)(d)} }
		}},
		{"far is bare", "near-copy", func(d *double) { d.layers = func() (cache, cache) { return d.near, d.process } }},
		{"copies lose their TTL", "near-copy", func(d *double) {
			d.copied = func(e *entry) *entry { c := *e; c.TTL = 0; return &c }
		}},
		{"near is not dropped", "near-drop", func(d *double) { d.keepNear = true }},
		{"far is not deleted", "near-drop", func(d *double) { d.keepFar = true }},
		{"copies live anew", "near-keep", func(d *double) {
			d.copied = func(e *entry) *entry { c := *e; c.LoadedAt = time.Now(); return &c }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) { wantFallen(t, tt.clause, layeredConfig(tt.spoil)) })
	}
}
