package corral_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

func TestNewRefusesOptionsThatCannotWork(t *testing.T) {
	ok := corral.Options{TTL: time.Second}
	for name, test := range map[string]struct {
		change func(o *corral.Options)
		field  string
		value  any
		bound  string
	}{
		"zero TTL":              {func(o *corral.Options) { o.TTL = 0 }, "TTL", time.Duration(0), "above zero"},
		"negative TTL":          {func(o *corral.Options) { o.TTL = -1 }, "TTL", time.Duration(-1), "above zero"},
		"negative StaleFor":     {func(o *corral.Options) { o.StaleFor = -2 }, "StaleFor", time.Duration(-2), "negative"},
		"negative StaleIfError": {func(o *corral.Options) { o.StaleIfError = -2 }, "StaleIfError", time.Duration(-2), "negative"},
		"negative AbsentTTL":    {func(o *corral.Options) { o.AbsentTTL = -2 }, "AbsentTTL", time.Duration(-2), "negative"},
		"negative LoadTimeout":  {func(o *corral.Options) { o.LoadTimeout = -2 }, "LoadTimeout", time.Duration(-2), "negative"},
		"negative SoftTimeout":  {func(o *corral.Options) { o.SoftTimeout = -2 }, "SoftTimeout", time.Duration(-2), "negative"},
		"negative RetryMin":     {func(o *corral.Options) { o.RetryMin = -2 }, "RetryMin", time.Duration(-2), "negative"},
		"negative RetryMax":     {func(o *corral.Options) { o.RetryMax = -2 }, "RetryMax", time.Duration(-2), "negative"},
		"negative CacheTimeout": {func(o *corral.Options) { o.CacheTimeout = -2 }, "CacheTimeout", time.Duration(-2), "negative"},
		"negative MaxLoads":     {func(o *corral.Options) { o.MaxLoads = -3 }, "MaxLoads", -3, "negative"},
		"negative MaxRefreshes": {func(o *corral.Options) { o.MaxRefreshes = -3 }, "MaxRefreshes", -3, "negative"},
		"negative MaxBatch":     {func(o *corral.Options) { o.MaxBatch = -3 }, "MaxBatch", -3, "negative"},
		"negative Shards":       {func(o *corral.Options) { o.Shards = -3 }, "Shards", -3, "negative"},
		"too many Shards":       {func(o *corral.Options) { o.Shards = 1<<16 + 1 }, "Shards", 1<<16 + 1, "65536"},
		"negative EarlyExpiry":  {func(o *corral.Options) { o.EarlyExpiry = -0.5 }, "EarlyExpiry", -0.5, "zero or above"},
		"infinite EarlyExpiry":  {func(o *corral.Options) { o.EarlyExpiry = math.Inf(1) }, "EarlyExpiry", math.Inf(1), "finite"},
		"NaN EarlyExpiry":       {func(o *corral.Options) { o.EarlyExpiry = math.NaN() }, "EarlyExpiry", nil, "finite"},
		"negative Jitter":       {func(o *corral.Options) { o.Jitter = -0.1 }, "Jitter", -0.1, "from 0 to 1"},
		"Jitter above 1":        {func(o *corral.Options) { o.Jitter = 1.1 }, "Jitter", 1.1, "from 0 to 1"},
		"NaN Jitter":            {func(o *corral.Options) { o.Jitter = math.NaN() }, "Jitter", nil, "from 0 to 1"},
		"RetryMin above RetryMax": {func(o *corral.Options) { o.RetryMin, o.RetryMax = 2*time.Second, time.Second },
			"RetryMin", 2 * time.Second, "RetryMax, 1s"},
		"SoftTimeout without StaleIfError": {func(o *corral.Options) { o.SoftTimeout = time.Second },
			"SoftTimeout", time.Second, "StaleIfError"},
	} {
		t.Run(name, func(t *testing.T) {
			opts := ok
			test.change(&opts)
			_, err := corral.New(memadapter.New[string, int](), opts)
			var wrong *corral.OptionError
			if !errors.As(err, &wrong) || wrong.Field != "Options."+test.field || !strings.Contains(wrong.Bound, test.bound) {
				t.Fatalf("New: %v, want an OptionError for %s that says %q", err, test.field, test.bound)
			}
			if test.value != nil && wrong.Value != test.value {
				t.Errorf("the value is %v, want %v", wrong.Value, test.value)
			}
		})
	}
}

