package sharded_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/corralcache/corral/sharded"
	"pgregory.net/rapid"
)

func TestKey(t *testing.T) {
	for want, parts := range map[string][]string{
		"":                nil,
		"0:":              {""},
		"0:0:":            {"", ""},
		"2:ab1:c":         {"ab", "c"},
		"1:a2:bc":         {"a", "bc"},
		"7:2:ab1:c":       {"2:ab1:c"},
		"12:twelve bytes": {"twelve bytes"},
	} {
		if got := sharded.Key(parts...); got != want {
			t.Errorf("Key(%q) = %q, want %q", parts, got, want)
		}
	}
}

// parts takes a key apart. That it can is why no two lists share a key.
func parts(t interface{ Fatalf(string, ...any) }, key string) (list []string) {
	for key != "" {
		digits, rest, _ := strings.Cut(key, ":")
		n, err := strconv.Atoi(digits)
		if err != nil || n > len(rest) {
			t.Fatalf("%q does not begin with a part", key)
		}
		list, key = append(list, rest[:n]), rest[n:]
	}
	return list
}

func TestKeyCanBeTakenApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOf(rapid.OneOf(rapid.String(), rapid.StringMatching(`[0-9:]{0,4}`))).Draw(t, "parts")
		if got := parts(t, sharded.Key(list...)); !slices.Equal(got, list) {
			t.Fatalf("Key(%q) was taken apart into %q", list, got)
		}
	})
}

func FuzzKeysCollideOnlyIfEqual(f *testing.F) {
	f.Add("ab", "c", "a", "bc")
	f.Add("1:", "", "", "1:")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		if got := parts(t, sharded.Key(a, b)); !slices.Equal(got, []string{a, b}) {
			t.Errorf("Key(%q, %q) was taken apart into %q", a, b, got)
		}
		if same := a == c && b == d; (sharded.Key(a, b) == sharded.Key(c, d)) != same {
			t.Errorf("Key(%q, %q) and Key(%q, %q): equal is not %v", a, b, c, d, same)
		}
		if sharded.Key(a, b) == sharded.Key(a+b) || sharded.Key(a, b) == sharded.Key(a, b, "") {
			t.Error("lists of different length share a key")
		}
	})
}
