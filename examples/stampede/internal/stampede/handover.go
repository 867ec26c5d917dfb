package stampede

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// withRedis is the program with a Redis client. Compiling that takes twice as long
// as all the rest, for a flag that few give: the first run does without.
const withRedis = "github.com/corralcache/corral/examples/stampede/withredis"

// handOver builds the program with a Redis client, runs it in this one's place and
// exits as it does.
func handOver(ctx context.Context, args []string) {
	code, err := buildAndRun(ctx, withRedis, args)
	if err != nil {
		code = 1
		fmt.Fprintln(os.Stderr, "stampede:", err)
	}
	os.Exit(code)
}

// buildAndRun is go run, but for the exit code, which go run makes 1, and signals,
// which it does not pass on. The program gets an interrupt when ctx ends.
func buildAndRun(ctx context.Context, pkg string, args []string) (code int, err error) {
	dir, err := os.MkdirTemp("", "corral-stampede-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, filepath.Base(pkg)+".exe") // the end is Windows' wish
	if err := command(ctx, "go", "build", "-o", program, pkg).Run(); err != nil {
		return 0, fmt.Errorf("go build %s: %w", pkg, err)
	}
	err = command(ctx, program, args...).Run()
	if failed := new(exec.ExitError); errors.As(err, &failed) && failed.Exited() {
		return failed.ExitCode(), nil
	}
	return 0, err
}

func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, name, args...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	return c
}
