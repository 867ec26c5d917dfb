package counting_test

import (
	"math"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral/internal/counting"
)

func TestCounter_IsExact(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	for _, procs := range []int{1, 2, 100} {
		runtime.GOMAXPROCS(procs)
		c := counting.NewCounter()
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				for range 1000 {
					c.Add()
				}
				c.AddN(7)
			})
		}
		all.Wait()
		if n := c.Sum(); n != 32*1007 {
			t.Errorf("GOMAXPROCS %d: %d in place of %d", procs, n, 32*1007)
		}
	}
}

func TestHistogram(t *testing.T) {
	for d, bucket := range map[time.Duration]int{
		-time.Second:               0,
		0:                          0,
		time.Microsecond - 1:       0,
		time.Microsecond:           1,
		2*time.Microsecond - 1:     1,
		2 * time.Microsecond:       2,
		time.Second:                20,
		time.Duration(1<<40) * 1e6: counting.Buckets - 1,
		math.MaxInt64:              counting.Buckets - 1,
	} {
		var h counting.Histogram
		h.Add(d)
		counts, sum := h.Snapshot()
		if counts[bucket] != 1 || sum != d {
			t.Errorf("%v: %v, sum %v; want it in bucket %d", d, counts, sum, bucket)
		}
	}
}
