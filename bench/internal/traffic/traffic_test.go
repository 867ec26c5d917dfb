package traffic

import "testing"

func TestKeys(t *testing.T) {
	if got := Text(42); got != "key:000000000042" {
		t.Errorf("Text(42) = %q, want 16 bytes that end in 42", got)
	}
	zipf := Zipf()
	counts := make(map[int]int)
	for _, key := range zipf {
		counts[key]++
	}
	if n := len(zipf); n&(n-1) != 0 || counts[0] < n/50 || len(counts) < 10_000 {
		t.Errorf("%d calls, %d of them for the first of %d keys: that is no Zipf traffic", n, counts[0], len(counts))
	}
	if a, b := zipf[:100], Zipf()[:100]; [100]int(a) != [100]int(b) {
		t.Error("two runs have different traffic")
	}
}

func TestTrace(t *testing.T) {
	trace, err := Trace()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(trace); n&(n-1) != 0 || n < 4096 || len(Different(trace)) < 1000 {
		t.Errorf("%d calls of %d keys: that is not Ristretto's trace", n, len(Different(trace)))
	}
}
