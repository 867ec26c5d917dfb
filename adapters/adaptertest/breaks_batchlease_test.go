package adaptertest

import (
	"context"
	"errors"
	"slices"

	"github.com/corralcache/corral"
)

// acquires changes what the honest AcquireMany answers.
func acquires(change func(answers []answer) []answer) func(*manyLeased) {
	return func(m *manyLeased) {
		m.acquire = func(ctx context.Context, keys []string, r []request) ([]answer, error) {
			answers, err := m.honestAcquire(ctx, keys, r)
			return change(answers), err
		}
	}
}

var brokenBatchLeases = []struct {
	name, clause string
	spoil        func(m *manyLeased)
}{
	{"answers in another order", "batch-acquire", acquires(func(a []answer) []answer { slices.Reverse(a); return a })},
	{"busy keys left out", "batch-acquire", acquires(func(a []answer) []answer {
		return slices.DeleteFunc(a, func(l answer) bool { return l.State == corral.LeaseBusy })
	})},
	{"nothing after the first busy key", "batch-acquire", func(m *manyLeased) {
		m.acquire = func(ctx context.Context, keys []string, r []request) ([]answer, error) {
			answers := make([]answer, len(keys))
			for n, key := range keys {
				answers[n], _ = m.leased.Acquire(ctx, key, r[n])
				if answers[n].State == corral.LeaseBusy {
					break
				}
			}
			return answers, nil
		}
	}},
	{"changed without its entry", "batch-acquire", acquires(func(a []answer) []answer {
		for n := range a {
			a[n].Entry = nil
		}
		return a
	})},
	{"Empty left out", "batch-acquire", acquires(func(a []answer) []answer {
		for n := range a {
			a[n].Empty = false
		}
		return a
	})},
	{"held in words", "batch-acquire", func(m *manyLeased) {
		m.acquire = func(ctx context.Context, keys []string, r []request) ([]answer, error) {
			answers, err := m.honestAcquire(ctx, keys, r)
			for n, key := range keys {
				if answers[n].State == corral.LeaseHeld {
					_ = m.leased.Release(ctx, key, r[n].Token)
				}
			}
			return answers, err
		}
	}},
	{"Force of the first for all", "batch-acquire", func(m *manyLeased) {
		m.acquire = func(ctx context.Context, keys []string, r []request) ([]answer, error) {
			r = slices.Clone(r)
			for n := range r {
				r[n].Force = r[0].Force
			}
			return m.honestAcquire(ctx, keys, r)
		}
	}},
	{"no keys are an error", "batch-acquire", func(m *manyLeased) {
		m.acquire = func(ctx context.Context, keys []string, r []request) ([]answer, error) {
			if len(keys) == 0 {
				return nil, errors.New("store: wrong number of arguments")
			}
			return m.honestAcquire(ctx, keys, r)
		}
	}},
	{"no Version", "batch-seen", func(m *manyLeased) { altered(func(e *entry) { e.Version = 0 })(m.manyCalls) }},
	{"one Version for all", "batch-seen", func(m *manyLeased) {
		gets(func(_ []string, entries []*entry, err error) ([]*entry, error) {
			for n, e := range entries {
				if e != nil && entries[0] != nil {
					twin := *e
					twin.Version = entries[0].Version
					entries[n] = &twin
				}
			}
			return entries, err
		})(m.manyCalls)
	}},
	{"one lost lease fails all", "batch-renew", func(m *manyLeased) {
		m.renew = func(ctx context.Context, keys, tokens []string) error {
			if m.honestRenew(ctx, keys, tokens) != nil {
				return corral.ErrLeaseLost
			}
			return nil
		}
	}},
	{"one lost lease ends the renewal", "batch-renew", func(m *manyLeased) {
		m.renew = func(ctx context.Context, keys, tokens []string) error {
			lost := false
			return each(keys, func(n int, key string) error {
				if lost {
					return nil
				}
				err := m.leased.Renew(ctx, key, tokens[n])
				lost = err != nil
				return err
			})
		}
	}},
	{"only the first is renewed", "batch-renew", func(m *manyLeased) {
		m.renew = func(ctx context.Context, keys, tokens []string) error {
			ended := m.honestRenewals(ctx, keys, tokens)
			_ = m.leased.Renew(ctx, keys[0], tokens[0])
			return ended
		}
	}},
	{"lost leases are nothing", "batch-renew", func(m *manyLeased) {
		m.renew = func(ctx context.Context, keys, tokens []string) error {
			_ = m.honestRenew(ctx, keys, tokens)
			return nil
		}
	}},

	{"one lost lease fails the Fill", "batch-fill", func(m *manyLeased) {
		m.fill = func(ctx context.Context, keys, tokens []string, entries []*entry) error {
			if m.honestRenew(ctx, keys, tokens) != nil {
				return corral.ErrLeaseLost
			}
			return m.honestFill(ctx, keys, tokens, entries)
		}
	}},
	{"one lost lease leaves the others unfilled", "batch-fill", func(m *manyLeased) {
		m.fill = func(ctx context.Context, keys, tokens []string, entries []*entry) error {
			if err := m.honestRenew(ctx, keys, tokens); err != nil {
				return err
			}
			return m.honestFill(ctx, keys, tokens, entries)
		}
	}},
	{"tokens not looked at", "batch-fill", func(m *manyLeased) {
		m.fill = func(ctx context.Context, keys, tokens []string, entries []*entry) error {
			err := m.honestFill(ctx, keys, tokens, entries)
			for n, key := range keys {
				if entries[n] != nil {
					_ = m.leased.Set(ctx, key, entries[n])
				}
			}
			return err
		}
	}},
	{"lost leases not told", "batch-fill", func(m *manyLeased) {
		m.fill = func(ctx context.Context, keys, tokens []string, entries []*entry) error {
			_ = m.honestFill(ctx, keys, tokens, entries)
			return nil
		}
	}},
	{"nil is nothing to do", "batch-fill", func(m *manyLeased) {
		m.fill = func(ctx context.Context, keys, tokens []string, entries []*entry) error {
			return each(keys, func(n int, key string) error {
				if entries[n] == nil {
					return nil
				}
				return m.leased.Fill(ctx, key, tokens[n], entries[n])
			})
		}
	}},
	{"the first one's entry for all", "batch-fill", func(m *manyLeased) {
		m.fill = func(ctx context.Context, keys, tokens []string, entries []*entry) error {
			return each(keys, func(n int, key string) error {
				if entries[n] == nil {
					return m.leased.Fill(ctx, key, tokens[n], nil)
				}
				return m.leased.Fill(ctx, key, tokens[n], entries[0])
			})
		}
	}},
	{"nothing released", "batch-release", func(m *manyLeased) {
		m.release = func(context.Context, []string, []string) error { return nil }
	}},
	{"anybody's released", "batch-release", func(m *manyLeased) {
		m.release = func(ctx context.Context, keys, _ []string) error {
			return each(keys, func(_ int, key string) error {
				last, _ := m.last.Load(key)
				token, _ := last.(string)
				return m.leased.Release(ctx, key, token)
			})
		}
	}},
	{"what is gone is an error", "batch-release", func(m *manyLeased) {
		m.release = func(ctx context.Context, keys, tokens []string) error {
			return each(keys, func(n int, key string) error {
				if err := m.leased.Renew(ctx, key, tokens[n]); err != nil {
					return err
				}
				return m.leased.Release(ctx, key, tokens[n])
			})
		}
	}},
	{"entries deleted with their leases", "batch-release", func(m *manyLeased) {
		m.release = func(ctx context.Context, keys, tokens []string) error {
			return each(keys, func(n int, key string) error {
				if m.leased.Renew(ctx, key, tokens[n]) != nil {
					return nil
				}
				return m.leased.Delete(ctx, key)
			})
		}
	}},

	{"SetMany leaves the leases", "batch-lease-ends", func(m *manyLeased) {
		m.manyCalls.set = func(ctx context.Context, keys []string, entries []*entry) error {
			return each(keys, func(n int, key string) error {
				return m.keepLease(ctx, key, func() error { return m.process.Set(ctx, key, entries[n]) })
			})
		}
	}},
	{"DeleteMany leaves the leases", "batch-lease-ends", func(m *manyLeased) {
		m.manyCalls.remove = func(ctx context.Context, keys []string) error {
			return each(keys, func(_ int, key string) error {
				return m.keepLease(ctx, key, func() error { return m.process.Delete(ctx, key) })
			})
		}
	}},

	{"SetMany announces one key", "batch-heard", func(m *manyLeased) {
		m.manyCalls.set = func(ctx context.Context, keys []string, entries []*entry) error {
			return each(keys, func(n int, key string) error {
				if n == 0 {
					return m.leased.Set(ctx, key, entries[n])
				}
				return m.silently(ctx, key, entries[n])
			})
		}
	}},
	{"DeleteMany announces nothing", "batch-heard", func(m *manyLeased) {
		m.manyCalls.remove = func(ctx context.Context, keys []string) error {
			return each(keys, func(_ int, key string) error { return m.silently(ctx, key, nil) })
		}
	}},
	{"SetMany is heard by its own", "batch-heard", func(m *manyLeased) {
		other := m.store.Process()
		m.manyCalls.set = func(ctx context.Context, keys []string, entries []*entry) error {
			return each(keys, func(n int, key string) error { return other.Set(ctx, key, entries[n]) })
		}
	}},
	{"many keys leased in an outage", "outage", func(m *manyLeased) {
		m.acquire = func(ctx context.Context, keys []string, r []request) ([]answer, error) {
			answers, _ := m.honestAcquire(ctx, keys, r)
			return answers, nil
		}
	}},
	{"an outage is lost leases", "outage", func(m *manyLeased) {
		m.renew = func(ctx context.Context, keys, tokens []string) error {
			return each(keys, func(n int, key string) error {
				if m.leased.Renew(ctx, key, tokens[n]) != nil {
					return corral.ErrLeaseLost
				}
				return nil
			})
		}
	}},
	{"FillMany wakes nobody", "lease-watch", func(m *manyLeased) {
		m.fill = func(ctx context.Context, keys, tokens []string, _ []*entry) error {
			return m.honestRenew(ctx, keys, tokens)
		}
	}},
}

// honestRenewals says what honestRenew would, and renews nothing.
func (m *manyLeased) honestRenewals(ctx context.Context, keys, tokens []string) error {
	return each(keys, func(_ int, key string) error {
		if last, ok := m.last.Load(key); ok && slices.Contains(tokens, last.(string)) {
			return m.stillHeld(ctx, key)
		}
		return corral.ErrLeaseLost
	})
}

// stillHeld looks with a token that nobody has.
func (m *manyLeased) stillHeld(ctx context.Context, key string) error {
	got, err := m.process.Acquire(ctx, key, request{Token: "looks", Force: true})
	if got.State == corral.LeaseHeld {
		_ = m.process.Release(ctx, key, "looks")
		return corral.ErrLeaseLost
	}
	return err
}

// silently stores as a holder does, of which other processes are not told.
func (m *manyLeased) silently(ctx context.Context, key string, e *entry) error {
	got, err := m.process.Acquire(ctx, key, request{Token: "silent", Force: true})
	if err != nil {
		return err
	}
	return m.process.Fill(ctx, key, got.Token, e)
}
