package scenario

import "testing"

// Keys that are called distinct are read by one goroutine each; a hot one by all.
func TestShare(t *testing.T) {
	keys := newKeys(1024)
	read := make(map[string]int)
	for worker := range 64 {
		for _, key := range share(keys, worker, 64) {
			read[key]++
		}
	}
	for _, key := range keys {
		if read[key] != 1 {
			t.Fatalf("%d goroutines read %s, want 1", read[key], key)
		}
	}
	for worker := range 64 {
		if own := share(keys[:1], worker, 64); len(own) != 1 {
			t.Fatalf("goroutine %d reads %d keys of one", worker, len(own))
		}
	}
}
