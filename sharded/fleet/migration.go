package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
)

// migration is one Migrate.
type migration[K comparable, V any] struct {
	fleet *Fleet[K, V]
	opts  MigrateOptions
	pace  *pace
	start time.Time
	p     *placement[K, V] // that is in force all the while

	told    atomic.Int64 // when Progress was called last
	telling sync.Mutex   // held while it is called

	saving sync.Mutex // held while a checkpoint is saved: a later one is not replaced

	mu    sync.Mutex
	at    Checkpoint       // guarded by mu
	lazy  map[string]error // guarded by mu
	swept int              // guarded by mu
	ended bool             // guarded by mu
}

var errOver = errors.New("fleet: the change has gone on without the migration")

func (g *migration[K, V]) run(ctx context.Context) error {
	f := g.fleet
	if _, err := f.latest(ctx); err != nil {
		return err
	}
	g.p = f.placed.Load()
	closing := g.p.phase == PhaseClose && f.published.Load().Early
	switch {
	case g.p.phase != PhaseSwitch && !closing:
		return ErrNotChanging
	}
	if err := g.begin(ctx); err != nil {
		return err
	}
	if !closing {
		if err := g.copyAll(ctx); err != nil {
			return err
		}
		if g.opts.KeepWindow || !g.complete() {
			return nil
		}
		if err := f.closeEarly(ctx, g.p); err != nil {
			return g.why(err)
		}
	}
	n, err := f.sweep(ctx, g.p.layout.topology.Epoch)
	g.mu.Lock()
	g.swept, g.ended = n, err == nil
	g.mu.Unlock()
	if err == nil {
		g.save(ctx, Checkpoint{})
	}
	return err
}

// begin takes up the checkpoint.
func (g *migration[K, V]) begin(ctx context.Context) error {
	want := newCheckpoint(g.p.other.topology, g.p.layout.topology)
	at, err := bounded.Do(ctx, g.opts.Checkpoints.Load)
	switch {
	case err != nil:
		return fmt.Errorf("fleet: MigrateOptions.Checkpoints: %w", err)
	case at.From == "" && at.To == "":
		at = want
	case at.From != want.From || at.To != want.To:
		return &CheckpointError{Found: at, From: want.From, To: want.To}
	}
	if at = at.clone(); at.Cursors == nil {
		at.Cursors = map[string]string{}
	}
	if at.Shards == nil {
		at.Shards = map[string]ShardReport{}
	}
	g.at, g.lazy = at, map[string]error{}
	for _, m := range g.p.other.members {
		if err := g.mustMigrate(m); err != nil {
			g.lazy[m.shard.ID] = err
		} else if _, begun := at.Shards[m.shard.ID]; !begun {
			at.Shards[m.shard.ID] = ShardReport{}
		}
	}
	return nil
}

// mustMigrate returns an error for a shard that has to be looked at, or stay as it is,
// until nothing in it lives.
func (g *migration[K, V]) mustMigrate(m *member[K, V]) error {
	name := g.p.other.name(m)
	before, now := g.p.other.topology, g.p.layout.topology
	if at, stays := g.p.layout.at[name]; stays && g.p.mixed[[2]*member[K, V]{g.p.layout.members[at], m}] != nil {
		return errReplicasChange
	}
	for _, s := range before.byGroup()[name] {
		if ejected(before, now)[s.Zone] {
			return errEjects
		}
	}
	return m.mustMigrate()
}

// Why what a group holds is looked at, or stays where it is, for as long as it may be
// there.
var (
	errReplicasChange = errors.New("fleet: the replicas of the group change: what it holds is copied as it is asked for")
	errEjects         = errors.New("fleet: the zone is ejected: what it holds ends by itself")
)

// mustMigrate returns an error unless what moves from the shard can be found and be
// copied safely.
func (m *member[K, V]) mustMigrate() error {
	if err := m.mustScan(); err != nil || !m.far {
		return err
	}
	return m.mustLease()
}

// complete reports whether everything that moves was looked at, and nothing failed.
func (g *migration[K, V]) complete() bool {
	r := g.report()
	return r.Done && len(r.NotScannable) == 0 && r.Failed == 0
}

