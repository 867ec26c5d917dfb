package corral_test

import (
	"context"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// spread is a set of keys that were stored at one instant and of which each is
// read once every period.
type spread struct {
	ttl    time.Duration
	takes  time.Duration // the load time, Δ
	beta   float64       // EarlyExpiry
	jitter float64
	period time.Duration
}

// ofTTL returns, for every read, the probability that the refresh of an entry
// with this TTL has started by then. The read at age a starts it
//
//   - for sure, if a is the TTL or more: the entry is stale;
//   - never, if more than half the TTL is left: the lead is capped there;
//   - else with the probability that −Δ·β·ln(U) reaches what is left, which for
//     U uniform in (0,1] is exp(−left/(Δ·β)).
//
// Draws are independent, so what has not started by a read is the product of
// what each one so far did not start.
func (s spread) ofTTL(ttl float64) []float64 {
	law := make([]float64, 0, int(s.ttl/s.period)+1)
	notYet := 1.0
	for age := 0.0; age < float64(s.ttl+s.period); age += float64(s.period) {
		left := ttl - age
		switch {
		case left <= 0:
			notYet = 0
		case left <= ttl/2 && s.beta > 0:
			notYet *= 1 - math.Exp(-left/(s.beta*float64(s.takes)))
		}
		law = append(law, 1-notYet)
	}
	return law
}

// law returns, for every read, the probability that the refresh of a key has
// started by then: the mean of ofTTL over the TTLs that Jitter makes, which are
// uniform from ttl·(1−jitter) to ttl.
func (s spread) law() []float64 {
	const steps = 4000
	mean := make([]float64, int(s.ttl/s.period)+1)
	for i := range steps {
		share := (float64(i) + 0.5) / steps
		for k, p := range s.ofTTL(float64(s.ttl) * (1 - s.jitter*share)) {
			mean[k] += p / steps
		}
	}
	return mean
}

// distance is the greatest between law and the share of keys whose refresh had
// started by each read (Kolmogorov and Smirnov). Both only change at reads, so
// the distance at the reads is the distance. For a law of steps the critical
// values of a continuous one are on the safe side.
func distance(law []float64, ages []time.Duration, period time.Duration) float64 {
	by := make([]float64, len(law))
	for _, age := range ages {
		by[min(int(age/period), len(law)-1)]++
	}
	worst, sum := 0.0, 0.0
	for k := range law {
		sum += by[k] / float64(len(ages))
		worst = max(worst, math.Abs(sum-law[k]))
	}
	return worst
}

// critical is what the distance of n draws from their own law exceeds once in
// 10,000 times: 2·exp(−2·n·d²) = 1e-4.
func critical(n int) float64 { return math.Sqrt(math.Log(2/1e-4) / 2 / float64(n)) }

// refreshes loads n keys at once, reads each of them once every period, and
// returns how old each entry was when its refresh started.
func (s spread) refreshes(t *testing.T, n int) []time.Duration {
	l := newLoader(t, memadapter.New[int, int](), corral.Options{
		TTL: s.ttl, StaleFor: time.Hour, EarlyExpiry: s.beta, Jitter: s.jitter, MaxRefreshes: n,
	})
	crowd(n, func(key int) {
		_, _ = l.GetOrLoad(t.Context(), key, func(context.Context, int) (int, error) {
			time.Sleep(s.takes)
			return 0, nil
		})
	})
	stored := time.Now()
	ages := make([]time.Duration, n)
	var mu sync.Mutex
	refresh := func(_ context.Context, key int) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		ages[key] = time.Since(stored)
		return 0, nil
	}
	s.readAll(t, l, ages, refresh)
	return ages
}

// readAll reads every key that was not refreshed yet, once every period. It
// begins when half of the shortest TTL is over, or without early expiry that
// whole TTL: reads before are fresh beyond doubt.
func (s spread) readAll(t *testing.T, l *corral.Loader[int, int], ages []time.Duration, refresh corral.LoadFunc[int, int]) {
	first := time.Duration(float64(s.ttl) * (1 - s.jitter))
	if s.beta > 0 {
		first /= 2
	}
	first -= first % s.period
	time.Sleep(first)
	for age := first; age <= s.ttl && slices.Contains(ages, 0); age += s.period {
		for key := range ages {
			if ages[key] != 0 {
				continue
			}
			if _, err := l.GetOrLoad(t.Context(), key, refresh); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait() // the refreshes are in the background
		time.Sleep(s.period)
	}
}

// 10,000 keys are stored at one instant. Jitter and early expiry spread their
// refreshes as the law of each says, and of both together.
func TestStampede_KeysStoredTogetherSpreadTheirLoads(t *testing.T) {
	const keys = 10_000
	both := spread{ttl: time.Minute, takes: 3 * time.Second, beta: 1, jitter: 0.3, period: 500 * time.Millisecond}
	jitter, early, capped, neither := both, both, both, both
	jitter.beta, early.jitter, neither.beta, neither.jitter = 0, 0, 0, 0
	capped.takes = 15 * time.Second // draws that reach beyond half the TTL
	for _, c := range []struct {
		name   string
		keys   spread
		law    spread
		spread bool
	}{
		{"jitter", jitter, jitter, true},
		{"early expiry", early, early, true},
		{"jitter and early expiry", both, both, true},
		{"lead capped at half the TTL", capped, capped, true},
		{"control: neither", neither, both, false},
	} {
		bubble(t, c.name, func(t *testing.T) {
			ages := c.keys.refreshes(t, keys)
			d, bound := distance(c.law.law(), ages, c.law.period), critical(keys)
			if follows := d <= bound; follows != c.spread {
				t.Errorf("distance to the law is %.4f, critical value %.4f: follows it: %v, want %v", d, bound, follows, c.spread)
			}
			t.Logf("distance %.4f, critical value %.4f", d, bound)
		})
	}
}
