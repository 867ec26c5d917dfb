package redisadapter

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
)

// scriptBytes is about how long a script is, which is sent along.
const scriptBytes = 1500

// callMany is call for each item; args returns those of one, or why there is
// nothing to send.
func callMany[K comparable](ctx context.Context, s *server[K], b batch, script *redis.Script, args func(item) ([]any, error)) []reply[answer] {
	part := batch{b.items[:min(len(b.items), partKeys)], b.asks}
	got := exchange(ctx, s, part, queueScript(s, script, false, args))
	var again batch
	var at []int
	for i, r := range got {
		if redis.HasErrorPrefix(r.err, "NOSCRIPT") {
			again.items, at = append(again.items, b.items[i]), append(at, i)
		}
	}
	// The script goes along with each: which items have the same node, and the same
	// connection, is up to the client, and this is seen once in a server's life.
	for i, r := range exchange(ctx, s, again, queueScript(s, script, true, args)) {
		got[at[i]] = r
	}
	if rest := b.items[len(part.items):]; len(rest) > 0 {
		got = append(got, callMany(ctx, s, batch{items: rest}, script, args)...)
	}
	return got
}

func queueScript[K comparable](s *server[K], script *redis.Script, whole bool, args func(item) ([]any, error)) queue[answer] {
	send, extra := script.EvalSha, 0
	if whole {
		send, extra = script.Eval, scriptBytes
	}
	return func(pipe redis.Pipeliner, it item) (int, func(trip) (answer, error)) {
		argv, err := args(it)
		if err != nil {
			return 0, func(trip) (answer, error) { return answer{}, err }
		}
		time := "0"
		if pipe.Len() == 0 { // once is enough
			time = s.timer.inScript()
		}
		cmd := send(context.Background(), pipe, []string{it.name, s.leaseOf(it.name)}, append([]any{time}, argv...)...)
		return extra + sizeOf(argv), func(t trip) (answer, error) {
			answered(t.err, cmd)
			return s.read(cmd, t)
		}
	}
}

// sizeOf returns how many bytes a script's arguments are.
func sizeOf(args []any) (n int) {
	for _, arg := range args {
		switch arg := arg.(type) {
		case string:
			n += len(arg)
		case []byte:
			n += len(arg)
		}
	}
	return n
}

// allDone is done for each reply.
func allDone(replies []reply[answer]) []reply[struct{}] {
	out := make([]reply[struct{}], len(replies))
	for i, r := range replies {
		out[i].err = done(r.value, r.err)
	}
	return out
}

// withToken calls a script for each key with a token, one for each.
func (s *server[K]) withToken(ctx context.Context, call string, keys []K, tokens []string, script *redis.Script, args func(it item, token string) []any) error {
	if err := s.leases.checkMany(call, len(keys), len(tokens)); err != nil {
		return err
	}
	tokens = slices.Clone(tokens)
	return doesMany(ctx, s, keys, s.beforeScript, func(ctx context.Context, b batch) []reply[struct{}] {
		return allDone(callMany(ctx, s, b, script, func(it item) ([]any, error) {
			token := tokens[it.at]
			return args(it, token), s.leases.check(token)
		}))
	})
}

func (s *server[K]) renewMany(ctx context.Context, keys []K, tokens []string) error {
	return s.withToken(ctx, "RenewMany", keys, tokens, scriptRenew, func(_ item, token string) []any {
		return s.renewal(token)
	})
}

func (s *server[K]) releaseMany(ctx context.Context, keys []K, tokens []string) error {
	return s.withToken(ctx, "ReleaseMany", keys, tokens, scriptRelease, func(it item, token string) []any {
		return s.ending(it.place, token)
	})
}

