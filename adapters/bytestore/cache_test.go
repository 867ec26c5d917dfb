package bytestore_test

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/bytestore"
)

func newShelf() *Shelf { return &Shelf{bytes: map[string][]byte{}} }

func users(store bytestore.Store) *bytestore.Cache[int, User] {
	return bytestore.New(store, bytestore.Options[int, User]{Prefix: "users"})
}

func fresh[V any](v V) *corral.Entry[V] {
	return &corral.Entry[V]{Value: v, LoadedAt: time.Now(), LoadTime: time.Second, TTL: time.Minute, Keep: time.Hour}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCacheKeepsAnEntryWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := users(newShelf())
		want := fresh(User{Name: "Ann"})
		time.Sleep(time.Second)
		must(t, c.Set(t.Context(), 42, want))
		time.Sleep(time.Minute + 1)
		got, err := c.Get(t.Context(), 42)
		must(t, err)
		wantSame(t, got, want)
	})
}

// A store that ends no lives still serves nothing that is over.
func TestCacheEndsAnEntryAtKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := users(newShelf())
		must(t, c.Set(t.Context(), 1, fresh(User{})))
		time.Sleep(time.Hour - 1)
		if e, err := c.Get(t.Context(), 1); e == nil || err != nil {
			t.Errorf("a nanosecond before its end: %v, %v", e, err)
		}
		time.Sleep(1)
		if e, err := c.Get(t.Context(), 1); e != nil || err != nil {
			t.Errorf("at its end: %v, %v; want a miss", e, err)
		}
	})
}

// lives records the lives that it is given.
type lives struct {
	*Shelf
	got []time.Duration
}

func (l *lives) Set(ctx context.Context, key string, value []byte, life time.Duration) error {
	l.got = append(l.got, life)
	return l.Shelf.Set(ctx, key, value, life)
}

// P15: a life that is not what is left, or that is zero and stands for ever.
//
// Red when set, in cache.go, gives the store all of Keep.
func TestPeers_P15_LivesAreWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &lives{Shelf: newShelf()}
		c := users(store)
		loadedAt := time.Now()
		time.Sleep(time.Second)
		for _, keep := range []time.Duration{time.Second + 1, 1500 * time.Millisecond, math.MaxInt64} {
			must(t, c.Set(t.Context(), 1, &corral.Entry[User]{LoadedAt: loadedAt, TTL: keep, Keep: keep}))
		}
		must(t, c.Set(t.Context(), 1, &corral.Entry[User]{Keep: math.MaxInt64})) // age unknown
		must(t, c.Set(t.Context(), 1, &corral.Entry[User]{LoadedAt: time.Now().Add(time.Hour), Keep: time.Minute}))
		want := []time.Duration{1, 500 * time.Millisecond, math.MaxInt64 - time.Second, math.MaxInt64, time.Minute}
		if !slices.Equal(store.got, want) {
			t.Errorf("lives %v, want %v", store.got, want)
		}
	})
}

// Storing what is over, or is refused, must not leave the older value behind.
func TestSetOfWhatIsNotStoredRemovesWhatStood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newShelf()
		c := bytestore.New(store, bytestore.Options[int, string]{MaxValueBytes: 100})
		for name, e := range map[string]*corral.Entry[string]{
			"no keep":       {Value: "v", LoadedAt: time.Now()},
			"negative keep": {Value: "v", LoadedAt: time.Now(), Keep: math.MinInt64},
			"over":          {Value: "v", LoadedAt: time.Now().Add(-time.Hour), Keep: time.Hour},
			"too large":     fresh(strings.Repeat("v", 100)),
		} {
			must(t, c.Set(t.Context(), 1, fresh("old")))
			err := c.Set(t.Context(), 1, e)
			if refused := name == "too large"; errors.Is(err, corral.ErrRefused) != refused || !refused && err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if len(store.bytes) != 0 {
				t.Errorf("%s: the store still holds something", name)
			}
		}
	})
}

func TestARefusalWhoseDeleteFailsIsAFailure(t *testing.T) {
	fault := errors.New("fault")
	c := bytestore.New(&faulty{err: fault}, bytestore.Options[int, string]{MaxValueBytes: 1})
	if err := c.Set(t.Context(), 1, fresh("v")); !errors.Is(err, fault) || errors.Is(err, corral.ErrRefused) {
		t.Errorf("err = %v, want the store's", err)
	}
}

func TestPrefixesNeverMeet(t *testing.T) {
	names := map[string][2]string{}
	parts := []string{"", ":", "a", "b:c", "a:b", "c", "1:a", "0::", "1:a:b", "a:", ":a"}
	for _, prefix := range parts {
		for _, key := range parts {
			store := newShelf()
			c := bytestore.New(store, bytestore.Options[string, string]{Prefix: prefix})
			must(t, c.Set(t.Context(), key, fresh("v")))
			name := slices.Collect(maps.Keys(store.bytes))[0]
			if other, taken := names[name]; taken {
				t.Errorf("%q and %q share %q", other, [2]string{prefix, key}, name)
			}
			names[name] = [2]string{prefix, key}
		}
	}
}

func TestContract_A5_ReadsNoOtherKeysEntry(t *testing.T) {
	store := newShelf()
	c := users(store)
	must(t, c.Set(t.Context(), 1, fresh(User{Name: "Ann"})))
	store.bytes["5:users:2"] = store.bytes["5:users:1"]
	if e, err := c.Get(t.Context(), 2); e != nil || !errors.Is(err, corral.ErrUndecodable) {
		t.Errorf("Get = %v, %v; want ErrUndecodable", e, err)
	}
	must(t, c.Set(t.Context(), 2, fresh(User{Name: "Bob"})))
	if e, err := c.Get(t.Context(), 2); err != nil || e.Value.Name != "Bob" {
		t.Errorf("Get = %v, %v; a Set should heal", e, err)
	}
}

