package redisadapter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/manykeys"
	"github.com/corralcache/corral/internal/pages"
	"github.com/corralcache/corral/internal/stored"
)

var (
	_ corral.Scanner[string, any] = (*Cache[string, any])(nil)
	_ corral.ScanChecker          = (*Cache[string, any])(nil)
	_ corral.Scanner[string, any] = (*PlainCache[string, any])(nil)
	_ corral.ScanChecker          = (*PlainCache[string, any])(nil)
)

// CheckScan returns an [*corral.OptionError] if the options give a Key function and
// no ParseKey, else what [Cache.Check] returns.
func (c *Cache[K, V]) CheckScan() error { return c.server.checkScan() }

// CheckScan returns an [*corral.OptionError] if the options give a Key function and
// no ParseKey, else what [PlainCache.Check] returns.
func (c *PlainCache[K, V]) CheckScan() error { return c.server.checkScan() }

// ScanPage returns the next entries, as [corral.Scanner] has it: one SCAN with the
// Prefix, and one GetMany of what it found. The server looks at count of all its keys
// for a page, whoever's they are, so that a page may be empty. Of a Cluster and of a
// Ring each node has its turn.
//
// A cursor is good in every process, and for as long as the nodes are the same ones:
// if the node it names is gone, the error says so, and the scan has to begin again.
// What moves from one node to another meanwhile may be left out. Over a Ring all
// shards have to be up; with keysOnly it may return keys that are where the Ring no
// longer looks for them.
func (c *Cache[K, V]) ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) (items []corral.ScanItem[K, V], next string, err error) {
	return scanPage(ctx, &c.server, cursor, count, keysOnly, c.GetMany)
}

// ScanPage returns the next values, as [Cache.ScanPage] does, in entries as Get
// returns them. Without a Prefix that is what the whole server holds, and a key that
// looks like one of a lease is left out. With keysOnly, keys that hold no string are
// among them.
func (c *PlainCache[K, V]) ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) (items []corral.ScanItem[K, V], next string, err error) {
	return scanPage(ctx, &c.server, cursor, count, keysOnly, c.GetMany)
}

func (s *server[K]) checkScan() error {
	if s.fault != nil {
		return s.fault
	}
	if s.parse == nil {
		return s.noParseKey("to scan")
	}
	return nil
}

func scanPage[K comparable, V any](ctx context.Context, s *server[K], cursor string, count int, keysOnly bool,
	get func(context.Context, []K) ([]*corral.Entry[V], error)) (items []corral.ScanItem[K, V], next string, err error) {
	if err := cmp.Or(s.checkScan(), pages.CheckCount("redisadapter", count)); err != nil {
		return nil, "", err
	}
	at, err := parseSpot(cursor)
	if err != nil {
		return nil, "", err
	}
	names, after, err := s.scan(ctx, at, count)
	if err != nil {
		return nil, "", err
	}
	keys, err := s.keysOf(names)
	if err != nil {
		return nil, "", err
	}
	if !keysOnly {
		items, err = itemsOf(ctx, keys, get)
		if err != nil {
			return nil, "", err
		}
		return items, after, nil
	}
	for _, key := range keys {
		items = append(items, corral.ScanItem[K, V]{Key: key})
	}
	return items, after, nil
}

// itemsOf reads keys, and leaves out those of which there is nothing, or nothing that
// can be read.
func itemsOf[K comparable, V any](ctx context.Context, keys []K, get func(context.Context, []K) ([]*corral.Entry[V], error)) (items []corral.ScanItem[K, V], err error) {
	entries, err := get(ctx, keys)
	if err != nil && !manykeys.Partial[K](err) {
		return nil, err
	}
	for i, key := range keys {
		switch failed := manykeys.Of(err, key); {
		case failed != nil && !errors.Is(failed, corral.ErrUndecodable):
			return nil, failed
		case failed == nil && entries[i] != nil:
			items = append(items, corral.ScanItem[K, V]{Key: key, Entry: entries[i]})
		}
	}
	return items, nil
}

