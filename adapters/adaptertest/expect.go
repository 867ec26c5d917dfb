package adaptertest

import (
	"fmt"
	"time"

	"github.com/corralcache/corral"
)

// entry returns an entry that lives for hours and has a field for every way of
// rounding.
func (p *probe[K, V]) entry(n int) *corral.Entry[V] {
	uneven := time.Duration(n)*time.Second + 123_456_789
	return &corral.Entry[V]{
		Value:    p.Value(n),
		LoadedAt: time.Now(),
		LoadTime: uneven,
		TTL:      time.Hour + uneven,
		Keep:     2*time.Hour + uneven,
	}
}

// lasting is an entry with the value of n that is kept for keep.
func (p *probe[K, V]) lasting(n int, keep time.Duration) *corral.Entry[V] {
	e := p.entry(n)
	e.TTL, e.Keep = min(e.TTL, keep), keep
	return e
}

func (p *probe[K, V]) absent() *corral.Entry[V] {
	e := p.entry(0)
	e.Value, e.Absent = *new(V), true
	return e
}

func (p *probe[K, V]) wantMiss(key K, when string) {
	if e := p.get(key); e != nil {
		p.failf("%s %s found an entry with the value %s, want a miss", call("Get", key), when, show(e.Value))
	}
	if !p.Plain {
		return
	}
	if v, _, ok := p.getValue(key); ok {
		p.failf("%s %s found the value %s, want a miss", call("GetValue", key), when, show(v))
	}
}

// want fails unless key is there, exactly as want says.
func (p *probe[K, V]) want(key K, want *corral.Entry[V], when string) {
	got := p.get(key)
	if got == nil {
		p.failf("%s %s missed, want the entry", call("Get", key), when)
	}
	if diff := p.differ(got, want); diff != "" {
		p.failf("%s %s returned %s", call("Get", key), when, diff)
	}
	if p.Plain {
		p.wantValue(key, want.Value, when)
	}
}

func (p *probe[K, V]) wantValue(key K, want V, when string) {
	switch v, _, ok := p.getValue(key); {
	case !ok:
		p.failf("%s %s missed, want the value", call("GetValue", key), when)
	case !p.Equal(v, want):
		p.failf("%s %s returned the value %s, want %s", call("GetValue", key), when, show(v), show(want))
	}
}

// differ names the first field in which two entries differ, or returns "".
func (p *probe[K, V]) differ(got, want *corral.Entry[V]) string {
	switch {
	case got.Absent != want.Absent:
		return fmt.Sprintf("Absent %v, want %v", got.Absent, want.Absent)
	case !p.Equal(got.Value, want.Value):
		return fmt.Sprintf("the value %s, want %s", show(got.Value), show(want.Value))
	case p.Plain:
		return ""
	case !p.sameTime(got.LoadedAt, want.LoadedAt):
		return fmt.Sprintf("LoadedAt %v, want %v (Granularity %v)", got.LoadedAt, want.LoadedAt, p.Granularity)
	case !p.close(got.LoadTime, want.LoadTime):
		return fmt.Sprintf("LoadTime %v, want %v (Granularity %v)", got.LoadTime, want.LoadTime, p.Granularity)
	case !p.close(got.TTL, want.TTL):
		return fmt.Sprintf("TTL %v, want %v (Granularity %v)", got.TTL, want.TTL, p.Granularity)
	case !p.close(got.Keep, want.Keep):
		return fmt.Sprintf("Keep %v, want %v (Granularity %v)", got.Keep, want.Keep, p.Granularity)
	}
	return ""
}

// sameTime compares with == where nothing may be lost: the monotonic clock is
// part of the time.
func (p *probe[K, V]) sameTime(got, want time.Time) bool {
	switch {
	case got.IsZero() || want.IsZero():
		return got.IsZero() && want.IsZero()
	case p.Granularity == 0:
		return got == want
	}
	return got.Sub(want).Abs() <= p.Granularity
}

// close compares two durations as finely as the store keeps them. Those with
// different signs are told apart before their difference overflows.
func (p *probe[K, V]) close(got, want time.Duration) bool {
	return (got < 0) == (want < 0) && (got-want).Abs() <= p.Granularity
}
