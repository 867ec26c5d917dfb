package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
)

// SampleOptions are those of [Fleet.Sample]. The zero value is ready to use.
type SampleOptions struct {
	// Keys is how many keys of each shard are looked at, at most. Zero is 1,000, by
	// which a share is right to about three percent of all keys; 10,000,000 the most.
	Keys int

	// Size returns how large a value of the fleet's V is. Nil counts what is text or
	// bytes, and others as nothing.
	Size func(value any) int

	// Count returns how many entries a shard holds, such as Redis' DBSIZE. cache is what
	// [OpenFunc] returned. Nil, and a result below 1, are for not known: then totals are
	// estimated only of shards that were looked at whole.
	Count func(ctx context.Context, s Shard, cache any) (int64, error)
}

const (
	defaultSample = 1000
	maxSample     = 10_000_000
	samplePage    = 512
)

// Estimate is what a change of the topology would move, by a sample of the keys. A group of
// shards is one, by its name.
type Estimate struct {
	Plan Plan

	// Share and ByteShare are how much moves of all keys, and of the bytes of their
	// values, 0 to 1. Shards are weighed by their Keys or, unless these are known of all,
	// by Shard.Weight.
	Share, ByteShare float64

	// Moves are from where to where, in order of From and To.
	Moves []MoveEstimate

	// Shards are those that were sampled, by ID.
	Shards map[string]SampledShard

	// NotSampled are those that were not, by ID, with the reason: an [*AbilityError] of
	// one that cannot be scanned, [ErrUnhealthy] of one that is out, what it failed with.
	NotSampled map[string]error
}

// MoveEstimate is what moves from one shard to another.
type MoveEstimate struct {
	From, To string

	Sampled      int     // keys of the sample that do
	SampledBytes int64   // of their values
	Share        float64 // of the keys of From

	// Keys and Bytes are of all that do, estimated; zero where SampledShard.Keys is.
	Keys, Bytes int64
}

// SampledShard is what was looked at of a shard.
type SampledShard struct {
	Sampled      int   // keys that belong there, each once
	SampledBytes int64 // of their values
	Keys         int64 // that it holds: those sampled if it was looked at whole, else by Count; zero if not known
	Whole        bool  // the scan got to its end
}

// Sample estimates what Apply of the topology to would move, and moves nothing. It looks
// at the first keys that a scan of each shard finds, which are as good as any where a
// shard is scanned by a hash, as all of this module's are: Redis too. Pins are those in
// memory, or those last seen.
//
// The error is a [*corral.OptionError] for options that cannot work and a topology that is
// not valid, [ErrChanging] while the topology changes, [ErrClosed], or what ended ctx: then
// the Estimate is what was found until then. What fails of a shard is in NotSampled.
func (f *Fleet[K, V]) Sample(ctx context.Context, to Topology, opts SampleOptions) (Estimate, error) {
	p := f.placed.Load()
	switch {
	case opts.Keys < 0 || opts.Keys > maxSample:
		return Estimate{}, option("SampleOptions.Keys", opts.Keys, fmt.Sprintf("must be 0 (%d) to %d", defaultSample, maxSample))
	case f.closed.Load():
		return Estimate{}, ErrClosed
	case p.phase != PhaseSettled:
		return Estimate{}, ErrChanging
	}
	opts.Keys = cmp.Or(opts.Keys, defaultSample)
	if opts.Size == nil {
		opts.Size = lengthOf
	}
	plan, err := NewPlan(p.layout.topology, to)
	if err != nil {
		return Estimate{}, err
	}
	after, err := f.layOutDry(plan.To)
	if err != nil {
		return Estimate{}, err
	}
	samples := make([]sample[K, V], len(p.layout.members))
	failed := ofShards(p.layout.placed, func(i int, s Shard) error {
		samples[i] = sample[K, V]{fleet: f, opts: &opts, name: s.ID, from: p.layout.members[i], before: p.layout, after: after, moves: map[string]*MoveEstimate{}}
		return samples[i].take(ctx)
	})
	e := Estimate{Plan: plan, Shards: map[string]SampledShard{}, NotSampled: map[string]error{}}
	if some, ok := failed.(*ShardErrors); ok {
		e.NotSampled = some.Errors
	}
	estimate(&e, samples)
	if failed != nil && ctx.Err() != nil {
		return e, context.Cause(ctx)
	}
	return e, nil
}

// layOutDry returns the layout of a topology whose shards are not opened.
func (f *Fleet[K, V]) layOutDry(t Topology) (*layout[K, V], error) {
	placed := t.placed()
	router, err := f.opts.Router.route(placed)
	if err != nil {
		return nil, err
	}
	return layOut(t, placed, router, func(s Shard) *member[K, V] { return &member[K, V]{shard: s} }), nil
}

