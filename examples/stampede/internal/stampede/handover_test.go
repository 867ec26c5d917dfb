package stampede

import (
	"context"
	"testing"
)

// The program with a Redis client can be built, gets the flags, and its exit code
// comes back: 2 is that of a flag that is wrong.
func TestHandOver(t *testing.T) {
	if code, err := buildAndRun(t.Context(), withRedis, []string{"-redis", "embedded", "-break", "everything"}); code != 2 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
}

func TestHandOverCannotBuild(t *testing.T) {
	if code, err := buildAndRun(t.Context(), withRedis+"/nothing", nil); err == nil {
		t.Errorf("exit code %d and no error", code)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code, err := buildAndRun(ctx, withRedis, nil); err == nil {
		t.Errorf("interrupted: exit code %d and no error", code)
	}
}
