package redisadapter

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
)

// sealing returns the bytes to store for an item and how long they have to live:
// 0 if the key is to hold nothing, as it is with [corral.ErrRefused].
type sealing func(item) (data []byte, life time.Duration, err error)

func sealNothing(item) ([]byte, time.Duration, error) { return nil, 0, nil }

// writing is a batch that is being written. What is refused leaves nothing behind,
// as in [server.store].
type writing struct {
	seal    sealing
	refused map[int]error // by the place of the key
}

// sealed returns what to write for an item, or why there is nothing to write.
func (w writing) sealed(it item) (data []byte, life time.Duration, err error) {
	data, life, err = w.seal(it)
	if errors.Is(err, corral.ErrRefused) {
		w.refused[it.at] = err
		return nil, 0, nil
	}
	return data, life, err
}

// settle adds to what the server said what was refused. Of two errors the
// server's is worse news.
func (w writing) settle(b batch, got []reply[struct{}]) []reply[struct{}] {
	for i, it := range b.items {
		if got[i].err == nil {
			got[i].err = w.refused[it.at]
		}
	}
	return got
}

// storeMany is store of what seal returns for each item.
func (s *server[K]) storeMany(ctx context.Context, keys []K, before func(context.Context) (bool, error), seal sealing) error {
	return doesMany(ctx, s, keys, before, func(ctx context.Context, b batch) []reply[struct{}] {
		w := writing{seal: seal, refused: map[int]error{}}
		if s.leases.off {
			return w.settle(b, s.putValues(ctx, b, w))
		}
		got := allDone(callMany(ctx, s, b, scriptWrite, func(it item) ([]any, error) {
			data, life, err := w.sealed(it)
			return s.written(it.place, data, life), err
		}))
		for i, r := range got {
			if redis.HasErrorPrefix(r.err, "TRYAGAIN") {
				got[i].err = s.putAgain(ctx, b.items[i], w)
			}
		}
		return w.settle(b, got)
	})
}

// putAgain is putInSteps of what was sealed.
func (s *server[K]) putAgain(ctx context.Context, it item, w writing) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	data, life, err := w.sealed(it)
	if err != nil {
		return err
	}
	return s.putInSteps(context.WithoutCancel(ctx), it.place, data, life)
}

// putValues is putValue for each item. One server takes all in the order in which
// it was sent. Of several one need not have carried out a write when another gets
// the announcement, which waits.
func (s *server[K]) putValues(ctx context.Context, b batch, w writing) []reply[struct{}] {
	got := exchange(ctx, s, b, s.queuePut(w))
	if s.one {
		return got
	}
	var news batch
	var at []int
	for i, r := range got {
		if r.err == nil {
			news.items, at = append(news.items, b.items[i]), append(at, i)
		}
	}
	for i, r := range exchange(ctx, s, news, s.queueNews) {
		got[at[i]] = r
	}
	return got
}

func (s *server[K]) queuePut(w writing) queue[struct{}] {
	return func(pipe redis.Pipeliner, it item) (int, func(trip) (struct{}, error)) {
		data, life, err := w.sealed(it)
		if err != nil {
			return 0, func(trip) (struct{}, error) { return struct{}{}, err }
		}
		read := s.queueSet(pipe, it.place, data, life)
		announced := func(trip) (struct{}, error) { return struct{}{}, nil }
		if s.one {
			_, announced = s.queueNews(pipe, it)
		}
		return len(data), func(t trip) (struct{}, error) {
			if err := read(t); err != nil {
				return struct{}{}, err
			}
			return announced(t)
		}
	}
}

// queueSet is set in a pipeline. DEL and PUBLISH answer with a number, and a typed
// command that got no answer would have one too: 0.
func (s *server[K]) queueSet(pipe redis.Pipeliner, p place, data []byte, life time.Duration) func(trip) error {
	name, cmd := "DEL", redis.Cmder(nil)
	if life == 0 {
		cmd = pipe.Do(context.Background(), "del", p.name)
	} else {
		name, cmd = "SET", pipe.Set(context.Background(), p.name, data, px(life))
	}
	return func(t trip) error {
		answered(t.err, cmd)
		return failed(name, cmd.Err())
	}
}

// queueNews announces a write.
func (s *server[K]) queueNews(pipe redis.Pipeliner, it item) (int, func(trip) (struct{}, error)) {
	cmd := pipe.Do(context.Background(), "publish", s.news.written, s.news.message(it.place))
	return 0, func(t trip) (struct{}, error) {
		answered(t.err, cmd)
		if err := cmd.Err(); !unknown(err) {
			return struct{}{}, failed("PUBLISH", err)
		}
		return struct{}{}, nil
	}
}
