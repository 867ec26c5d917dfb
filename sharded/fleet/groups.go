package fleet

import (
	"cmp"
	"fmt"
	"slices"
)

// group returns the name by which the shard is placed.
func (s Shard) group() string { return cmp.Or(s.Group, s.ID) }

// checkGroups returns an error for groups that cannot be placed. at is where the IDs
// are.
func (t Topology) checkGroups(at map[string]int) error {
	first := map[string]int{}
	for i, s := range t.Shards {
		if s.Group == "" {
			continue
		}
		field := fmt.Sprintf("Topology.Shards[%d].", i)
		if j, taken := at[s.Group]; taken && t.Shards[j].Group != s.Group {
			return option(field+"Group", fmt.Sprintf("%q", s.Group), fmt.Sprintf("must not be the ID of a shard outside of the group, and is that of Shards[%d]", j))
		}
		j, begun := first[s.Group]
		if !begun {
			first[s.Group] = i
			continue
		}
		if w := t.Shards[j].weight(); w != s.weight() {
			return option(field+"Weight", s.weight(), fmt.Sprintf("must be %d, as in the rest of group %q", w, s.Group))
		}
	}
	return nil
}

// placed returns what keys are placed on: a shard for each group, in order of their
// names. Without groups that is t itself.
func (t Topology) placed() Topology {
	if !slices.ContainsFunc(t.Shards, func(s Shard) bool { return s.Group != "" }) {
		return t
	}
	groups := map[string]int{}
	var shards []Shard
	for _, s := range t.Shards {
		i, begun := groups[s.group()]
		if !begun {
			groups[s.group()] = len(shards)
			s.ID, s.Group = s.group(), ""
			shards = append(shards, s)
			continue
		}
		shards[i].Zone, shards[i].Addr = "", "" // of one of them says nothing of the group
	}
	return Topology{Epoch: t.Epoch, Shards: shards}.sorted()
}

// byGroup returns the shards of each group, in order of their IDs.
func (t Topology) byGroup() map[string][]Shard {
	groups := make(map[string][]Shard, len(t.Shards))
	for _, s := range t.sorted().Shards {
		groups[s.group()] = append(groups[s.group()], s)
	}
	return groups
}

// ejected returns the zones of which a change of the topology leaves no shard. One that
// holds no replica of what another zone has is none of these: what is there is nowhere
// else, and is brought over.
func ejected(from, to Topology) map[string]bool {
	zones := map[string]bool{}
	for _, group := range from.byGroup() {
		for _, s := range group {
			if slices.ContainsFunc(group, func(o Shard) bool { return o.Zone != s.Zone }) {
				zones[s.Zone] = true
			}
		}
	}
	for _, s := range to.Shards {
		delete(zones, s.Zone)
	}
	delete(zones, "")
	return zones
}
