package redisadapter_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
)

func text(n int) string { return strings.Repeat("x", n) }

func wantRefused(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, corral.ErrRefused) {
		t.Errorf("err = %v, want ErrRefused", err)
	}
}

// wantFailure wants an error that counts as one of the cache's.
func wantFailure(t *testing.T, err error) {
	t.Helper()
	if err == nil || errors.Is(err, corral.ErrUndecodable) || errors.Is(err, corral.ErrRefused) {
		t.Errorf("err = %v, want a failure of the cache", err)
	}
}

// clockText is a reply to TIME.
func clockText() string {
	now := time.Now()
	return "*2\r\n" + redistest.Bulk(fmt.Sprint(now.Unix())) + redistest.Bulk(fmt.Sprint(now.Nanosecond()/1000))
}

// says returns a client of a server that tells the time and says reply to all
// else.
func says(t *testing.T, reply string) *redis.Client {
	return redistest.Client(t, redistest.Script(t, func(args []string) string {
		if args[0] == "TIME" {
			return clockText()
		}
		return reply
	}))
}

func TestContract_A1_ErrorRepliesAreErrors(t *testing.T) {
	for _, reply := range []string{
		"OOM command not allowed when used memory > 'maxmemory'.",
		"READONLY You can't write against a read only replica.",
		"LOADING Redis is loading the dataset in memory",
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
		"MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk.",
		"CLUSTERDOWN The cluster is down",
		"TRYAGAIN Multiple keys request during rehashing of slot",
		"MOVED 3999 127.0.0.1:6381",
		"ASK 3999 127.0.0.1:6381",
		"NOAUTH Authentication required.",
		"NOPERM this user has no permissions to run the 'get' command",
		"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
		"ERR max number of clients reached",
		"ERR unknown command 'GET', with args beginning with: 'users:{42}' 'Ann' ",
		"ERR unknown command `GET`, with args beginning with: `users:{42}`, `Ann`, ",
		"",
	} {
		t.Run(reply, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for name, call := range calls(says(t, "-"+reply+"\r\n")) {
					err := call(t.Context())
					wantFailure(t, err)
					wantNoSecret(t, name, err)
					var whole redis.Error
					if !errors.As(err, &whole) || whole.Error() != reply {
						t.Errorf("%s: %v does not lead to the server's whole error", name, err)
					}
					if code, _, _ := strings.Cut(reply, " "); !strings.Contains(fmt.Sprint(err), code) {
						t.Errorf("%s: %v does not say %s", name, err, code)
					}
				}
			})
		})
	}
}

// wantNoSecret wants an error without key and value, F15 of what can go wrong.
func wantNoSecret(t *testing.T, name string, err error) {
	t.Helper()
	for _, secret := range []string{"users", "42", "Ann", "hunter2"} {
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the text %q holds %q", name, err, secret)
		}
	}
}

// Whatever the server says, every call comes back, and no value is made of it.
func TestOddRepliesAreErrors(t *testing.T) {
	for _, reply := range []string{
		redistest.HangUp,
		"$100\r\nAnn" + redistest.HangUp,
		"$3\r\nAnn" + redistest.HangUp,
		"$" + redistest.HangUp,
		"Ann at users:42\r\n",
		"\r\n",
		"\x00\xff\r\n",
		"$Ann\r\n",
		"$-5\r\n",
		"$4611686018427387904\r\n", // a claim that makes the client panic
		"*2\r\n:1\r\n:2\r\n",
		"*-1\r\n",
		"%1\r\n+a\r\n+b\r\n",
		"(12345678901234567890\r\n",
		",nan\r\n",
		"#t\r\n",
		"!5\r\nERR x\r\n",
		"+Ann\r\n",
		redistest.Bulk("Ann"),
		redistest.Bulk(""),
		redistest.Bulk("\xC7"),
		redistest.Bulk("\xC7\x01" + text(59)),
		redistest.Bulk("hunter2"),
	} {
		t.Run(fmt.Sprintf("%.20q", reply), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := says(t, reply)
				e, err := users(client).Get(t.Context(), 42)
				if e != nil || err == nil && !strings.HasPrefix(reply, "*-1") {
					t.Errorf("Get = %v, %v; want an error", e, err)
				}
				for name, call := range calls(client) {
					wantNoSecret(t, name, call(timeout(t, time.Minute)))
				}
			})
		})
	}
}