// copyAll copies from all shards at a time. Between processes it waits until all read
// by the new topology: what one stores by the old one must not be deleted there.
func (g *migration[K, V]) copyAll(ctx context.Context) error {
	bound, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case <-g.p.replaced:
			stop(errOver)
		case <-g.fleet.ended:
			stop(ErrClosed)
		case <-bound.Done():
		}
	}()
	if g.fleet.epoch != nil {
		if err := sleep(bound, time.Until(g.p.begin.Add(g.fleet.epoch.grace()))); err != nil {
			return g.why(err)
		}
	}
	errs := make([]error, len(g.p.other.members))
	var all sync.WaitGroup
	for i, m := range g.p.other.members {
		if g.lazy[m.shard.ID] != nil {
			continue
		}
		all.Go(func() { errs[i] = g.shard(bound, m) })
	}
	all.Wait()
	if bound.Err() != nil {
		return g.why(context.Cause(bound))
	}
	failed := map[string]error{}
	for i, err := range errs {
		if errors.Is(err, errOver) {
			return g.why(errOver)
		}
		if err != nil {
			failed[g.p.other.members[i].shard.ID] = err
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return &ShardErrors{Errors: failed, Partial: len(failed)+len(g.lazy) < len(errs)}
}

// why says what errOver comes from.
func (g *migration[K, V]) why(err error) error {
	switch p := g.fleet.published.Load(); {
	case !errors.Is(err, errOver):
		return err
	case p.Aborted || p.Topology.Digest() == g.p.other.topology.Digest():
		return ErrAborted
	}
	return fmt.Errorf("%w: %w", ErrNotChanging, errOver)
}

// shard copies from one shard, a page after the other. A cursor that is not good any
// more begins again.
func (g *migration[K, V]) shard(ctx context.Context, from *member[K, V]) error {
	id := from.shard.ID
	g.mu.Lock()
	cursor, done := g.at.Cursors[id], g.at.Shards[id].Done
	g.mu.Unlock()
	for resumed := cursor != ""; !done; resumed = false {
		page, err := g.page(ctx, from, cursor)
		if bad := (*corral.OptionError)(nil); resumed && errors.As(err, &bad) {
			cursor = ""
			continue
		}
		if err != nil {
			return err
		}
		r, err := g.copyPage(ctx, from, page.items)
		if err != nil {
			return err
		}
		cursor, done = page.next, page.next == ""
		g.note(ctx, id, cursor, r)
	}
	return nil
}

func (g *migration[K, V]) page(ctx context.Context, from *member[K, V], cursor string) (scanned[K, V], error) {
	return bounded.Do(ctx, func(ctx context.Context) (p scanned[K, V], err error) {
		p.items, p.next, err = from.scanner.ScanPage(ctx, cursor, max(g.opts.Batch, defaultPageMin), true)
		if err == nil && p.next == cursor && cursor != "" {
			err = errStuck
		}
		return p, err
	})
}

// note adds what came of a page, and saves the checkpoint. One that cannot be saved
// costs doing the page again.
func (g *migration[K, V]) note(ctx context.Context, id, cursor string, r ShardReport) {
	g.saving.Lock()
	defer g.saving.Unlock()
	g.mu.Lock()
	sum := g.at.Shards[id]
	sum.add(r)
	sum.Done = cursor == ""
	g.at.Shards[id] = sum
	if g.at.Cursors[id] = cursor; cursor == "" {
		delete(g.at.Cursors, id)
	}
	at := g.at.clone()
	g.mu.Unlock()
	g.save(ctx, at)
	g.progress()
}

func (g *migration[K, V]) save(ctx context.Context, at Checkpoint) {
	_, err := bounded.Do(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, g.opts.Checkpoints.Save(ctx, at)
	})
	if err != nil {
		g.fleet.opts.Hooks.changeError(ctx, Shard{}, fmt.Errorf("fleet: MigrateOptions.Checkpoints: %w", err))
	}
}

// copyPage copies what moves of the keys on a page, in batches, and returns when all
// have been. If a batch fails the page has to be done again.
func (g *migration[K, V]) copyPage(ctx context.Context, from *member[K, V], items []corral.ScanItem[K, V]) (ShardReport, error) {
	var r ShardReport
	moved, err := g.moved(ctx, from, items, &r)
	if err != nil {
		return r, err
	}
	var mu sync.Mutex // guards r and err
	var all sync.WaitGroup
	for to, keys := range moved {
		for len(keys) > 0 {
			n := min(len(keys), g.opts.Batch)
			b := &copying[K, V]{g.fleet, g.p, &g.opts, from, to, keys[:n], ShardReport{}}
			keys = keys[n:]
			if err := g.pace.enter(ctx); err != nil {
				all.Wait()
				return r, err
			}
			all.Go(func() {
				start := time.Now()
				got, failed := bounded.Do(ctx, b.run)
				g.pace.leave(max(1, time.Since(start)), got.Bytes)
				mu.Lock()
				defer mu.Unlock()
				r.add(got)
				err = errors.Join(err, failed)
			})
		}
	}
	all.Wait()
	return r, err
}

// moved returns the keys that move from a shard, by where to, each once.
func (g *migration[K, V]) moved(ctx context.Context, from *member[K, V], items []corral.ScanItem[K, V], r *ShardReport) (map[*member[K, V]][]K, error) {
	to, seen := map[*member[K, V]][]K{}, make(map[K]struct{}, len(items))
	for _, it := range items {
		if _, twice := seen[it.Key]; twice {
			continue
		}
		seen[it.Key] = struct{}{}
		s, err := g.fleet.site(ctx, g.p, it.Key)
		switch {
		case err != nil:
			return nil, err
		case s.other == from:
			to[s.at] = append(to[s.at], it.Key)
		case s.other == nil: // else another shard's copy of it has come here
			r.Stayed++
		}
	}
	return to, nil
}
