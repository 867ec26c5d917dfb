package singleflight_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/corralcache/corral/sharded/singleflight"
)

// crashes runs the test again in a process of its own, in which scene must crash
// with a panic that a recover on the caller's goroutine does not stop.
func crashes(t *testing.T, scene func(g *singleflight.Group)) {
	const inside = "SINGLEFLIGHT_CRASH"
	if os.Getenv(inside) == t.Name() {
		defer func() {
			recover()
			os.Exit(0) // a crash is a different exit code
		}()
		scene(new(singleflight.Group))
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("the process lived on:\n%s", out)
	}
	for _, want := range []string{"panic: no luck", "singleflight_test.panics"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in the crash dump:\n%s", want, out)
		}
	}
}

func TestPanicInDoChanCrashesTheProcess(t *testing.T) {
	crashes(t, func(g *singleflight.Group) {
		<-g.DoChan("key", func() (any, error) { return panics("no luck") })
	})
}

func TestPanicInADoThatDoChanJoinedCrashesTheProcess(t *testing.T) {
	crashes(t, func(g *singleflight.Group) {
		began, goOn := make(chan struct{}), make(chan struct{})
		go func() {
			defer func() { recover() }()
			g.Do("key", func() (any, error) {
				close(began)
				<-goOn
				return panics("no luck")
			})
		}()
		<-began
		results := g.DoChan("key", nil)
		close(goOn)
		<-results
	})
}