// keysOf returns the keys with these names. A name that no key of this cache would
// have is somebody else's.
func (s *server[K]) keysOf(names []string) ([]K, error) {
	keys := make([]K, 0, len(names))
	for _, name := range names {
		text, ok := s.unwrite(name)
		if !ok {
			continue
		}
		key, err := stored.Parsed(text, s.parse)
		if panicked := (*corral.PanicError)(nil); errors.As(err, &panicked) {
			return nil, err
		}
		if err != nil {
			continue
		}
		if p, err := s.place(key); err == nil && p.name == name {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// spot is where a scan is: the cursor of a server, and, where there are several,
// its address. The zero spot is the beginning.
type spot struct {
	node   string
	cursor uint64
}

// String is the cursor that [parseSpot] reads.
func (s spot) String() string {
	n := strconv.FormatUint(s.cursor, 10)
	if s.node == "" {
		return n
	}
	return s.node + "/" + n
}

func parseSpot(cursor string) (s spot, err error) {
	if cursor == "" {
		return s, nil
	}
	i := strings.LastIndexByte(cursor, '/')
	s.node = cursor[:max(i, 0)]
	s.cursor, err = strconv.ParseUint(cursor[i+1:], 10, 64)
	if err != nil || s.String() != cursor || s == (spot{}) {
		return s, pages.BadCursor("redisadapter", cursor, "must be empty, or what ScanPage returned")
	}
	return s, nil
}

// scan returns the names that a SCAN finds, and the cursor of the next page.
func (s *server[K]) scan(ctx context.Context, at spot, count int) (names []string, next string, err error) {
	type found struct {
		names []string
		next  string
	}
	f, err := bounded.Do(ctx, func(ctx context.Context) (f found, err error) {
		still := context.WithoutCancel(ctx)
		nodes, err := s.nodes(still)
		if err != nil {
			return f, failed("SCAN", err)
		}
		i, err := nodes.find(at)
		if err != nil {
			return f, err
		}
		var cursor uint64
		f.names, cursor, err = nodes[i].client.Scan(still, at.cursor, s.match, int64(count)).Result()
		switch {
		case err != nil:
			return f, failed("SCAN", err)
		case cursor != 0:
			f.next = spot{nodes[i].addr, cursor}.String()
		case i+1 < len(nodes):
			f.next = spot{nodes[i+1].addr, 0}.String()
		}
		return f, nil
	})
	return f.names, f.next, err
}

// node is a server that holds keys: of several the one at addr.
type node struct {
	addr   string
	client redis.Cmdable
}

type nodes []node

// find returns the index of the node at which a scan is.
func (n nodes) find(at spot) (int, error) {
	if at == (spot{}) {
		return 0, nil
	}
	i := slices.IndexFunc(n, func(n node) bool { return n.addr == at.node })
	if i < 0 {
		return 0, pages.BadCursor("redisadapter", at.String(), "must name a node that holds keys: begin the scan anew")
	}
	return i, nil
}

// nodes returns those that hold keys, in the order of their addresses; one without
// an address if there is only one.
func (s *server[K]) nodes(ctx context.Context) (all nodes, err error) {
	var mu sync.Mutex
	add := func(_ context.Context, c *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, node{c.Options().Addr, c})
		return nil
	}
	switch client := s.client.(type) {
	case *redis.ClusterClient:
		err = client.ForEachMaster(ctx, add)
	case *redis.Ring:
		err = client.ForEachShard(ctx, add)
		if of := len(client.Options().Addrs); err == nil && len(all) < of {
			err = fmt.Errorf("%d of %d shards of the Ring are up: the others' keys would be left out", len(all), of)
		}
	default:
		return nodes{{"", client}}, nil
	}
	slices.SortFunc(all, func(a, b node) int { return cmp.Compare(a.addr, b.addr) })
	if err == nil && len(all) == 0 {
		err = errNoShard
	}
	return all, err
}

// escaped returns the pattern that matches text alone.
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}

// unbraced is braced backwards. The key of a lease ends in no brace.
func unbraced(prefix string) (match string, read func(name string) (text string, ok bool)) {
	before := braced(prefix)("x")
	before = before[:len(before)-len("x}")]
	return escaped(before) + "*}", func(name string) (string, bool) {
		text, ok := strings.CutPrefix(name, before)
		if !ok {
			return "", false
		}
		if text, ok = strings.CutSuffix(text, "}"); !ok {
			return "", false
		}
		return strings.TrimPrefix(text, `\`), true
	}
}

// unprefixed is how Plain's keys are written backwards. With a prefix the key of a
// lease begins with another letter.
func unprefixed(prefix string) (match string, read func(name string) (text string, ok bool)) {
	return escaped(prefix) + "*", func(name string) (string, bool) {
		text, ok := strings.CutPrefix(name, prefix)
		return text, ok && !(prefix == "" && isPlainLease(name))
	}
}

// isPlainLease reports whether name is what [plainLease] makes of some name.
func isPlainLease(name string) bool {
	_, rest, ok := strings.Cut(name, "{")
	if !ok {
		return false
	}
	tag, after, _ := strings.Cut(rest, "}")
	return plainLease(tag) == name || plainLease(strings.TrimPrefix(after, ":")) == name
}
