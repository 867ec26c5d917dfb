package corral_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// wrapped learns what it can do when it is made: its own methods are not asked.
type wrapped struct {
	corral.Cache[string, string]
	as func() corral.Cache[string, string]
}

func (w wrapped) AsCache() corral.Cache[string, string] { return w.as() }
func (w wrapped) Check() error                          { return errors.New("not to be asked") }

func TestNewTakesAWrapperForWhatItIs(t *testing.T) {
	plain := memadapter.Plain[string, string]()
	l, err := corral.New(wrapped{as: func() corral.Cache[string, string] { return plain }}, corral.Options{TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Set(context.Background(), "key", "value"); err != nil {
		t.Fatal(err)
	}
	value, life, ok, _ := plain.GetValue(context.Background(), "key")
	if !ok || value != "value" || life <= 0 {
		t.Errorf("the cache of bare values holds %q, %v for %v", value, ok, life)
	}
}

func TestNewRefusesAWrapperOfNothing(t *testing.T) {
	var option *corral.OptionError
	_, err := corral.New(wrapped{as: func() corral.Cache[string, string] { return nil }}, corral.Options{TTL: time.Minute})
	if !errors.As(err, &option) {
		t.Errorf("the error is %v, want an OptionError", err)
	}
	var panicked *corral.PanicError
	_, err = corral.New(wrapped{as: func() corral.Cache[string, string] { panic("no") }}, corral.Options{TTL: time.Minute})
	if !errors.As(err, &panicked) {
		t.Errorf("the error is %v, want a PanicError", err)
	}
}
