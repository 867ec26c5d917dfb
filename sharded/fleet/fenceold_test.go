package fleet_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// bareServer is a shard of bare values that restarts with what it held, and cannot be
// scanned if shut.
type bareServer struct {
	*memadapter.PlainCache[string, string]
	run  string
	shut bool
}

func (b *bareServer) Far() bool { return true }

func (b *bareServer) Incarnation(context.Context) (string, error) { return b.run, nil }

func (b *bareServer) CheckScan() error {
	if b.shut {
		return errDown
	}
	return nil
}

// ScanPage has small pages, so that there are several.
func (b *bareServer) ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) ([]corral.ScanItem[string, string], string, error) {
	return b.PlainCache.ScanPage(ctx, cursor, min(count, 3), keysOnly)
}

func (b *bareServer) holds(t *testing.T, key string) bool {
	t.Helper()
	_, _, ok, err := b.PlainCache.GetValue(t.Context(), key)
	must(t, err)
	return ok
}

// Of bare values nobody knows when they were loaded: when their shard has come back old
// all are misses until all are deleted, or, where it cannot be scanned, until an operator
// has emptied it, or MaxLife is over.
func TestIncarnationOfBareValues(t *testing.T) {
	for name, c := range map[string]struct {
		shut, operator bool
	}{"swept": {}, "emptied": {shut: true, operator: true}, "outlived": {shut: true}} {
		synctest.Test(t, func(t *testing.T) {
			old := &bareServer{memadapter.Plain[string, string](), "run 1", c.shut}
			f, _ := open(t, equal(2), fleet.Options[string]{MaxLife: time.Hour}, func(i int) corral.Cache[string, string] {
				if i == 0 {
					return old
				}
				return &bareServer{memadapter.Plain[string, string](), "run 1", false}
			})
			keys := keysOn(f, 2, 20)
			bare := f.AsCache().(corral.PlainCache[string, string])
			for _, on := range keys {
				for _, key := range on {
					must(t, bare.SetValue(t.Context(), key, "old", time.Hour))
				}
			}
			for _, on := range keys {
				if v, _, ok, err := bare.GetValue(t.Context(), on[0]); v != "old" || !ok || err != nil {
					t.Fatalf("%s: GetValue = %q, %v, %v", name, v, ok, err)
				}
			}
			old.run = "run 2"
			time.Sleep(2 * time.Second)
			for _, key := range keys[0] {
				if v, _, ok, err := bare.GetValue(t.Context(), key); ok || err != nil {
					t.Errorf("%s: GetValue = %q, %v, %v", name, v, ok, err)
				}
			}
			synctest.Wait()
			for _, key := range keys[0] {
				if old.holds(t, key) != c.shut {
					t.Errorf("%s: the shard holds what it held: %v", name, !c.shut)
				}
			}
			switch {
			case c.operator:
				for _, key := range keys[0] {
					must(t, old.PlainCache.Delete(t.Context(), key))
				}
				must(t, f.SetState(t.Context(), "s00", fleet.StateHealthy))
			case c.shut:
				time.Sleep(time.Hour)
			}
			must(t, bare.SetValue(t.Context(), keys[0][0], "new", time.Hour))
			if v, _, ok, err := bare.GetValue(t.Context(), keys[0][0]); v != "new" || !ok || err != nil {
				t.Errorf("%s: what was stored since is %q, %v, %v", name, v, ok, err)
			}
			if v, _, ok, err := bare.GetValue(t.Context(), keys[1][0]); !c.shut && (v != "old" || !ok || err != nil) {
				t.Errorf("%s: of another shard GetValue = %q, %v, %v", name, v, ok, err)
			}
			if s := f.Health()[0]; s.FencedAll || s.Out {
				t.Errorf("%s: it is %+v", name, s)
			}
		})
	}
}

// An operator may empty a shard that came back old before anybody has asked it.
func TestIncarnationFoundByAnOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := &bareServer{memadapter.Plain[string, string](), "run 1", true}
		f, _ := open(t, equal(1), fleet.Options[string]{}, func(int) corral.Cache[string, string] { return old })
		must(t, f.Set(t.Context(), "key", fresh("old")))
		wantGet(t, f, "key", "old", "before")
		must(t, f.SetState(t.Context(), "s00", fleet.StateUnhealthy))
		old.run = "run 2"
		must(t, old.PlainCache.Delete(t.Context(), "key"))
		must(t, f.SetState(t.Context(), "s00", fleet.StateHealthy))
		must(t, f.Set(t.Context(), "key", fresh("new")))
		wantGet(t, f, "key", "new", "stored since")
		if s := f.Health()[0]; s.FencedAll || s.Incarnation != "run 2" {
			t.Errorf("it is %+v", s)
		}
	})
}

// What is fenced at the old shard of a key is not brought over: at the new one nobody
// would know.
func TestIncarnationIsNotMigrated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 3)
		f, err := fleet.New(t.Context(), equal(2), func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
			return leasing(client{farm.servers[int(s.ID[2]-'0')]}), nil
		}, fleet.Options[string]{MaxLife: time.Hour})
		must(t, err)
		farm.keys = keysOn(f, 2, 20)
		must(t, f.Set(t.Context(), farm.keys[1][0], fresh("other")))
		farm.resurrects(f, farm.keys[0][0])
		time.Sleep(2 * time.Second)
		wantGet(t, f, farm.keys[0][1], "", "the fleet finds out")
		time.Sleep(time.Second)
		late := farm.keys[0][2]
		must(t, f.Set(t.Context(), late, fresh("late")))
		next := equal(3) // all keys of the first server move

		next.Epoch, next.Shards = 2, next.Shards[1:]
		change, err := f.Apply(t.Context(), next)
		must(t, err)
		report, err := fleet.Migrate(t.Context(), f, fleet.MigrateOptions{})
		must(t, err)
		<-change.Done()
		wantGet(t, f, farm.keys[0][0], "", "after the migration")
		wantGet(t, f, late, "late", "after the migration")
		wantGet(t, f, farm.keys[1][0], "other", "after the migration")
		if report.Copied == 0 {
			t.Errorf("nothing has moved: %+v", report)
		}
		must(t, f.Close(t.Context()))
	})
}

