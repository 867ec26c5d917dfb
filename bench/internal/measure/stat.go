package measure

import "slices"

// Spread is what the rounds came to.
type Spread struct{ Low, Median, High float64 }

// spread returns the least, the middle and the greatest.
func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	v := slices.Sorted(slices.Values(values))
	middle := v[len(v)/2]
	if len(v)%2 == 0 {
		middle = (v[len(v)/2-1] + middle) / 2
	}
	return Spread{v[0], middle, v[len(v)-1]}
}

// Of returns the spread of one figure over the rounds.
func (m *Measured) Of(figure func(Sample) float64) Spread {
	values := make([]float64, len(m.Samples))
	for i, s := range m.Samples {
		values[i] = figure(s)
	}
	return spread(values)
}

// Ns, Bytes and Allocs are the figures of a sample.
func Ns(s Sample) float64     { return s.Ns }
func Bytes(s Sample) float64  { return s.Bytes }
func Allocs(s Sample) float64 { return s.Allocs }

// Row returns the row of that name, nil if there is none.
func (r *Result) Row(name string) *Measured {
	for i := range r.Rows {
		if r.Rows[i].Name == name {
			return &r.Rows[i]
		}
	}
	return nil
}

// Ratio compares two rows round by round: what else the machine did in a round
// met both.
func (r *Result) Ratio(row, rival string) (Spread, bool) {
	a, b := r.Row(row), r.Row(rival)
	if a == nil || b == nil || a.Err != nil || b.Err != nil {
		return Spread{}, false
	}
	var ratios []float64
	for i := range min(len(a.Samples), len(b.Samples)) {
		ratios = append(ratios, a.Samples[i].Ns/b.Samples[i].Ns)
	}
	return spread(ratios), len(ratios) > 0
}

// Goal is a target beside what was measured.
type Goal struct {
	Target
	Most float64
	Got  Spread
}

// Reached says whether the median is within the target. Of allocations the
// goroutines of the measurement make a few, which are spread over all calls.
func (g Goal) Reached() bool {
	switch {
	case g.Extra != "":
		return g.Got.Median > g.Most-0.0005 && g.Got.Median < g.Most+0.0005
	case g.Rival == "":
		return g.Got.Median < g.Most+0.05
	}
	return g.Got.Median <= g.Most
}

// Goals returns the targets of the case whose rows were measured.
func (r *Result) Goals() []Goal {
	var goals []Goal
	for _, t := range r.Case.Targets {
		g := Goal{Target: t, Most: t.At(r.CPUs)}
		row, ok := r.Row(t.Row), true
		if row == nil || row.Err != nil {
			continue
		}
		switch {
		case t.Extra != "":
			n := row.Extra[t.Extra]
			g.Got = Spread{n, n, n}
		case t.Rival == "":
			g.Got = row.Of(Allocs)
		default:
			g.Got, ok = r.Ratio(t.Row, t.Rival)
		}
		if ok {
			goals = append(goals, g)
		}
	}
	return goals
}
