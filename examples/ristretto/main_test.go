package main

import (
	"strings"
	"testing"
	"testing/synctest"
)

// The output is the same at every run: the time is the bubble's.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		if err := run(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		const want = `1000 callers at once, source queries: 1
cold          {user 7}, loaded, in 100ms, error <nil>; Cache-Status: corral; fwd=uri-miss; stored; ttl=2
fresh         {user 7}, hit, in 0s, error <nil>; Cache-Status: corral; hit; ttl=1
past its TTL  {user 7}, stale, in 0s, error <nil>; Cache-Status: corral; hit; ttl=-1
refreshed     {user 7}, hit, in 0s, error <nil>; Cache-Status: corral; hit; ttl=1
source queries: 3
`
		if out.String() != want {
			t.Errorf("got:\n%s\nwant:\n%s", &out, want)
		}
	})
}
