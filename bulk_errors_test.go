package corral_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

// Errors of bulk loads in every wrapping, and what each key gets of them.

// about is the KeyErrors of one key.
func about(key string, err error) *corral.KeyErrors[string] {
	return &corral.KeyErrors[string]{Errors: map[string]error{key: err}}
}

// crashed reports whether an error is that of a panic.
func crashed(err error) bool {
	var p *corral.PanicError
	return errors.As(err, &p)
}

func TestContract_B2_ErrorsOfSeveralCallsInOne(t *testing.T) {
	first, second := errors.New("first shard"), errors.New("second shard")
	values := map[string]int{"a": 1, "b": 2, "c": 3}
	err := fmt.Errorf("two shards: %w", errors.Join(about("a", first), fmt.Errorf("late: %w", about("b", second))))
	check := func(t *testing.T, got map[string]int, failed map[string]error) {
		t.Helper()
		if failed["a"] != first || failed["b"] != second {
			t.Errorf("failed: %v, want each key's own", failed)
		}
		wantMany(t, got, nil, map[string]int{"c": 3})
	}
	overBulk(t, "B2/KeyErrors joined", corral.Options{TTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
		got, err := l.GetOrLoadMany(t.Context(), letters(3), func(context.Context, []string) (map[string]int, error) { return values, err })
		check(t, got, wantFailed(t, err, "a", "b"))
	})
	bubble(t, "B2/KeyErrors joined/batcher", func(t *testing.T) {
		load := corral.NewBatcher(func(context.Context, []string) (map[string]int, error) { return values, err }, corral.BatchOptions{})
		got, failed := map[string]int{}, map[string]error{}
		for _, key := range letters(3) {
			if v, err := load(t.Context(), key); err != nil {
				failed[key] = err
			} else {
				got[key] = v
			}
		}
		check(t, got, failed)
	})
}

// A KeyErrors that was never set says nothing, and hides nothing: a failure that
// stands beside it is no absence.
func TestContract_B2_F7_AnErrorBesideNilKeyErrors(t *testing.T) {
	var none *corral.KeyErrors[string]
	for name, err := range map[string]error{
		"joined": errors.Join(none, errSource), "wrapped": fmt.Errorf("%w: %w", errSource, none),
	} {
		overBulk(t, "B2/"+name, corral.Options{TTL: time.Minute, AbsentTTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
			_, got := l.GetOrLoadMany(t.Context(), letters(2), func(context.Context, []string) (map[string]int, error) { return nil, err })
			if !errors.Is(got, errSource) {
				t.Errorf("err = %v, want %v", got, errSource)
			}
			synctest.Wait()
			v, got := l.GetOrLoad(t.Context(), "a", (&source{}).load)
			want(t, "GetOrLoad after it", v, got, 1, nil)
		})
	}
}

func TestContract_C5_Bulk_APanicWithKeyErrors(t *testing.T) {
	opts := corral.Options{TTL: time.Minute, AbsentTTL: time.Minute}
	overBulk(t, "C5/it is one of every key", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		_, err := l.GetOrLoadMany(t.Context(), letters(2), func(context.Context, []string) (map[string]int, error) {
			panic(about("a", corral.ErrNotFound))
		})
		failed := wantFailed(t, err, "a", "b")
		if !crashed(failed["a"]) || failed["a"] != failed["b"] {
			t.Errorf("failed: %v, want one PanicError", failed)
		}
	})
}

// An error that panics when it is looked into is no other key's failure.
func TestContract_B2_C5_AnErrorThatPanicsIsItsKeysAlone(t *testing.T) {
	var bad *badError
	for name, err := range map[string]error{
		"a key's": about("a", bad), "a key's, wrapped": fmt.Errorf("late: %w", about("a", bad)), "the load's": bad,
	} {
		overBulk(t, "B2/"+name, corral.Options{TTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
			got, err := l.GetOrLoadMany(t.Context(), letters(3), func(context.Context, []string) (map[string]int, error) {
				return map[string]int{"b": 2, "c": 3}, err
			})
			if failed := wantFailed(t, err, "a"); !crashed(failed["a"]) {
				t.Errorf("a failed with %v, want a PanicError", failed["a"])
			}
			wantMany(t, got, nil, map[string]int{"b": 2, "c": 3})
		})
	}
}