// Replies mixed up on a connection show up as another key's.
func TestContract_A5_MixedUpReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, client := mini(t)
		must(t, users(client).Set(t.Context(), 7, fresh(User{Name: "Bob"})))
		bob, err := m.Get("users:{7}")
		must(t, err)
		e, err := users(says(t, redistest.Bulk(bob))).Get(t.Context(), 42)
		if e != nil || !errors.Is(err, corral.ErrUndecodable) {
			t.Errorf("Get = %v, %v; want ErrUndecodable", e, err)
		}
	})
}

func TestContract_A2_AMistypedKeyIsUndecodableAndHeals(t *testing.T) {
	for _, heal := range []string{"Set", "Delete", "SetValue", "plain Set", "plain Delete"} {
		t.Run(heal, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, _, client := mini(t)
				for _, key := range []string{"users:{42}", "users:42"} {
					_, err := m.Lpush(key, "Ann")
					must(t, err)
				}
				read := "Get"
				if !strings.Contains("Set Delete", heal) {
					read = "GetValue"
				}
				call := calls(client)
				err := call[read](t.Context())
				if !errors.Is(err, corral.ErrUndecodable) || !redis.HasErrorPrefix(err, "WRONGTYPE") {
					t.Errorf("err = %v, want ErrUndecodable and the server's WRONGTYPE", err)
				}
				wantNoSecret(t, read, err)
				must(t, call[heal](t.Context()))
				must(t, call[read](t.Context()))
			})
		})
	}
}

// A plain value that another program wrote and the codec cannot read.
func TestContract_A4_AForeignPlainValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, client := mini(t)
		must(t, m.Set("users:42", "Ann, hunter2"))
		_, _, ok, err := plainUsers(client).GetValue(t.Context(), 42)
		if ok || !errors.Is(err, corral.ErrUndecodable) {
			t.Errorf("GetValue = %v, %v; want ErrUndecodable", ok, err)
		}
		wantNoSecret(t, "GetValue", err)
	})
}

// Another program writes the key between PTTL and GET.
func TestAPlainKeyThatComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask := func(pttl, get string) (time.Duration, bool, error) {
			client := redistest.Client(t, redistest.Script(t, func(args []string) string {
				return map[string]string{"PTTL": pttl, "GET": get}[args[0]]
			}))
			_, life, ok, err := plainUsers(client).GetValue(t.Context(), 42)
			return life, ok, err
		}
		ann := redistest.Bulk(`{"Name":"Ann"}`)
		for _, c := range []struct {
			name, pttl, get string
			life            time.Duration
			ok              bool
		}{
			{"there", ":1500\r\n", ann, 1500 * time.Millisecond, true},
			{"endless", ":-1\r\n", ann, -1, true},
			{"in its last millisecond", ":0\r\n", ann, 0, true},
			{"not there", ":-2\r\n", "$-1\r\n", 0, false},
			{"gone in between", ":1500\r\n", "$-1\r\n", 0, false},
			{"written in between", ":-2\r\n", ann, 0, false},
		} {
			if life, ok, err := ask(c.pttl, c.get); life != c.life || ok != c.ok || err != nil {
				t.Errorf("%s: %v, %v, %v; want %v, %v", c.name, life, ok, err, c.life, c.ok)
			}
		}
		_, ok, err := ask("-ERR no\r\n", ann)
		if ok {
			t.Error("a value without a life was served")
		}
		wantFailure(t, err)
	})
}
