package adaptertest

// valueClauses are about values that a cache may take for something else.
func valueClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "zero-value",
			rule:  "The zero value of V is a value: Set then Get finds it.",
			why:   "An empty string, a zero or a nil that the source did return is loaded again by every caller, for ever.",
			cause: "A miss told by the value (v == zero, len == 0, nil) and not by what the store said.",
			check: checkZeroValue[K, V],
		},
		{
			name:  "odd-values",
			rule:  "No value is special: whatever V can hold comes back as it was, and is neither absent nor a miss.",
			why:   "A user's value that equals a reserved one reads as absent, as somebody's lock or as another value.",
			cause: "Absence or a lock kept as a reserved value (\"*\", \"\", \"null\") in place of a flag beside the value; a codec that loses bytes that are not UTF-8.",
			check: checkOddValues[K, V],
		},
	}
}

func checkZeroValue[K comparable, V any](p *probe[K, V]) {
	e := p.entry(0)
	e.Value = *new(V)
	p.put(p.Key(0), e)
	p.want(p.Key(0), e, "after Set of the zero value")
	p.put(p.Key(0), p.entry(1))
	p.put(p.Key(0), e)
	p.want(p.Key(0), e, "after Set of the zero value over another")
}

func checkOddValues[K comparable, V any](p *probe[K, V]) {
	p.put(p.Key(0), p.absent())
	values := p.oddValues
	for n := range 32 {
		values = append(values[:len(values):len(values)], p.Value(n))
	}
	for n, v := range values {
		e := p.entry(n)
		e.Value = v
		p.put(p.Key(n+1), e)
		p.want(p.Key(n+1), e, "after Set of "+show(v))
	}
}
