package flight

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Random callers, writers, alarms and detachments in fake time. At every moment a
// key has at most one mapped flight, and it runs; at most one writes the key;
// every caller is answered with its own key's value; in the end nothing is left.
func TestStress(t *testing.T) {
	for seed := range uint64(20) {
		sub(t, fmt.Sprint("seed ", seed), func(t *testing.T) { newStress(t, seed).run() })
	}
}

const (
	stressKeys = 3
	timedOut   = -1
)

type stress struct {
	*testing.T
	seed    uint64
	table   *Table[int, int]
	writing [stressKeys]atomic.Int32
	workers sync.WaitGroup

	mu  sync.Mutex
	led [stressKeys]map[*Flight[int, int]]bool // guarded by mu; the flights whose leader works
}

func newStress(t *testing.T, seed uint64) *stress {
	s := &stress{T: t, seed: seed}
	s.table = NewTable(Config[int, int]{
		Shards: 2, First: 5, Deadline: true,
		CancelAbandoned: seed%2 == 0,
		Alarm:           func(f *Flight[int, int], _ uint8) { f.Land(timedOut, nil, false) },
	})
	for key := range s.led {
		s.led[key] = map[*Flight[int, int]]bool{}
	}
	return s
}

func (s *stress) run() {
	for i := range uint64(16) {
		r := rand.New(rand.NewPCG(s.seed, i))
		s.workers.Go(func() {
			for range 100 {
				s.step(r)
			}
		})
	}
	s.workers.Wait()
	time.Sleep(time.Second)
	for i := range s.table.shards {
		shard := &s.table.shards[i].Shard
		if n := shard.flights.n + len(shard.loose.m) + len(shard.writes.m); n != 0 {
			s.Errorf("%d flights and writes are left", n)
		}
	}
}

func (s *stress) step(r *rand.Rand) {
	key := r.IntN(stressKeys)
	spot, _ := s.table.Locate(key)
	switch r.IntN(8) {
	case 0:
		s.table.Detach(spot, key)
	case 1:
		ctx, cancel := s.short(r)
		defer cancel()
		if s.table.BeginWrite(ctx, spot, key) == nil {
			s.write(key, r.IntN(3))
			s.table.EndWrite(spot, key)
		}
	default:
		s.call(r, spot, key)
	}
	s.check(key)
	time.Sleep(time.Duration(r.IntN(3)))
}

func (s *stress) short(r *rand.Rand) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Duration(1+r.IntN(6)))
}

func (s *stress) call(r *rand.Rand, spot Spot[int, int], key int) {
	ctx, cancel := s.short(r)
	defer cancel()
	f, role, _ := s.table.Join(ctx, spot, key, 0, false, true)
	if role == Leader {
		took, stores := r.IntN(8), r.IntN(2) == 0
		s.workers.Go(func() { s.lead(f, key, took, stores) })
	}
	if f.Wait(ctx, role, nil) != Landed || role == Queued {
		return
	}
	if v, _ := f.Outcome(); v != key && v != timedOut {
		s.Errorf("a caller of %d got %d", key, v)
	}
}

func (s *stress) lead(f *Flight[int, int], key, took int, stores bool) {
	s.mu.Lock()
	s.led[key][f] = true
	s.mu.Unlock()
	time.Sleep(time.Duration(took))
	if stores {
		if store, _ := f.Store(key, nil, 0, 1, 0); store {
			s.write(key, took)
			f.Stored()
		}
	}
	f.Land(key, nil, false)
	f.Context().End()
	s.check(key)
	s.mu.Lock()
	delete(s.led[key], f)
	s.mu.Unlock()
}

// write is a write of key to the cache.
func (s *stress) write(key, took int) {
	if n := s.writing[key].Add(1); n != 1 {
		s.Errorf("%d write key %d at once", n, key)
	}
	time.Sleep(time.Duration(took))
	s.writing[key].Add(-1)
}

func (s *stress) check(key int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	spot, _ := s.table.Locate(key)
	shard := spot.shard
	shard.mu.Lock()
	defer shard.mu.Unlock()
	mapped := 0
	for f := range s.led[key] {
		if _, loose := shard.loose.m[f]; loose && (f.mapped || f.woken) {
			s.Errorf("a detached flight is mapped (%v) or woken (%v)", f.mapped, f.woken)
		}
		if !f.mapped {
			continue
		}
		mapped++
		if f.woken || shard.flights.find(f.hash, key) != f {
			s.Errorf("a mapped flight of %d is woken (%v) or not the one in the map", key, f.woken)
		}
	}
	if mapped > 1 {
		s.Errorf("%d flights of %d are mapped", mapped, key)
	}
}
