package redisadapter_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// ear records what a Listener tells.
type ear[K comparable] struct {
	got []string // written by Listen's goroutine; read after synctest.Wait
	end chan error
}

// listenTo listens until ctx ends.
func listenTo[K comparable](ctx context.Context, c corral.Listener[K]) *ear[K] {
	e := &ear[K]{end: make(chan error, 1)}
	go func() {
		e.end <- c.Listen(ctx, func(keys ...K) {
			e.got = append(e.got, strings.Trim(fmt.Sprint(keys), "[]"))
		})
	}()
	return e
}

// heard wants the calls of drop since the last look, an empty text for one
// without a key.
func (e *ear[K]) heard(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if !slices.Equal(e.got, want) {
		t.Errorf("heard %q, want %q", e.got, want)
	}
	e.got = nil
}

func (e *ear[K]) ended(t *testing.T) error {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-e.end:
		return err
	default:
		t.Error("Listen goes on")
		return nil
	}
}

func TestListenHearsWhatOthersWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, client := mini(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		c, other := users(client), users(client)
		p, plainOther := plainUsers(client), plainUsers(client)
		bare := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "users", NoLease: true})
		stranger := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "users2"})
		entries, values := listenTo(ctx, c), listenTo(ctx, p)
		entries.heard(t, "")
		values.heard(t, "")

		for _, w := range []corral.Cache[int, User]{other, bare} {
			must(t, w.Set(ctx, 42, entry("Ann")))
			must(t, w.Delete(ctx, -1))
			entries.heard(t, "42", "-1")
		}
		must(t, plainOther.Set(ctx, 42, entry("Ann")))
		must(t, plainOther.SetValue(ctx, 43, User{}, time.Minute))
		must(t, plainOther.Delete(ctx, 44))
		values.heard(t, "42", "43", "44")

		for _, own := range []corral.Cache[int, User]{c, p, stranger} { // H11: and what has another prefix
			must(t, own.Set(ctx, 42, entry("Ann")))
			must(t, own.Delete(ctx, 42))
		}
		must(t, other.Delete(ctx, 42))
		entries.heard(t, "42")
		acquire(t, other, "a")
		must(t, other.Renew(ctx, 42, "a"))
		must(t, other.Fill(ctx, 42, "a", entry("Ann"))) // a load is no write: copies are as good as before
		must(t, other.Release(ctx, 42, "a"))
		entries.heard(t)

		time.Sleep(time.Hour) // pings keep it up
		must(t, other.Delete(ctx, 7))
		entries.heard(t, "7")
		cause := errors.New("the Loader was closed")
		cancel(cause)
		for _, end := range []error{entries.ended(t), values.ended(t)} {
			if !errors.Is(end, cause) {
				t.Errorf("Listen = %v, want the context's cause", end)
			}
		}
		must(t, other.Delete(t.Context(), 8))
		entries.heard(t)
		time.Sleep(time.Second)
	})
}

// What cannot be read may have been any key's.
func TestListenDropsAllForWhatItCannotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, client := mini(t)
		ctx, cancel := context.WithCancel(t.Context())
		c := redisadapter.New(client, redisadapter.Options[int8, User]{Prefix: "users"})
		e := listenTo(ctx, c)
		e.heard(t, "")
		author := strings.Repeat("x", 26)
		for message, want := range map[string]string{
			author + "42": "42", author: "", author + "x": "", author + "128": "", author + "4 2": "", "": "", "x": "", "\xff": "",
		} {
			must(t, client.Publish(ctx, "users:writes", message).Err())
			e.heard(t, want)
		}
		panics := redisadapter.New(client, redisadapter.Options[int, User]{
			Prefix: "users", ParseKey: func(string) (int, error) { panic("boom") },
		})
		p := listenTo(ctx, panics)
		p.heard(t, "")
		must(t, client.Publish(ctx, "users:writes", author+"42").Err())
		p.heard(t, "")
		cancel()
		time.Sleep(time.Second)
	})
}

type (
	id    uint16
	label string
	point struct{ X, Y int }
)

