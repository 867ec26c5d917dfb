package corral_test

import (
	"fmt"
	"time"

	"github.com/corralcache/corral"
)

// A load that took a second may be repeated in the last 37 s of its entry.
func ExampleEntry_Quiet() {
	e := corral.Entry[string]{Value: "v", LoadedAt: time.Now(), LoadTime: time.Second, TTL: time.Hour, Keep: time.Hour}
	fmt.Println(e.Quiet().Truncate(time.Second))
	// Output: 59m23s
}