// sample is what is looked at of one shard.
type sample[K comparable, V any] struct {
	fleet         *Fleet[K, V]
	opts          *SampleOptions
	name          string // by which keys are placed on it
	from          *member[K, V]
	before, after *layout[K, V]

	is    SampledShard
	moves map[string]*MoveEstimate // by where to
}

// take looks at the shard's keys.
func (s *sample[K, V]) take(ctx context.Context) error {
	if err := s.from.mustScan(); err != nil {
		return err
	}
	if !s.from.healthy() {
		return ErrUnhealthy
	}
	seen := map[K]struct{}{}
	for cursor := ""; !s.is.Whole && s.is.Sampled < s.opts.Keys; {
		page, err := bounded.Do(ctx, func(ctx context.Context) (p scanned[K, V], err error) {
			p.items, p.next, err = s.from.scanner.ScanPage(ctx, cursor, min(samplePage, s.opts.Keys), false)
			if err == nil && p.next == cursor && cursor != "" {
				err = errStuck
			}
			return p, err
		})
		if err != nil {
			return err
		}
		all, err := s.page(page.items, seen)
		if err != nil {
			return err
		}
		cursor, s.is.Whole = page.next, all && page.next == ""
		if !all {
			break
		}
	}
	return s.count(ctx)
}

// page looks at the keys of a page, all of them unless those are too many.
func (s *sample[K, V]) page(items []corral.ScanItem[K, V], seen map[K]struct{}) (all bool, err error) {
	for _, it := range items {
		if _, twice := seen[it.Key]; twice || it.Entry == nil {
			continue
		}
		if s.is.Sampled >= s.opts.Keys {
			return false, nil
		}
		seen[it.Key] = struct{}{}
		if err := s.look(it.Key, it.Entry.Value); err != nil {
			return false, err
		}
	}
	return true, nil
}

// look takes note of a key, unless it is only left here, such as in a gutter.
func (s *sample[K, V]) look(key K, value V) (err error) {
	hash, err := s.fleet.hasher.hash(key)
	if err != nil {
		return err
	}
	pin, _ := s.fleet.pins.peek(key)
	at, err := s.before.owner(hash, pin)
	if err != nil || at != s.from {
		return err
	}
	to, err := s.after.owner(hash, pin)
	if err != nil {
		return err
	}
	defer bounded.Recover("SampleOptions.Size", &err)
	size := int64(s.opts.Size(value))
	s.is.Sampled++
	s.is.SampledBytes += size
	if to.shard.ID == s.name {
		return nil
	}
	m := s.moves[to.shard.ID]
	if m == nil {
		m = &MoveEstimate{From: s.name, To: to.shard.ID}
		s.moves[to.shard.ID] = m
	}
	m.Sampled++
	m.SampledBytes += size
	return nil
}

// count says how many keys the shard holds.
func (s *sample[K, V]) count(ctx context.Context) (err error) {
	switch {
	case s.is.Whole:
		s.is.Keys = int64(s.is.Sampled)
	case s.opts.Count != nil:
		for _, m := range s.from.shards() { // of a group the one that has evicted least
			n, failed := bounded.Do(ctx, func(ctx context.Context) (int64, error) {
				return s.opts.Count(ctx, m.shard, m.opened)
			})
			s.is.Keys, err = max(s.is.Keys, n), errors.Join(err, failed)
		}
	}
	return err
}

// estimate adds up what was sampled.
func estimate[K comparable, V any](e *Estimate, samples []sample[K, V]) {
	known := true
	for _, s := range samples {
		if e.NotSampled[s.name] == nil {
			e.Shards[s.name] = s.is
			known = known && (s.is.Keys > 0 || s.is.Whole)
		}
	}
	var keys, bytes, movedKeys, movedBytes float64
	for _, s := range samples {
		if _, sampled := e.Shards[s.name]; !sampled || s.is.Sampled == 0 {
			continue
		}
		n := float64(s.is.Sampled)
		weight := float64(s.from.shard.weight())
		if known {
			weight = float64(s.is.Keys)
		}
		keys += weight
		bytes += weight * float64(s.is.SampledBytes) / n
		for _, to := range slices.Sorted(maps.Keys(s.moves)) {
			m := *s.moves[to]
			m.Share = float64(m.Sampled) / n
			m.Keys = int64(m.Share*float64(s.is.Keys) + .5)
			m.Bytes = int64(float64(m.SampledBytes)/n*float64(s.is.Keys) + .5)
			e.Moves = append(e.Moves, m)
			movedKeys += weight * m.Share
			movedBytes += weight * float64(m.SampledBytes) / n
		}
	}
	if keys > 0 {
		e.Share = movedKeys / keys
	}
	if bytes > 0 {
		e.ByteShare = movedBytes / bytes
	}
}