func TestKeysTravelAsText(t *testing.T) {
	travel(t, redisadapter.Options[string, string]{}, "", "a", "{", "}x", `\`, "\x00\xff", "a\r\nb")
	travel(t, redisadapter.Options[label, string]{}, "", "x")
	travel(t, redisadapter.Options[id, string]{}, 0, math.MaxUint16)
	travel(t, redisadapter.Options[int64, string]{}, math.MinInt64, math.MaxInt64)
	travel(t, redisadapter.Options[uint64, string]{}, 0, math.MaxUint64)
	travel(t, redisadapter.Options[point, string]{
		Key: func(p point) string { return fmt.Sprintf("%d,%d", p.X, p.Y) },
		ParseKey: func(text string) (p point, err error) {
			_, err = fmt.Sscanf(text, "%d,%d", &p.X, &p.Y)
			return p, err
		},
	}, point{1, -2})
	travel(t, redisadapter.Options[int, string]{
		Key:      func(n int) string { return strconv.FormatInt(int64(n), 16) },
		ParseKey: func(text string) (int, error) { n, err := strconv.ParseInt(text, 16, 64); return int(n), err },
	}, 255)
}

func travel[K comparable](t *testing.T, opts redisadapter.Options[K, string], keys ...K) {
	synctest.Test(t, func(t *testing.T) {
		_, _, client := mini(t)
		ctx, cancel := context.WithCancel(t.Context())
		var got []K
		go func() {
			_ = redisadapter.New(client, opts).Listen(ctx, func(keys ...K) { got = append(got, keys...) })
		}()
		synctest.Wait()
		for _, key := range keys {
			must(t, redisadapter.New(client, opts).Delete(ctx, key))
		}
		synctest.Wait()
		if !slices.Equal(got, keys) {
			t.Errorf("heard of %v, want %v", got, keys)
		}
		cancel()
		time.Sleep(time.Second)
	})
}

// Announcements carry text: without a way back there is nothing to hear, and
// everything else works.
func TestListenNeedsParseKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, client := mini(t)
		c := redisadapter.New(client, redisadapter.Options[int, User]{Key: strconv.Itoa})
		must(t, c.Check())
		must(t, c.Delete(t.Context(), 1))
		p := redisadapter.Plain(client, redisadapter.Options[point, User]{Key: func(point) string { return "" }})
		for _, err := range []error{
			c.Listen(t.Context(), func(...int) {}), p.Listen(t.Context(), func(...point) {}),
		} {
			var fault *corral.OptionError
			if !errors.As(err, &fault) || !strings.Contains(err.Error(), "ParseKey is nil: required to hear") {
				t.Errorf("Listen = %v, want what is missing", err)
			}
		}
		if err := users(nil).Listen(t.Context(), func(...int) {}); err == nil || err.Error() != users(nil).Check().Error() {
			t.Errorf("Listen = %v, want what Check says", err)
		}
	})
}

// H1, H2: whoever cannot hear says so within a second.
func TestListenNoticesThatItCannotHear(t *testing.T) {
	for name, c := range map[string]struct {
		fault  func(*redistest.Wire)
		within time.Duration
	}{
		"a server that is gone":   {(*redistest.Wire).TakeDown, 0},
		"a server that is silent": {func(w *redistest.Wire) { w.Swallow(true) }, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, wire, client := mini(t)
				e := listenTo(t.Context(), users(client))
				e.heard(t, "")
				time.Sleep(time.Minute)
				c.fault(wire)
				time.Sleep(c.within)
				err := e.ended(t)
				wantFailure(t, err)
				e.heard(t)
				if !strings.HasPrefix(fmt.Sprint(err), "redisadapter: SUBSCRIBE: ") {
					t.Errorf("err = %v", err)
				}
				wire.Swallow(false)
				_ = client.Close()
				time.Sleep(10 * time.Second)
			})
		})
	}
}

// Also where it never began, and where the user may not.
func TestListenWithoutAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, wire, client := mini(t)
		m.SetError("NOPERM this user has no permissions to access one of the channels used as arguments")
		wantFailure(t, users(client).Listen(t.Context(), func(...int) { t.Error("heard") }))
		m.SetError("")
		wire.Swallow(true)
		ctx := timeout(t, 100*time.Millisecond)
		start := time.Now()
		if err := users(client).Listen(ctx, func(...int) { t.Error("heard") }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Listen = %v", err)
		}
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("took %v, want 100ms", took)
		}
		time.Sleep(time.Minute)
		wire.Swallow(false)
		must(t, client.Close())
		if err := users(client).Listen(t.Context(), func(...int) {}); !errors.Is(err, redis.ErrClosed) {
			t.Errorf("Listen = %v, want the client's", err)
		}
	})
}
