package adaptertest

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

type (
	scanItem = corral.ScanItem[string, string]
	scanCall = func(ctx context.Context, cursor string, count int, keysOnly bool) ([]scanItem, string, error)
)

// scanned is a cache with its scans replaced.
type scanned struct {
	*memadapter.Cache[string, string]
	scan  scanCall
	check func() error
}

func (s *scanned) ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) ([]scanItem, string, error) {
	return s.scan(ctx, cursor, count, keysOnly)
}

func (s *scanned) CheckScan() error { return s.check() }

// honest returns a cache whose scans are as they should be.
func honest() *scanned {
	s := &scanned{Cache: memadapter.New[string, string]()}
	s.scan, s.check = s.Cache.ScanPage, func() error { return nil }
	return s
}

// changing changes each page, before it is returned.
func changing(change func(items []scanItem, keysOnly bool) []scanItem) func(*scanned) {
	return func(s *scanned) {
		s.scan = func(ctx context.Context, cursor string, count int, keysOnly bool) ([]scanItem, string, error) {
			items, next, err := s.Cache.ScanPage(ctx, cursor, count, keysOnly)
			return change(items, keysOnly), next, err
		}
	}
}

var brokenScans = []struct {
	name, clause string
	spoil        func(s *scanned)
}{
	{"one page", "scan", func(s *scanned) {
		s.scan = func(ctx context.Context, cursor string, count int, keysOnly bool) ([]scanItem, string, error) {
			items, _, err := s.Cache.ScanPage(ctx, cursor, count, keysOnly)
			return items, "", err
		}
	}},
	{"without an end", "scan", func(s *scanned) {
		s.scan = func(ctx context.Context, _ string, count int, keysOnly bool) ([]scanItem, string, error) {
			items, _, err := s.Cache.ScanPage(ctx, "", count, keysOnly)
			return items, "again", err
		}
	}},
	{"the first of each page lost", "scan", changing(func(items []scanItem, _ bool) []scanItem { return items[min(1, len(items)):] })},
	{"a key of its own", "scan", changing(func(items []scanItem, _ bool) []scanItem {
		return append(items, scanItem{Key: "clock", Entry: new(entry)})
	})},
	{"without entries", "scan", changing(func(items []scanItem, _ bool) []scanItem {
		for i := range items {
			items[i].Entry = nil
		}
		return items
	})},
	{"TTL lost", "scan", changing(func(items []scanItem, keysOnly bool) []scanItem {
		for i := range items {
			if !keysOnly {
				e := *items[i].Entry
				e.TTL, items[i].Entry = 0, &e
			}
		}
		return items
	})},
	{"an error in the middle", "scan", func(s *scanned) {
		s.scan = func(ctx context.Context, cursor string, count int, keysOnly bool) ([]scanItem, string, error) {
			if cursor != "" {
				return nil, "", errors.New("the server said so")
			}
			return s.Cache.ScanPage(ctx, cursor, count, keysOnly)
		}
	}},
	{"keysOnly not looked at", "scan-keys", func(s *scanned) {
		s.scan = func(ctx context.Context, cursor string, count int, _ bool) ([]scanItem, string, error) {
			return s.Cache.ScanPage(ctx, cursor, count, false)
		}
	}},
	{"keys lost", "scan-keys", changing(func(items []scanItem, keysOnly bool) []scanItem {
		if keysOnly {
			return items[min(1, len(items)):]
		}
		return items
	})},
	{"any count", "scan-bounds", func(s *scanned) {
		s.scan = func(ctx context.Context, cursor string, count int, keysOnly bool) ([]scanItem, string, error) {
			return s.Cache.ScanPage(ctx, cursor, min(max(1, count), corral.MaxScanCount), keysOnly)
		}
	}},
	{"any cursor", "scan-bounds", func(s *scanned) {
		s.scan = func(ctx context.Context, cursor string, count int, keysOnly bool) ([]scanItem, string, error) {
			if items, next, err := s.Cache.ScanPage(ctx, cursor, count, keysOnly); err == nil || count < 1 || count > corral.MaxScanCount {
				return items, next, err
			}
			return s.Cache.ScanPage(ctx, "", count, keysOnly)
		}
	}},
	{"able once", "scan-bounds", func(s *scanned) {
		calls := 0
		s.check = func() error {
			if calls++; calls > 2 {
				return errors.New("no more")
			}
			return nil
		}
	}},
	{"a cursor that counts", "scan-concurrent", func(s *scanned) {
		s.scan = func(ctx context.Context, cursor string, count int, keysOnly bool) ([]scanItem, string, error) {
			all, _, err := s.Cache.ScanPage(ctx, "", corral.MaxScanCount, keysOnly)
			from, _ := strconv.Atoi(cursor)
			from = min(2*from, len(all)) // as if half of those before were gone
			to := min(from+count, len(all))
			if to == len(all) {
				return all[from:], "", err
			}
			return all[from:to], strconv.Itoa(to), err
		}
	}},
}

func TestBrokenScansAreCaught(t *testing.T) {
	for _, tt := range brokenScans {
		t.Run(tt.name, func(t *testing.T) { wantFallen(t, tt.clause, scanConfig(tt.spoil)) })
	}
}

func TestHonestScans(t *testing.T) {
	if said := fallen(t, "", scanConfig(func(*scanned) {})); len(said) > 0 {
		t.Errorf("fell: %v", said)
	}
}

// What cannot enumerate with its options is not asked to.
func TestScansThatAreOff(t *testing.T) {
	off := &corral.OptionError{Field: "Options.Enumerable", Value: false, Bound: "must be true"}
	said := fallen(t, "", scanConfig(func(s *scanned) {
		s.check = func() error { return off }
		s.scan = func(context.Context, string, int, bool) ([]scanItem, string, error) { return nil, "", off }
	}))
	if len(said) > 0 {
		t.Errorf("fell: %v", said)
	}
}

func TestAWrapperThatHidesScansIsCaught(t *testing.T) {
	inner := honest()
	cfg := scanConfig(func(*scanned) {})
	cfg.New = func(*testing.T) cache { return struct{ cache }{inner} }
	cfg.Inner = func() []any { return []any{inner} }
	wantFallen(t, "wrapper", cfg)
}

func scanConfig(spoil func(*scanned)) Config[string, string] {
	return Config[string, string]{New: func(*testing.T) cache {
		s := honest()
		spoil(s)
		return s
	}}
}
