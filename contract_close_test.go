package corral_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

func TestContract_L1_CloseFreesTheSlotOfARefresh(t *testing.T) {
	both(t, "L1/a load that queued behind a refresh runs", corral.Options{TTL: time.Second, StaleFor: time.Minute, MaxLoads: 1}, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		get(t, l, "k", s.load)
		time.Sleep(2 * time.Second)
		get(t, l, "k", func(ctx context.Context, _ string) (int, error) { // its refresh holds the slot
			<-ctx.Done()
			return 0, ctx.Err()
		})
		synctest.Wait()
		got := make(chan error, 1)
		go func() {
			_, err := l.GetOrLoad(t.Context(), "queued", s.load)
			got <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		if err := l.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
		wantTook(t, "Close", start, 0)
		if err := <-got; err != nil {
			t.Errorf("the caller that queued got %v", err)
		}
	})
}
