package redisadapter_test

import (
	"strings"
	"testing"

	"github.com/corralcache/corral/redisadapter"
)

func TestSlotIsThatOfTheSpecification(t *testing.T) {
	if got := redisadapter.Slot("123456789"); got != 0x31C3 { // the specification's own example
		t.Errorf("slot %#x, want 0x31c3", got)
	}
	for _, key := range oddKeys {
		if got := redisadapter.Slot(key); got != slot(key) {
			t.Errorf("%q is in slot %d, want %d", key, got, slot(key))
		}
	}
}

func TestEverySlotHasATag(t *testing.T) {
	for n := range uint16(1 << 14) {
		tag := redisadapter.TagOf(n)
		if len(tag) == 0 || len(tag) > 4 || strings.ContainsAny(tag, "{}") || slot("{"+tag+"}") != n {
			t.Fatalf("the tag of slot %d is %q", n, tag)
		}
	}
}

func TestPlainLeasesAreReadable(t *testing.T) {
	for name, want := range map[string]string{
		"user:42":       "corral{user:42}",
		"cart:42":       "lease{cart:42}",
		"a{b":           "corral{a{b}",
		"{user}:42":     "corral{user}:{user}:42",
		"x{{a}}":        "corral{{a}:x{{a}}",
		"c{}{a}":        "lease{" + redisadapter.TagOf(slot("c{}{a}")) + "}:c{}{a}",
		"a}b":           "corral{" + redisadapter.TagOf(slot("a}b")) + "}:a}b",
		"":              "corral{" + redisadapter.TagOf(0) + "}:",
		"corral{x}":     "lease{x}:corral{x}",
		"lease{cart:1}": "corral{cart:1}:lease{cart:1}",
	} {
		if got := redisadapter.PlainLease(name); got != want {
			t.Errorf("the lease of %q is %q, want %q", name, got, want)
		}
	}
}

// checkPlainLease says what is wrong with the lease of a plain key.
func checkPlainLease(t *testing.T, name string) {
	t.Helper()
	lease := redisadapter.PlainLease(name)
	if slot(lease) != slot(name) {
		t.Errorf("%q is in slot %d, its lease %q in %d", name, slot(name), lease, slot(lease))
	}
	if name != "" && lease[0] == name[0] {
		t.Errorf("%q and its lease %q can have the same prefix", name, lease)
	}
}

func TestPlainLeasesOfOddKeys(t *testing.T) {
	owners := map[string]string{}
	for _, prefix := range []string{"", "users:", "{users}", "c", "corral{x}:", "}", "{"} {
		for _, key := range oddKeys {
			name := prefix + key
			checkPlainLease(t, name)
			lease := redisadapter.PlainLease(name)
			if owner, taken := owners[lease]; taken && owner != name {
				t.Errorf("%q is the lease of %q and of %q", lease, owner, name)
			}
			owners[lease] = name
		}
	}
}

// FuzzPlainLease looks for a lease in another slot than its key, for one of two
// keys, and for one that is a value's name.
func FuzzPlainLease(f *testing.F) {
	for i, key := range oddKeys {
		f.Add(key, oddKeys[len(oddKeys)-1-i])
		f.Add("users:"+key, redisadapter.PlainLease(key))
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		checkPlainLease(t, one)
		if one != two && redisadapter.PlainLease(one) == redisadapter.PlainLease(two) {
			t.Errorf("%q and %q share %q", one, two, redisadapter.PlainLease(one))
		}
	})
}

// The server hashes keys as the adapter believes.
func TestPlainLeasesOnAServer(t *testing.T) {
	client := realClient(t, "--cluster-enabled", "yes")
	for _, prefix := range []string{"", "users:", "{u}", "c"} {
		for _, key := range oddKeys {
			name := prefix + key
			for _, n := range []string{name, redisadapter.PlainLease(name)} {
				got, err := client.ClusterKeySlot(t.Context(), n).Result()
				must(t, err)
				if got != int64(slot(name)) {
					t.Errorf("the server puts %q into slot %d, want %d as for %q", n, got, slot(name), name)
				}
			}
		}
	}
}