// noDeletes is a shard in memory of which deletes of many keys fail.
type noDeletes struct {
	*memadapter.Cache[string, string]
}

func (noDeletes) DeleteMany(context.Context, []string) error { return errDown }

// So it is in the memory of the process, and for a key of which a Delete failed; nor does
// a scan visit it.
func TestFenceIsNotMigrated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := fleet.New(t.Context(), equal(2), func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
			return noDeletes{memadapter.New[string, string]()}, nil
		}, fleet.Options[string]{MaxLife: time.Hour})
		must(t, err)
		keys := keysOn(f, 2, 2)[0]
		must(t, f.Set(t.Context(), keys[0], fresh("old")))
		must(t, f.Set(t.Context(), keys[1], fresh("other")))
		wantIs(t, f.DeleteMany(t.Context(), keys[:1]), errDown)
		for _, keysOnly := range []bool{false, true} {
			for it, err := range f.Scan(t.Context(), fleet.ScanOptions[string, string]{KeysOnly: keysOnly}) {
				if must(t, err); it.Key == keys[0] {
					t.Errorf("a scan visits %s", it.Key)
				}
			}
		}
		next := equal(2)
		next.Epoch, next.Shards = 2, next.Shards[1:]
		change, err := f.Apply(t.Context(), next)
		must(t, err)
		report, err := fleet.Migrate(t.Context(), f, fleet.MigrateOptions{})
		wantIs(t, err, errDown) // what is left at the old shard cannot be deleted there
		if report.Copied != 1 {
			t.Errorf("the report is %+v", report)
		}
		wantGet(t, f, keys[0], "", "after the migration")
		wantGet(t, f, keys[1], "other", "after the migration")
		time.Sleep(time.Hour)
		<-change.Done()
		must(t, f.Close(t.Context()))
	})
}

// I4: what comes from a shard that has come back old, and of which nobody knows yet, is not
// brought over either: at the new shard it would be served for as long as it is kept.
func TestIncarnationThatNobodyKnowsIsNotCopied(t *testing.T) {
	for name, bring := range map[string]func(t *testing.T, f *fleet.Fleet[string, string], key string) error{
		"migrated": func(t *testing.T, f *fleet.Fleet[string, string], _ string) error {
			_, err := fleet.Migrate(t.Context(), f, fleet.MigrateOptions{})
			return err
		},
		"asked for": func(t *testing.T, f *fleet.Fleet[string, string], key string) error {
			_, err := f.Acquire(t.Context(), key, aRequest{Token: "one"})
			return err
		},
		"asked for with others": func(t *testing.T, f *fleet.Fleet[string, string], key string) error {
			_, err := f.AcquireMany(t.Context(), []string{key}, []aRequest{{Token: "one"}})
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			farm := newFarm(t, 3)
			f, err := fleet.New(t.Context(), equal(2), func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
				return leasing(client{farm.servers[int(s.ID[2]-'0')]}), nil
			}, fleet.Options[string]{MaxLife: time.Hour})
			must(t, err)
			farm.keys = keysOn(f, 2, 20)
			key := farm.keys[0][0]
			next := equal(3) // all keys of the first server move
			next.Epoch, next.Shards = 2, next.Shards[1:]
			farm.resurrects(f, key)
			change, err := f.Apply(t.Context(), next)
			must(t, err)
			must(t, bring(t, f, key))
			time.Sleep(time.Minute)
			if e, err := f.Get(t.Context(), key); err != nil || e != nil {
				t.Errorf("%s: what was deleted is %v, %v", name, e, err)
			}
			time.Sleep(2 * time.Hour)
			<-change.Done()
			must(t, f.Close(t.Context()))
		})
	}
}

// Nor is it copied to another zone.
func TestIncarnationThatNobodyKnowsIsNotCopiedToAZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 2)
		both := fleet.Topology{Epoch: 1, Shards: []fleet.Shard{
			{ID: "s00", Zone: "east", Group: "both"}, {ID: "s01", Zone: "west", Group: "both"},
		}}
		f, _ := open(t, both, fleet.Options[string]{Zone: "west"}, func(i int) corral.Cache[string, string] {
			return leasing(client{farm.servers[i]})
		})
		key := ""
		for i := 0; key == ""; i++ {
			text := fmt.Sprint("key:", i)
			if e, err := f.Explain(t.Context(), text); err != nil {
				t.Fatal(err)
			} else if e.Replicas[0] == "s00" {
				key = text
			}
		}
		farm.resurrects(f, key)
		l, err := f.Acquire(t.Context(), key, aRequest{Token: "one"})
		if err != nil || l.State != corral.LeaseHeld {
			t.Errorf("Acquire = %+v, %v", l, err)
		}
		time.Sleep(time.Minute)
		wantGet(t, f, key, "", "a minute later")
	})
}
