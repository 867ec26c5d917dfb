package layered

import "context"

// Listen hears what far hears: other processes' writes. Near's copy of a key is
// dropped before drop is called with it. Called without a key, drop says that
// announcements are heard from now on, or that some may have been missed: all
// copies are dropped, and from then on copies live as long as their entries.
// When Listen returns, all are dropped again, and live briefly
// (Options.Unheard) until another Listen hears.
//
// Over a far cache that hears of no writes, Listen waits for the end of ctx.
func (c *Cache[K, V]) Listen(ctx context.Context, drop func(keys ...K)) error {
	if c.listener == nil {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	hears := false
	defer func() {
		if hears {
			c.era.lost()
		}
	}()
	return c.listener.Listen(ctx, func(keys ...K) {
		if len(keys) == 0 {
			c.era.heard(!hears)
			hears = true
		}
		for _, key := range keys {
			c.forget(ctx, key)
		}
		drop(keys...)
	})
}

// forget drops the copy of a key that another process wrote. What cannot be
// dropped dies with all others: nobody is there to be told.
func (c *Cache[K, V]) forget(ctx context.Context, key K) {
	if err := c.drop(ctx, key); err != nil {
		c.era.forget()
		c.report(err)
	}
}
