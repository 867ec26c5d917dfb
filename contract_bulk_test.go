package corral_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

func TestContract_B1_OneLoadOfWhatItOwns(t *testing.T) {
	opts := corral.Options{TTL: time.Minute}
	overBulk(t, "B1/hits, joined and owned", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := &bulkSource{took: time.Second}
		got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b"}, s.load)
		wantMany(t, got, err, map[string]int{"a": 1, "b": 1})
		synctest.Wait()
		go l.GetOrLoad(t.Context(), "c", s.one)
		time.Sleep(time.Second / 2)
		start := time.Now()
		got, err = l.GetOrLoadMany(t.Context(), []string{"d", "a", "c", "e", "b"}, s.load)
		wantMany(t, got, err, map[string]int{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1})
		wantTook(t, "the batch", start, time.Second)
		s.wantCalls(t, []string{"a", "b"}, []string{"c"}, []string{"d", "e"})
		if stats := l.Stats(); stats.Hits != 2 || stats.Misses != 6 || stats.Shared != 1 || stats.Loads != 3 {
			t.Errorf("%+v", stats)
		}
	})
}
