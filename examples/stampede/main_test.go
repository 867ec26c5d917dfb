package main

import (
	"os/exec"
	"strings"
	"testing"
)

// Whoever sees the show for the first time waits for what it is made of to be
// compiled. Most of that would be the Redis client and server, which it does not
// need.
func TestFirstRunIsLight(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for pkg := range strings.Lines(string(out)) {
		if strings.Contains(pkg, "redis") || strings.HasPrefix(pkg, "net/http") || strings.HasPrefix(pkg, "crypto/tls") {
			t.Errorf("the program is made of %s", pkg)
		}
	}
}