type id uint16

func TestKeysOfEveryKind(t *testing.T) {
	wantName(t, "0::ann", name("ann"))
	wantName(t, "0::", "")
	wantName(t, "0::-9223372036854775808", int64(math.MinInt64))
	wantName(t, "0::18446744073709551615", uint64(math.MaxUint64))
	wantName(t, "0::7", id(7))
	wantName(t, "0::97", 'a')
	wantName(t, "0::9", uintptr(9))
}

func wantName[K comparable](t *testing.T, want string, key K) {
	t.Helper()
	store := newShelf()
	c := bytestore.New(store, bytestore.Options[K, string]{})
	must(t, c.Check())
	must(t, c.Set(t.Context(), key, fresh("v")))
	if names := slices.Collect(maps.Keys(store.bytes)); !slices.Equal(names, []string{want}) {
		t.Errorf("stored under %q, want %q", names, want)
	}
}

func TestCheckNamesWhatCannotWork(t *testing.T) {
	var none *Shelf
	type point struct{ X, Y int }
	for _, c := range []struct {
		name  string
		cache interface {
			Check() error
			Far() bool
		}
		want string
	}{
		{"no store", users(nil), "bytestore.New: store is nil: required"},
		{"a nil pointer", users(none), "bytestore.New: store is nil: required"},
		{"a struct key", bytestore.New(newShelf(), bytestore.Options[point, User]{}), "Options.Key is nil: required"},
		{"a float key", bytestore.New(newShelf(), bytestore.Options[float64, User]{}), "float64"},
		{"an interface key", bytestore.New(newShelf(), bytestore.Options[any, User]{}), "interface {}"},
		{
			"a negative bound",
			bytestore.New(newShelf(), bytestore.Options[int, User]{MaxValueBytes: -1}),
			"MaxValueBytes is -1: must be from 0",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.cache.Check()
			var fault *corral.OptionError
			if !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Check = %v, want %q", err, c.want)
			}
		})
	}
}

// Whoever does not ask Check gets its answer from every call.
func TestABrokenCacheNeverPanics(t *testing.T) {
	c := users(nil)
	_, err := c.Get(t.Context(), 1)
	for call, err := range map[string]error{
		"Get": err, "Set": c.Set(t.Context(), 1, fresh(User{})), "Delete": c.Delete(t.Context(), 1),
	} {
		if !errors.Is(err, c.Check()) {
			t.Errorf("%s: %v, want what Check says", call, err)
		}
	}
	if err := users(newShelf()).Set(t.Context(), 1, nil); err == nil {
		t.Error("a nil entry was stored")
	}
	var noCodec *jsonPointer
	typed := bytestore.New(newShelf(), bytestore.Options[int, User]{Codec: noCodec})
	must(t, typed.Set(t.Context(), 1, fresh(User{})))
}

// jsonPointer is a codec whose methods need a receiver that is not nil.
type jsonPointer struct{ bytestore.Codec[User] }

// faulty is a store whose calls fail, panic, or take for ever.
type faulty struct {
	err   error
	panic any
	hang  time.Duration
}

func (f *faulty) call() error {
	time.Sleep(f.hang)
	if f.panic != nil {
		panic(f.panic)
	}
	return f.err
}

func (f *faulty) Get(context.Context, string) ([]byte, bool, error) { return nil, false, f.call() }
func (f *faulty) Set(context.Context, string, []byte, time.Duration) error {
	return f.call()
}
func (f *faulty) Delete(context.Context, string) error { return f.call() }

// calls runs every call of a cache and gives each the error to judge.
func calls(t *testing.T, c *bytestore.Cache[int, User], ctx context.Context, judge func(string, error)) {
	t.Helper()
	e, err := c.Get(ctx, 1)
	if e != nil {
		t.Errorf("Get = %v", e)
	}
	judge("Get", err)
	judge("Set", c.Set(ctx, 1, fresh(User{})))
	judge("Delete", c.Delete(ctx, 1))
}

func TestContract_A1_ErrorsOfTheStoreAreReturned(t *testing.T) {
	fault := errors.New("fault")
	calls(t, users(&faulty{err: fault}), t.Context(), func(call string, err error) {
		if !errors.Is(err, fault) {
			t.Errorf("%s: %v, want the store's error", call, err)
		}
	})
}

func TestAStoreThatPanicsIsAnError(t *testing.T) {
	calls(t, users(&faulty{panic: "boom"}), t.Context(), func(call string, err error) {
		if p := (*corral.PanicError)(nil); !errors.As(err, &p) {
			t.Errorf("%s: %v, want a PanicError", call, err)
		}
	})
	c := bytestore.New(newShelf(), bytestore.Options[int, User]{Key: func(int) string { panic("boom") }})
	calls(t, c, t.Context(), func(call string, err error) {
		if err == nil || !strings.Contains(err.Error(), "the Key function panicked") {
			t.Errorf("%s: %v, want the panic of the Key function", call, err)
		}
	})
}

func TestAStoreThatHangsHoldsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls(t, users(&faulty{hang: time.Hour}), timeout(t, time.Second), func(call string, err error) {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v, want the deadline's error", call, err)
			}
		})
		time.Sleep(2 * time.Hour)
	})
}

func timeout(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
