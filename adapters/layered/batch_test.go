//lint:file-ignore U1000 what is embedded to hide methods is not used otherwise

package layered_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/adaptertest"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/ristrettoadapter"
)

func (c *nearCache) GetMany(ctx context.Context, keys []string) ([]entry, error) {
	if c.getErr != nil {
		return nil, c.getErr
	}
	return c.Cache.GetMany(ctx, keys)
}

func (c *nearCache) DeleteMany(ctx context.Context, keys []string) error {
	c.deletes.Add(1)
	if c.deleteErr != nil {
		return c.deleteErr
	}
	return c.Cache.DeleteMany(ctx, keys)
}

func (c *farCache) GetMany(ctx context.Context, keys []string) (entries []entry, err error) {
	c.reads.Add(1)
	failed := c.call("GetMany", func() { entries, err = c.Process.GetMany(ctx, keys) })
	return entries, cmp.Or(failed, err)
}

func (c *farCache) SetMany(ctx context.Context, keys []string, entries []entry) (err error) {
	failed := c.call("SetMany", func() { err = c.Process.SetMany(ctx, keys, entries) })
	return cmp.Or(failed, err)
}

func (c *farCache) DeleteMany(ctx context.Context, keys []string) (err error) {
	failed := c.call("DeleteMany", func() { err = c.Process.DeleteMany(ctx, keys) })
	return cmp.Or(failed, err)
}

func (c *farCache) AcquireMany(ctx context.Context, keys []string, r []corral.LeaseRequest[int]) (l []corral.Lease[int], err error) {
	failed := c.call("AcquireMany", func() { l, err = c.Process.AcquireMany(ctx, keys, r) })
	return l, cmp.Or(failed, err)
}

func (c *farCache) FillMany(ctx context.Context, keys, tokens []string, entries []entry) (err error) {
	failed := c.call("FillMany", func() { err = c.Process.FillMany(ctx, keys, tokens, entries) })
	return cmp.Or(failed, err)
}

// oneAtATime is a far cache without the calls of many keys.
type oneAtATime struct {
	corral.Cache[string, int]
	atOnce, most, calls atomic.Int64
	get                 func(key string)
}

func (*oneAtATime) Far() bool { return true }

func (o *oneAtATime) Get(ctx context.Context, key string) (entry, error) {
	o.calls.Add(1)
	if n := o.atOnce.Add(1); n > o.most.Load() {
		o.most.Store(n)
	}
	defer o.atOnce.Add(-1)
	time.Sleep(time.Millisecond)
	if o.get != nil {
		o.get(key)
	}
	return o.Cache.Get(ctx, key)
}

var keysAB = []string{"a", "b"}

func two(a, b int) []entry { return []entry{lasting(a), lasting(b)} }

// onReply runs do when far has answered op and the answer is on its way.
func onReply(p *process, op string, do func()) {
	p.far.coming = func(got string) error {
		if got == op {
			do()
		}
		return nil
	}
}

func TestManyKeysAreOneReadOfFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		p, other := hearing(t, s, layered.Options{}), s.Process()
		var keys []string
		for n := range 100 {
			keys = append(keys, fmt.Sprint(n))
			must(t, other.Set(t.Context(), keys[n], lasting(n)))
		}
		synctest.Wait()
		for _, read := range [][]string{keys[:10], keys, keys} {
			entries, err := p.GetMany(t.Context(), read)
			must(t, err)
			for n, e := range entries {
				if e == nil || e.Value != n {
					t.Fatalf("entry %d is %v", n, show(e))
				}
			}
		}
		if n := p.far.reads.Load(); n != 2 {
			t.Errorf("far was read %d times, want once for 10 keys and once for the other 90", n)
		}
		if n := layered.Gates(p.cache); n != 0 {
			t.Errorf("%d keys have something under way", n)
		}
	})
}

// A drop detaches the fill of its key, and no other of the same call.
func TestContract_W1_ManyFillsAreDetachedOneByOne(t *testing.T) {
	for name, write := range map[string]func(p *process, other *memadapter.Process[string, int]) error{
		"a Delete in another process": func(_ *process, other *memadapter.Process[string, int]) error {
			return other.Delete(context.Background(), "b")
		},
		"a Delete in this process": func(p *process, _ *memadapter.Process[string, int]) error {
			return p.Delete(context.Background(), "b")
		},
		"a DeleteMany in this process": func(p *process, _ *memadapter.Process[string, int]) error {
			return p.DeleteMany(context.Background(), []string{"b", "x"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				p, other := hearing(t, s, layered.Options{}), s.Process()
				must(t, other.SetMany(t.Context(), []string{"a", "b", "c"}, append(two(1, 2), lasting(3))))
				synctest.Wait()
				onReply(p, "GetMany", func() { must(t, write(p, other)); synctest.Wait() })
				_, err := p.GetMany(t.Context(), []string{"a", "b", "c"})
				must(t, err)
				p.wantCopy("a", 1, "after GetMany")
				p.wantNone("b", "after a GetMany during which it was deleted")
				p.wantCopy("c", 3, "after GetMany")
			})
		})
	}
}

