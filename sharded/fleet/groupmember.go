package fleet

import (
	"fmt"
	"slices"
	"time"

	"github.com/corralcache/corral"
)

// mayGroup returns an error for groups of several shards that cannot be replicas. Those
// that are not open are in opened.
func (f *Fleet[K, V]) mayGroup(t Topology, opened map[string]*member[K, V]) error {
	for name, shards := range t.byGroup() {
		if len(shards) < 2 {
			continue
		}
		for _, s := range shards {
			m := f.open[s.ID]
			if m == nil {
				m = opened[s.ID]
			}
			if err := m.mustLease(); err != nil {
				return err
			}
			if m.layered {
				return option("New: open", fmt.Sprintf("a corral.Layered for shard %q of group %q", s.ID, name),
					"must not be layered: a near cache goes in front of the fleet")
			}
		}
	}
	return nil
}

// flat returns the layout of t by shards, for what is asked of every one of them; like is
// that by groups, if there is one.
func (f *Fleet[K, V]) flat(t Topology, like *layout[K, V]) *layout[K, V] {
	if like != nil && !slices.ContainsFunc(t.Shards, func(s Shard) bool { return s.Group != "" }) {
		return like
	}
	t = t.sorted()
	return layOut(t, t, nil, func(s Shard) *member[K, V] { return f.open[s.ID] })
}

// settledGroup returns the member that keys are placed on: the shard itself, if it has no
// replicas.
func (f *Fleet[K, V]) settledGroup(placed Shard, shards []Shard) *member[K, V] {
	if len(shards) == 1 {
		return f.open[shards[0].ID]
	}
	all := make([]replica[K, V], len(shards))
	for i, s := range shards {
		all[i] = f.replica(s)
		all[i].read = true
	}
	return f.groupOf(placed, all, time.Time{})
}

func (f *Fleet[K, V]) replica(s Shard) replica[K, V] {
	return replica[K, V]{member: f.open[s.ID], own: s.Zone != "" && s.Zone == f.opts.Zone}
}

// groupOf returns the member that is these replicas.
func (f *Fleet[K, V]) groupOf(placed Shard, all []replica[K, V], window time.Time) *member[K, V] {
	r := newReplicas(f, all, window)
	m := &member[K, V]{shard: placed, numbers: newShardNumbers(), vitals: newVitals(placed), group: r, scanner: r, leaser: r, leaserMany: r, prompt: true}
	m.vitals.admit(f.calm, false)
	m.vitals.flags.Store(0) // nothing to mind: each replica has its own
	for i := range all {
		one := all[i].member
		m.far, m.tells, m.lets = m.far || one.far, m.tells || one.tells, m.lets || one.lets
		m.prompt = m.prompt && one.prompt
		if one.plain != nil {
			m.plain = plainReplicas[K, V]{r}
		}
		if one.settler != nil {
			m.settler = r
		}
		if one.leaser == nil {
			m.leaser, m.leaserMany = nil, nil
		}
		if one.scanner == nil {
			m.scanner, m.cannotScan = nil, one.cannotScan
		}
	}
	var cache corral.Cache[K, V] = r
	if m.plain != nil {
		cache = m.plain
	}
	m.tiers[whole] = newStore(cache)
	return m
}

// mix makes of p what it is about groups whose replicas change: they are one member that
// knows what each replica is good for in this phase. Before the switch keys are read by
// p.other, else by p.layout. Who ejects a zone, so that no shard of it is left, does not
// want it to be asked: since the switch its replicas are only deleted from, until no
// process reads them.
func (f *Fleet[K, V]) mix(p *placement[K, V], published Published) {
	g := mixer[K, V]{fleet: f, phase: p.phase, now: published.Topology.byGroup(), before: published.Previous.byGroup(), until: p.begin}
	if p.phase == PhaseSwitch || p.phase == PhaseClose {
		g.ejected = ejected(*published.Previous, published.Topology)
		if p.phase == PhaseSwitch && f.epoch != nil {
			g.until = p.begin.Add(f.epoch.grace())
		}
	}
	g.window = p.windowEnd(f.opts.MaxLife)
	p.mixed = map[[2]*member[K, V]]*member[K, V]{}
	for i, s := range p.layout.placed {
		j, stays := p.other.at[s.ID]
		if !stays {
			continue
		}
		at, was := p.layout.members[i], p.other.members[j]
		if g.same(s.ID) {
			p.other.members[j] = at
			continue
		}
		if g.ends(g.before[s.ID]) { // for the keys that move away from it
			was = g.leaving(s)
			p.other.members[j] = was
		}
		m := g.union(s)
		p.mixed[[2]*member[K, V]{at, was}], p.mixed[[2]*member[K, V]{was, at}] = m, m
	}
	for j, s := range p.other.placed {
		if _, stays := p.layout.at[s.ID]; !stays && g.ends(g.before[s.ID]) {
			p.other.members[j] = g.leaving(s)
		}
	}
}