// fillMany is fill of what seal returns for each item.
func (s *server[K]) fillMany(ctx context.Context, keys []K, tokens []string, before func(context.Context) (bool, error), seal sealing) error {
	if err := s.leases.checkMany("FillMany", len(keys), len(tokens)); err != nil {
		return err
	}
	tokens = slices.Clone(tokens)
	return doesMany(ctx, s, keys, before, func(ctx context.Context, b batch) []reply[struct{}] {
		w := writing{seal: seal, refused: map[int]error{}}
		return w.settle(b, allDone(callMany(ctx, s, b, scriptFill, func(it item) ([]any, error) {
			token := tokens[it.at]
			if err := s.leases.check(token); err != nil {
				return nil, err
			}
			data, life, err := w.sealed(it)
			return s.filling(it.place, token, data, life), err
		})))
	})
}

// acquisition is what a cache knows of its leases.
type acquisition[V any] struct {
	script   *redis.Script
	requests []corral.LeaseRequest[V]
	seen     func(*corral.Entry[V]) string // as the script takes it

	// changed returns the entry of an answer, or, for what is none, as what it
	// is to be seen when asking again.
	changed func(place, answer) (e *corral.Entry[V], seen string, err error)
}

func acquireMany[K comparable, V any](ctx context.Context, s *server[K], keys []K, q acquisition[V]) ([]corral.Lease[V], error) {
	if err := s.leases.checkMany("AcquireMany", len(keys), len(q.requests)); err != nil {
		return nil, err
	}
	q.requests = slices.Clone(q.requests)
	return many(ctx, s, keys, s.beforeScript, func(ctx context.Context, b batch) []reply[corral.Lease[V]] {
		got := acquireBatch(ctx, s, b, q)
		if ctx.Err() != nil { // nobody waits for them any more
			releaseHeld(context.WithoutCancel(ctx), s, b, got)
		}
		return got
	})
}

// acquireBatch asks again for those that hold what is as good as nothing.
func acquireBatch[K comparable, V any](ctx context.Context, s *server[K], b batch, q acquisition[V]) []reply[corral.Lease[V]] {
	got := none[corral.Lease[V]](b, corral.ErrUndecodable)
	void := map[int]string{} // as what it is to be seen, by the place of the key
	at := make([]int, len(b.items))
	for i := range at {
		at[i] = i
	}
	for try := 0; try == 0 || try < acquireTries && len(b.items) > 0; try++ {
		var again batch
		var where []int
		for i, r := range callMany(ctx, s, b, q.script, acquiring(s, q, void)) {
			it := b.items[i]
			l, seen, err := leaseOf(q, it.place, r)
			if seen != nil {
				void[it.at] = *seen
				again.items, where = append(again.items, it), append(where, at[i])
				continue
			}
			l.Empty = l.Empty || try > 0 && l.State != corral.LeaseChanged
			got[at[i]] = reply[corral.Lease[V]]{l, err}
		}
		b, at = again, where
	}
	return got
}

func acquiring[K comparable, V any](s *server[K], q acquisition[V], void map[int]string) func(item) ([]any, error) {
	return func(it item) ([]any, error) {
		r := q.requests[it.at]
		seen, ok := void[it.at]
		if !ok {
			seen = q.seen(r.Seen)
		}
		return s.acquisition(r.Token, r.Force, seen), s.leases.check(r.Token)
	}
}

// leaseOf reads an answer. seen is not nil if it must be asked again.
func leaseOf[V any](q acquisition[V], p place, r reply[answer]) (l corral.Lease[V], seen *string, err error) {
	if r.err != nil || r.value.outcome != "changed" {
		l, err = leaseFrom[V](r.value, r.err)
		return l, nil, err
	}
	e, as, err := q.changed(p, r.value)
	if e == nil && err == nil {
		return l, &as, nil
	}
	return corral.Lease[V]{State: corral.LeaseChanged, Entry: e}, nil, err
}

// releaseHeld gives back the leases that were got.
func releaseHeld[K comparable, V any](ctx context.Context, s *server[K], b batch, got []reply[corral.Lease[V]]) {
	var held batch
	tokens := map[int]string{}
	for i, r := range got {
		if r.err == nil && r.value.State == corral.LeaseHeld {
			held.items = append(held.items, b.items[i])
			tokens[b.items[i].at] = r.value.Token
		}
	}
	callMany(ctx, s, held, scriptRelease, func(it item) ([]any, error) {
		return s.ending(it.place, tokens[it.at]), nil
	})
}