// A read that begins while keys are written, or deleted, copies none of them.
func TestContract_W1_ReadsDuringManyWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := hearing(t, newStore(), layered.Options{})
		must(t, p.SetMany(t.Context(), keysAB, two(1, 2)))
		p.wantCopy("a", 1, "after SetMany")
		p.wantCopy("b", 2, "after SetMany")
		p.far.going = func(op string) error {
			if op == "DeleteMany" {
				p.read("a") // far has it until it is told
			}
			return nil
		}
		must(t, p.DeleteMany(t.Context(), keysAB))
		p.wantNone("a", "after DeleteMany")
		p.wantNone("b", "after DeleteMany")
		if n := layered.Gates(p.cache); n != 0 {
			t.Errorf("%d keys have something under way", n)
		}
	})
}

// Of each key near holds what became of it.
func TestManyWritesThatFailInPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := hearing(t, newStore(), layered.Options{})
		must(t, p.SetMany(t.Context(), keysAB, two(1, 2)))
		part := &corral.KeyErrors[string]{Errors: map[string]error{"b": errBoom}}
		p.far.coming = func(string) error { return part }
		if err := p.SetMany(t.Context(), keysAB, two(3, 4)); !errors.Is(err, errBoom) {
			t.Errorf("SetMany: error %v", err)
		}
		p.wantCopy("a", 3, "after a SetMany that failed for the other key")
		p.wantNone("b", "after a SetMany that failed for it")
		p.far.coming = nil
		p.near.deleteErr = errBoom
		p.near.Cache.Delete(t.Context(), "b")
		var some *corral.KeyErrors[string]
		if err := p.DeleteMany(t.Context(), keysAB); !errors.As(err, &some) || len(some.Errors) != 2 {
			t.Errorf("DeleteMany: error %v, want that near dropped nothing", err)
		}
		if err := p.SetMany(t.Context(), keysAB, two(5, 6)); !errors.As(err, &some) || len(some.Errors) != 2 {
			t.Errorf("SetMany: error %v, want that near dropped nothing", err)
		}
	})
}

// An error beside a KeyErrors is that of the keys that it does not name.
func TestContract_W3_AnErrorJoinedToKeyErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := hearing(t, newStore(), layered.Options{})
		must(t, p.Set(t.Context(), "c", lasting(3)))
		lost := errors.New("the connection broke")
		p.far.coming = func(string) error {
			return errors.Join(&corral.KeyErrors[string]{Errors: map[string]error{"b": errBoom}}, lost)
		}
		var some *corral.KeyErrors[string]
		if _, err := p.GetMany(t.Context(), []string{"a", "b", "c"}); !errors.As(err, &some) || len(some.Errors) != 2 || !errors.Is(some.Errors["a"], lost) || some.Errors["b"] != errBoom {
			t.Errorf("GetMany: error %v", err)
		}
		if err := p.DeleteMany(t.Context(), keysAB); !errors.Is(err, lost) {
			t.Errorf("DeleteMany: error %v", err)
		}
	})
}

// An error of near is a miss and is told; one of far is that of the keys near has not.
func TestManyReadsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []error
		p := newProcess(t, newStore(), layered.Options{NearError: func(err error) { told = append(told, err) }})
		must(t, p.SetMany(t.Context(), keysAB, two(1, 2)))
		p.near.getErr = errBoom
		entries, err := p.GetMany(t.Context(), keysAB)
		must(t, err)
		if entries[0].Value != 1 || entries[1].Value != 2 || len(told) != 1 {
			t.Errorf("entries %v and %v, %d errors told, want both and one", show(entries[0]), show(entries[1]), len(told))
		}
		p.near.getErr = nil
		p.far.going = func(string) error { return errBoom }
		entries, err = p.GetMany(t.Context(), []string{"a", "new", "b"})
		var some *corral.KeyErrors[string]
		if !errors.As(err, &some) || len(some.Errors) != 1 || !errors.Is(some.Errors["new"], errBoom) {
			t.Errorf("error %v, want one of the key that near has not", err)
		}
		if entries[0] == nil || entries[1] != nil || entries[2] == nil {
			t.Errorf("entries %v, want the two that near has", entries)
		}
	})
}

// FillMany and AcquireMany copy as Fill and Acquire do, each key for itself.
func TestManyLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		p, other := hearing(t, s, layered.Options{}), s.Process()
		must(t, other.Set(t.Context(), "stored", lasting(7)))
		synctest.Wait()
		keys := []string{"stored", "a", "b"}
		l, err := p.AcquireMany(t.Context(), keys, []corral.LeaseRequest[int]{{Token: "1"}, {Token: "2"}, {Token: "3"}})
		must(t, err)
		p.wantCopy("stored", 7, "after AcquireMany found it changed")
		must(t, other.Delete(t.Context(), "b"))
		synctest.Wait()
		tokens := []string{l[1].Token, l[2].Token}
		must(t, p.RenewMany(t.Context(), keys[1:2], tokens[:1]))
		var some *corral.KeyErrors[string]
		err = p.FillMany(t.Context(), keys[1:], tokens, two(1, 2))
		if !errors.As(err, &some) || len(some.Errors) != 1 || !errors.Is(some.Errors["b"], corral.ErrLeaseLost) {
			t.Errorf("FillMany: error %v, want ErrLeaseLost of b alone", err)
		}
		p.wantCopy("a", 1, "after FillMany")
		p.wantNone("b", "after a FillMany whose lease was lost")
		must(t, p.ReleaseMany(t.Context(), keys[1:], tokens))
	})
}

