package fleet

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf8"
)

const (
	// MaxShards is how many shards a [Topology] may have.
	MaxShards = 4096

	// MaxWeight is the greatest weight of a [Shard].
	MaxWeight = 65_535

	maxIDBytes = 255
)

// Topology says of which shards a fleet consists. Processes that share the shards
// route alike if their topologies have the same Digest and their fleets the same
// Router, Secret and KeyBytes. It goes through encoding/json and back unchanged.
type Topology struct {
	// Epoch numbers the versions of a topology: of two, the one with the greater
	// Epoch is the later.
	Epoch uint64 `json:"epoch"`

	// Shards are in no particular order: routing does not depend on it.
	Shards []Shard `json:"shards"`
}

// Shard is one cache of a fleet.
type Shard struct {
	// ID tells the shard from others, and places keys: a shard with another ID
	// gets other keys. It has 1 to 255 bytes of UTF-8.
	ID string `json:"id"`

	// Weight is the shard's share of the keys, beside the weights of the others.
	// Zero is 1; at most it is [MaxWeight].
	Weight uint32 `json:"weight,omitempty"`

	// Zone is where the shard is, and Options.Zone where a process is: of several
	// shards with the same keys a process reads the one in its own zone. At most 255
	// bytes of UTF-8; empty is nowhere in particular.
	Zone string `json:"zone,omitempty"`

	// Group is the name of the shards that hold the same keys as this one, its
	// replicas: they have the same Group and the same Weight, and are placed as one
	// shard that has Group for its ID. Empty is a group of one, named by its ID. So a
	// shard gets replicas, and keeps its keys, if they all get its ID for a Group. At
	// most 255 bytes of UTF-8.
	Group string `json:"group,omitempty"`

	// Addr is where the shard is reached, for [OpenFunc] to read. It has no part
	// in routing nor in Topology.Digest: the same shard may have different
	// addresses for different processes.
	Addr string `json:"addr,omitempty"`
}

// Validate returns a [*corral.OptionError] for the first thing that a fleet cannot
// work with: no shard, more than [MaxShards], an ID that is empty, too long, not
// UTF-8 or taken twice, a weight above [MaxWeight], a Zone or Group that is too long or not
// UTF-8, a Group that is the ID of a shard outside of it or whose weights differ.
func (t Topology) Validate() error {
	if n := len(t.Shards); n < 1 || n > MaxShards {
		return option("Topology.Shards", fmt.Sprintf("%d shards", n), fmt.Sprintf("must be 1 to %d", MaxShards))
	}
	first := make(map[string]int, len(t.Shards))
	for i, s := range t.Shards {
		if err := s.validate(fmt.Sprintf("Topology.Shards[%d]", i)); err != nil {
			return err
		}
		if j, taken := first[s.ID]; taken {
			return option(fmt.Sprintf("Topology.Shards[%d].ID", i), fmt.Sprintf("%q", s.ID),
				fmt.Sprintf("must be unique, and is that of Shards[%d]", j))
		}
		first[s.ID] = i
	}
	return t.checkGroups(first)
}

func (s Shard) validate(field string) error {
	switch {
	case s.ID == "" || len(s.ID) > maxIDBytes:
		return option(field+".ID", fmt.Sprintf("%d bytes long", len(s.ID)), fmt.Sprintf("must have 1 to %d bytes", maxIDBytes))
	case !utf8.ValidString(s.ID):
		return option(field+".ID", fmt.Sprintf("%q", s.ID), "must be UTF-8")
	case s.Weight > MaxWeight:
		return option(field+".Weight", s.Weight, fmt.Sprintf("must be at most %d", MaxWeight))
	}
	for _, f := range []struct{ name, text string }{{".Zone", s.Zone}, {".Group", s.Group}} {
		switch {
		case len(f.text) > maxIDBytes:
			return option(field+f.name, fmt.Sprintf("%d bytes long", len(f.text)), fmt.Sprintf("must have at most %d bytes", maxIDBytes))
		case !utf8.ValidString(f.text):
			return option(field+f.name, fmt.Sprintf("%q", f.text), "must be UTF-8")
		}
	}
	return nil
}

// Digest returns a SHA-256 sum of everything by which routing may differ: the
// epoch, the IDs and the weights, and zones and groups where there are any. It is the
// same in every release and on every architecture, so that processes can tell by
// comparing whether they agree. The order of the shards and their addresses do not
// matter.
func (t Topology) Digest() [sha256.Size]byte {
	t = t.sorted()
	b := []byte("corral fleet topology 1\n")
	b = binary.BigEndian.AppendUint64(b, t.Epoch)
	for _, s := range t.Shards {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s.ID)))
		b = append(b, s.ID...)
		b = binary.BigEndian.AppendUint32(b, s.weight())
	}
	if slices.ContainsFunc(t.Shards, func(s Shard) bool { return s.Zone != "" || s.Group != "" }) {
		b = append(b, "\nzones and groups 1\n"...) // no ID is as long as this would say
		for _, s := range t.Shards {
			for _, text := range []string{s.Zone, s.Group} {
				b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
				b = append(b, text...)
			}
		}
	}
	return sha256.Sum256(b)
}

// sorted returns a copy with the shards in order of their IDs.
func (t Topology) sorted() Topology {
	t.Shards = slices.Clone(t.Shards)
	slices.SortStableFunc(t.Shards, func(a, b Shard) int { return cmp.Compare(a.ID, b.ID) })
	return t
}

func (s Shard) weight() uint32 { return max(1, s.Weight) }

// balanced reports whether all shards have the same weight.
func (t Topology) balanced() bool {
	return !slices.ContainsFunc(t.Shards, func(s Shard) bool { return s.weight() != t.Shards[0].weight() })
}