// mixer knows what replicas are good for while the topology changes.
type mixer[K comparable, V any] struct {
	fleet       *Fleet[K, V]
	phase       Phase
	now, before map[string][]Shard
	ejected     map[string]bool // zones
	until       time.Time       // replicas in these are deleted from until then
	window      time.Time
}

// same reports whether a group has the replicas that it had, each in its zone.
func (g *mixer[K, V]) same(name string) bool {
	return slices.EqualFunc(g.now[name], g.before[name], func(a, b Shard) bool { return a.ID == b.ID && a.Zone == b.Zone })
}

func (g *mixer[K, V]) ends(shards []Shard) bool {
	return slices.ContainsFunc(shards, func(s Shard) bool { return g.ejected[s.Zone] })
}

// union returns the group of replicas that it had or has.
func (g *mixer[K, V]) union(placed Shard) *member[K, V] {
	now, before := g.now[placed.ID], g.before[placed.ID]
	in := func(shards []Shard, id string) bool {
		return slices.ContainsFunc(shards, func(s Shard) bool { return s.ID == id })
	}
	shards := slices.Clone(now)
	for _, s := range before {
		if !in(now, s.ID) {
			shards = append(shards, s)
		}
	}
	all := make([]replica[K, V], len(shards))
	for i, s := range shards {
		m := g.fleet.replica(s)
		isNow, was := in(now, s.ID), in(before, s.ID)
		switch g.phase {
		case PhasePrepare:
			m.read = was
		case PhaseSwitch:
			m.read, m.was = isNow, was
		default:
			m.read = isNow
		}
		if !isNow && g.ejected[s.Zone] {
			m.was, m.ends, m.until = false, true, g.until
		}
		all[i] = m
	}
	return g.fleet.groupOf(placed, all, g.window)
}

// leaving returns what keys move from, without the replicas in zones that are ejected.
func (g *mixer[K, V]) leaving(placed Shard) *member[K, V] {
	shards := g.before[placed.ID]
	all := make([]replica[K, V], len(shards))
	for i, s := range shards {
		all[i] = g.fleet.replica(s)
		if all[i].read = !g.ejected[s.Zone]; !all[i].read {
			all[i].ends, all[i].until = true, g.until
		}
	}
	return g.fleet.groupOf(placed, all, g.window)
}

// own has the groups know what they are part of.
func (p *placement[K, V]) own() {
	for _, l := range []*layout[K, V]{p.layout, p.other} {
		if l == nil {
			continue
		}
		for _, m := range l.members {
			if m.group != nil {
				m.group.placed = p
			}
		}
	}
	for _, m := range p.mixed {
		m.group.placed = p
	}
}

// healthy reports whether any replica is read.
func (r *replicas[K, V]) healthy() bool {
	return slices.ContainsFunc(r.all, func(m replica[K, V]) bool { return m.read && !m.vitals.out() })
}

// reader returns the replica that this process reads for key, as [replicas.way] has it but
// with no probe of those that are out; nil if there is none.
func (r *replicas[K, V]) reader(key K) *member[K, V] {
	ranked, err := r.ranked(key)
	if err != nil {
		return nil
	}
	for _, fits := range []func(m *replica[K, V]) bool{
		func(m *replica[K, V]) bool { return m.read && m.own && !m.vitals.out() },
		func(m *replica[K, V]) bool { return m.read && !m.vitals.out() },
		func(m *replica[K, V]) bool { return m.read },
	} {
		if i := slices.IndexFunc(ranked, fits); i >= 0 {
			return ranked[i].member
		}
	}
	return nil
}

// ids returns the replicas that key is kept at, in its ranks' order.
func (r *replicas[K, V]) ids(key K) (ids []string, err error) {
	ranked, err := r.ranked(key)
	for _, m := range ranked {
		if m.read {
			ids = append(ids, m.shard.ID)
		}
	}
	return ids, err
}