// Over a far cache that takes one key at a time, some calls run at once, and what
// becomes of one is its key's alone.
func TestManyKeysOverAFarCacheOfSingleOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := &oneAtATime{Cache: memadapter.New[string, int]()}
		c := layered.New(memadapter.New[string, int](), far, layered.Options{})
		var keys []string
		var list []entry
		for n := range 100 {
			keys, list = append(keys, fmt.Sprint(n)), append(list, lasting(n))
		}
		far.get = func(key string) {
			switch key {
			case "7":
				panic("far")
			case "8":
				runtime.Goexit()
			}
		}
		must(t, far.Cache.(*memadapter.Cache[string, int]).SetMany(t.Context(), keys, list))
		entries, err := c.GetMany(t.Context(), keys)
		var some *corral.KeyErrors[string]
		if !errors.As(err, &some) || len(some.Errors) != 2 || some.Errors["7"] == nil || some.Errors["8"] == nil {
			t.Errorf("error %v, want those of the two calls that did not return", err)
		}
		if entries[9] == nil || entries[9].Value != 9 || entries[7] != nil {
			t.Errorf("entry 9 is %v, entry 7 %v", show(entries[9]), show(entries[7]))
		}
		if most := far.most.Load(); most != 16 {
			t.Errorf("%d calls at once, want 16", most)
		}
		must(t, c.SetMany(t.Context(), keys, list))
		must(t, c.DeleteMany(t.Context(), keys))
		if e, _ := far.Cache.Get(t.Context(), "3"); e != nil {
			t.Error("far has an entry after DeleteMany")
		}
		near, back := c.Layers()
		if _, ok := near.(corral.BatchCache[string, int]); !ok {
			t.Errorf("%T is no BatchCache, and near is", near)
		}
		if _, ok := back.(corral.BatchCache[string, int]); ok {
			t.Errorf("%T is a BatchCache, and far is not", back)
		}
		if l, err := c.AcquireMany(t.Context(), keys[:1], make([]corral.LeaseRequest[int], 1)); err == nil {
			t.Errorf("leases %v of a far cache that gives none", l)
		}
	})
}

func TestManyKeysWithOtherNumbersOfEntries(t *testing.T) {
	p := newProcess(t, newStore(), layered.Options{})
	ctx := context.Background()
	_, acquire := p.AcquireMany(ctx, keysAB, nil)
	for name, err := range map[string]error{
		"SetMany": p.SetMany(ctx, keysAB, nil), "AcquireMany": acquire, "RenewMany": p.RenewMany(ctx, keysAB, nil),
		"FillMany": p.FillMany(ctx, keysAB, nil, two(1, 2)), "ReleaseMany": p.ReleaseMany(ctx, keysAB, nil),
	} {
		if err == nil {
			t.Errorf("%s of two keys with nothing for them is no error", name)
		}
	}
}

// Two processes, over far caches with and without the calls of many keys.
func TestContract_A6_ConformanceOfManyKeys(t *testing.T) {
	for name, far := range map[string]func(p *memadapter.Process[string, string]) corral.Cache[string, string]{
		"at once": func(p *memadapter.Process[string, string]) corral.Cache[string, string] { return p },
		"one by one": func(p *memadapter.Process[string, string]) corral.Cache[string, string] {
			return single{Process: p}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var store *memadapter.Shared[string, string]
			open := func(t *testing.T) corral.Cache[string, string] {
				near := ristrettoadapter.New(openRistretto[string](t), ristrettoadapter.Options[string]{})
				return layered.New(near, far(store.Process()), layered.Options{})
			}
			adaptertest.Run(t, adaptertest.Config[string, string]{
				Linger: 3 * time.Second,
				New: func(t *testing.T) corral.Cache[string, string] {
					store = memadapter.NewShared[string, string](2 * time.Second)
					return open(t)
				},
				Other: open,
			})
		})
	}
}

// single is a Process without its calls of many keys: what is there twice is not
// there at all.
type single struct {
	*memadapter.Process[string, string]
	oneByOne
}

type oneByOne struct{}

func (oneByOne) GetMany()     {}
func (oneByOne) SetMany()     {}
func (oneByOne) DeleteMany()  {}
func (oneByOne) AcquireMany() {}
func (oneByOne) RenewMany()   {}
func (oneByOne) FillMany()    {}
func (oneByOne) ReleaseMany() {}
