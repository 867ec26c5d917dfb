package fleet_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

// A cursor of a group that no page returned is an error that says so: one that is cut off, and
// one by which a replica would not be visited.
func TestZones_CursorsOfNoPage(t *testing.T) {
	f, _ := newRegion(time.Minute).process(t, "a", replicated(1, 1, "a", "b", "c"), fleet.Options[string]{})
	for _, cursor := range []string{
		"0", ":", "x:", "-1:", "3:", "0-", "0-:", "0-3:", "0--1:", "0-0,0:", "0-0,:", "0 :", "99999999999999999999:",
		"0-1:", "0-2:", "1-2:", "1-0,2:", // nothing is left for the end before it was come to
	} {
		_, _, err := fleet.PageOfGroup(t.Context(), f, cursor, 10)
		wantOption(t, err, "ScanPage: cursor", fmt.Sprintf("%q", cursor))
	}
	for _, cursor := range []string{"0:", "2:", "1-0:", "2-0,1:", "0-0:", "0-0,2:", "2-2:"} {
		_, _, err := fleet.PageOfGroup(t.Context(), f, cursor, 10)
		must(t, err)
	}
}

// Whatever a scan of a group is begun with, and whichever replicas fail, it comes to an end.
func FuzzZones_Cursor(f *testing.F) {
	for _, cursor := range []string{"", "0:", "1-0:", "0-1:", "2-0,1:0", "0-0:1", "1-1:ff", "0-0,1,2:"} {
		for failing := range 8 {
			f.Add(cursor, uint8(failing))
		}
	}
	f.Fuzz(func(t *testing.T, cursor string, failing uint8) {
		group, ways := newRegion(time.Minute).process(t, "a", replicated(1, 1, "a", "b", "c"), fleet.Options[string]{})
		stocked(t, group, 20)
		for i, id := range []string{"g0 a", "g0 b", "g0 c"} {
			if failing&(1<<i) != 0 {
				ways[id].scan = errDown
			}
		}
		for pages := 0; ; pages++ {
			_, next, err := fleet.PageOfGroup(t.Context(), group, cursor, 5)
			if bad := (*corral.OptionError)(nil); err != nil && !errors.As(err, &bad) && !errors.Is(err, errDown) {
				t.Fatalf("the error is %v", err)
			}
			if cursor = next; err != nil || next == "" {
				return
			}
			if pages > 100 {
				t.Fatalf("no end, at %q", cursor)
			}
		}
	})
}