func TestNewTakesEveryOtherCombination(t *testing.T) {
	const most = math.MaxInt64
	for name, opts := range map[string]corral.Options{
		"the least": {TTL: 1},
		"the most": {
			TTL: most, StaleFor: most, StaleIfError: most, AbsentTTL: most, EarlyExpiry: math.MaxFloat64, Jitter: 1,
			LoadTimeout: most, SoftTimeout: most, RetryMin: most, RetryMax: most, CacheTimeout: most,
			MaxLoads: math.MaxInt, MaxRefreshes: math.MaxInt, MaxBatch: math.MaxInt, Shards: 1 << 16,
		},
		"RetryMin above the default RetryMax":  {TTL: 1, RetryMin: time.Minute},
		"RetryMax below the default RetryMin":  {TTL: 1, RetryMax: time.Millisecond},
		"CacheTimeout and LoadTimeout of 1 ns": {TTL: 1, CacheTimeout: 1, LoadTimeout: 1},
	} {
		bubble(t, name, func(t *testing.T) {
			l := memLoader(t, opts)
			for range 3 {
				l.GetOrLoad(t.Context(), "", func(context.Context, string) (int, error) { return 1, nil })
				time.Sleep(time.Millisecond)
			}
		})
	}
}

func TestNilArguments(t *testing.T) {
	if _, err := corral.New[string, int](nil, corral.Options{TTL: 1}); err == nil {
		t.Error("New took a nil cache")
	}
	var typed *memadapter.Cache[string, int]
	if _, err := corral.New(typed, corral.Options{TTL: 1}); err == nil {
		t.Error("New took a nil pointer to a cache")
	}
	if _, err := corral.New[string, int](uncheckable{}, corral.Options{TTL: 1}); err == nil {
		t.Error("New took a cache whose Check panics")
	}
	l := memLoader(t, corral.Options{TTL: time.Minute})
	load := func(context.Context, string) (int, error) { return 1, nil }
	many := func(context.Context, []string) (map[string]int, error) { return nil, nil }
	var none context.Context
	for name, call := range map[string]func() error{
		"GetOrLoad, no context":     func() error { _, err := l.GetOrLoad(none, "k", load); return err },
		"GetOrLoad, no load":        func() error { _, err := l.GetOrLoad(t.Context(), "k", nil); return err },
		"GetOrLoadMany, no context": func() error { _, err := l.GetOrLoadMany(none, []string{"k"}, many); return err },
		"GetOrLoadMany, no load":    func() error { _, err := l.GetOrLoadMany(t.Context(), []string{"k"}, nil); return err },
		"Lookup, no context":        func() error { _, err := l.Lookup(none, "k", load); return err },
		"Lookup, no load":           func() error { _, err := l.Lookup(t.Context(), "k", nil); return err },
		"Refresh, no context":       func() error { _, err := l.Refresh(none, "k", load); return err },
		"Refresh, no load":          func() error { _, err := l.Refresh(t.Context(), "k", nil); return err },
		"Set, no context":           func() error { return l.Set(none, "k", 1) },
		"Delete, no context":        func() error { return l.Delete(none, "k") },
		"Close, no context":         func() error { return l.Close(none) },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "nil") {
			t.Errorf("%s: %v, want an error that says what is nil", name, err)
		}
	}
	if err := l.Delete(t.Context()); err != nil {
		t.Errorf("Delete of nothing: %v", err)
	}
	if _, ok := corral.FromContext[int](none); ok {
		t.Error("FromContext found a control in a nil context")
	}
	if corral.Chain[string, int](nil) != nil {
		t.Error("Chain made a load of nil")
	}
}

// The Loaders of one Options value share nothing.
func TestOptionsAreNotShared(t *testing.T) {
	opts := corral.Options{TTL: time.Minute}
	a, b := memLoader(t, opts), memLoader(t, opts)
	get(t, a, "k", (&source{}).load)
	if s := b.Stats(); s != (corral.Stats{}) {
		t.Errorf("a call of one Loader counts in another: %+v", s)
	}
	if opts.LoadTimeout != 0 {
		t.Error("New changed the caller's Options")
	}
}

// uncheckable is a cache whose Check panics.
type uncheckable struct{ *farCache }

func (uncheckable) Check() error { panic("no client") }
