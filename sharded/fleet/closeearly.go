package fleet

import (
	"context"
	"time"

	"github.com/corralcache/corral/internal/bounded"
)

// closeEarly publishes that the change closes before its time. Everything that moves was
// copied: what is not at the new shards is nowhere.
func (f *Fleet[K, V]) closeEarly(ctx context.Context, p *placement[K, V]) error {
	now := *f.published.Load()
	if f.placed.Load() != p || now.Phase != PhaseSwitch {
		return errOver
	}
	next := now.next(PhaseClose)
	next.Early = true
	ok, err := f.publish(ctx, next)
	if err == nil && !ok {
		err = errOver // somebody else has gone on, or aborts
	}
	return err
}

// sweep deletes what moved and was left at the old shards, and then ends the change to the
// topology of an epoch, unless another migration has: what is published since is another
// change. It waits first until nobody can store there any more. Every process goes by the
// phase after the grace, and renews no lease of an old shard from then on; a Renew that
// was sent before can add a life, and what is filled after that has no lease. A Set that
// is held up for longer deletes what it stored when it finds that the topology is another
// one ([earlier]).
func (f *Fleet[K, V]) sweep(ctx context.Context, epoch uint64) (swept int, err error) {
	now := *f.published.Load() // first: what is in force is not older
	p := f.placed.Load()
	if now.Phase != PhaseClose || p.phase != PhaseClose || p.layout.topology.Epoch != epoch {
		return 0, nil
	}
	if err := f.quiet(ctx, p); err != nil {
		return 0, err
	}
	for _, m := range p.other.members {
		if m.scanner == nil {
			continue // closeEarly was not for this process's shards
		}
		n, err := f.sweepShard(ctx, p, m)
		if swept += n; err != nil {
			return swept, &ShardErrors{Errors: map[string]error{m.shard.ID: err}, Partial: true}
		}
	}
	ok, err := f.publish(ctx, now.next(PhaseSettled))
	if err == nil && !ok && f.epoch != nil {
		err = f.epoch.renew(ctx) // another process has swept too
	}
	return swept, err
}

// quiet waits until nobody can store at the old shards any more.
func (f *Fleet[K, V]) quiet(ctx context.Context, p *placement[K, V]) error {
	wait := time.Duration(0)
	for _, m := range p.other.members {
		if m.leaser != nil {
			wait = max(wait, 2*m.leaser.LeaseLife())
		}
	}
	wait += f.gutter().Life // what was kept in a gutter that is another one now is not swept
	if f.epoch != nil {
		wait += f.epoch.grace()
	}
	timer := time.NewTimer(time.Until(p.begin.Add(wait)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-f.ended:
		return ErrClosed
	}
}

func (f *Fleet[K, V]) sweepShard(ctx context.Context, p *placement[K, V], m *member[K, V]) (swept int, err error) {
	for cursor, first := "", true; first || cursor != ""; first = false {
		page, err := bounded.Do(ctx, func(ctx context.Context) (s scanned[K, V], err error) {
			s.items, s.next, err = m.scanner.ScanPage(ctx, cursor, defaultPageMax, true)
			if err == nil && s.next == cursor && cursor != "" {
				err = errStuck
			}
			return s, err
		})
		if err != nil {
			return swept, err
		}
		var left []K
		for _, it := range page.items {
			s, err := f.site(ctx, p, it.Key)
			if err != nil {
				return swept, err
			}
			if s.other == m {
				left = append(left, it.Key)
			}
		}
		if len(left) > 0 {
			_, err := bounded.Do(ctx, func(ctx context.Context) (struct{}, error) {
				return struct{}{}, m.tiers[whole].deleteMany(ctx, left)
			})
			if err != nil {
				return swept, err
			}
		}
		swept += len(left)
		cursor = page.next
	}
	return swept, nil
}
