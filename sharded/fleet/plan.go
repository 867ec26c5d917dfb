package fleet

// Plan is what a change of the topology changes.
type Plan struct {
	From, To Topology

	// Added and Removed are the IDs of the shards that only To, and only From has, and
	// Reweighted those with another weight, each in order.
	Added, Removed, Reweighted []string

	// Share of all keys moves, 0 to 1: by the weights, as [Rendezvous] has it. A [Ring]
	// moves that on average; a Router that is not consistent moves more.
	Share float64
}

// NewPlan returns what changes between two topologies, each of which may be invalid:
// then the error says so.
func NewPlan(from, to Topology) (Plan, error) {
	for _, t := range []Topology{from, to} {
		if err := t.Validate(); err != nil {
			return Plan{}, err
		}
	}
	p := Plan{From: from.sorted(), To: to.sorted()}
	before, after := p.From.weights(), p.To.weights()
	p.Share = moves(p.From.placed().weights(), p.To.placed().weights())
	for _, s := range p.To.Shards {
		w, stays := before[s.ID]
		switch {
		case !stays:
			p.Added = append(p.Added, s.ID)
		case w != s.weight():
			p.Reweighted = append(p.Reweighted, s.ID)
		}
	}
	for _, s := range p.From.Shards {
		if _, stays := after[s.ID]; !stays {
			p.Removed = append(p.Removed, s.ID)
		}
	}
	return p, nil
}

// moves returns the share of the keys that moves between what has these weights.
func moves(before, after map[string]uint32) (share float64) {
	var all, allBefore float64
	for _, w := range before {
		allBefore += float64(w)
	}
	for _, w := range after {
		all += float64(w)
	}
	for id, w := range after {
		share += max(0, float64(w)/all-float64(before[id])/allBefore)
	}
	return share
}

// weights returns the weights by ID.
func (t Topology) weights() map[string]uint32 {
	w := make(map[string]uint32, len(t.Shards))
	for _, s := range t.Shards {
		w[s.ID] = s.weight()
	}
	return w
}
