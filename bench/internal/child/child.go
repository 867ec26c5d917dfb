// Package child runs parts of the benchmark in processes of their own: what
// crashes there, hangs or leaks is that contender's figure and nobody else's.
package child

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// variable, set in its environment, names the part that this process is.
const variable = "CORRAL_BENCH_CHILD"

// Part is what a child does: it is given its argument as JSON and returns what
// is to be handed back so.
type Part func(arg []byte) (any, error)

// Main runs a part and exits, if this process is a child; else it returns.
func Main(parts map[string]Part) {
	name, ok := os.LookupEnv(variable)
	if !ok {
		return
	}
	in := bufio.NewReader(os.Stdin)
	arg, err := in.ReadBytes('\n')
	if err != nil {
		os.Exit(1)
	}
	go func() { // the parent's end closes the pipe
		_, _ = io.Copy(io.Discard, in)
		os.Exit(1)
	}()
	out, err := parts[name](arg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// ErrTime is that a child took too long.
var ErrTime = errors.New("it did not end in time")

// Run runs a part in a child and decodes what it hands back into out. The error
// of a child that died is the first line that it wrote.
func Run(name string, arg, out any, limit time.Duration) error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	line, err := json.Marshal(arg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, ErrTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path)
	cmd.Env = append(os.Environ(), variable+"="+name)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	defer in.Close()
	if err := cmd.Start(); err != nil {
		return err
	}
	_, _ = in.Write(append(line, '\n'))
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return ErrTime
		}
		return fmt.Errorf("its process died: %s", firstLine(stderr.String(), err))
	}
	return json.Unmarshal(stdout.Bytes(), out)
}

func firstLine(s string, err error) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	if line == "" {
		return err.Error()
	}
	const long = 120
	if len(line) > long {
		line = line[:long] + "…"
	}
	return line
}
