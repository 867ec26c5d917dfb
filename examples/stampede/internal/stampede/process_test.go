package stampede

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral/examples/stampede/internal/report"
)

// parentVariable makes the test binary a process that starts a source, prints
// the source's process id and waits to be killed.
const parentVariable = "CORRAL_STAMPEDE_PARENT"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(sourceVariable) != "":
		exit(runSource(), 1)
	case os.Getenv(parentVariable) != "":
		p, err := startProcess(func(report.Event) {})
		if err != nil {
			exit(err, 1)
		}
		fmt.Println(p.command.Process.Pid)
		select {}
	}
	os.Exit(m.Run())
}

func TestProcess(t *testing.T) {
	var log []report.Event
	p, err := startProcess(func(e report.Event) { log = append(log, e) })
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(p)
	if err := c.begin(); err != nil {
		t.Error(err)
	}
	if v, err := c.load(t.Context(), "key"); err != nil || v.Version != 1 {
		t.Errorf("load = %+v, %v", v, err)
	}
	if version, err := c.bump("key"); err != nil || version != 2 {
		t.Errorf("bump = %d, %v", version, err)
	}
	if _, err := c.ask("get", "key"); err != nil { // its reply is not waited for
		t.Error(err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	var got []string
	for _, e := range log {
		got = append(got, fmt.Sprint(e.Kind, " ", e.Key, " ", e.Version, " ", e.Count))
	}
	if want := "query key 1 0, query key 2 0, source  0 2"; strings.Join(got, ", ") != want {
		t.Errorf("logged %q, want %q", strings.Join(got, ", "), want)
	}
	if state := p.command.ProcessState; state == nil || !state.Success() {
		t.Errorf("the source ended with %v", state)
	}
}

// The source holds the standard error of the process that started it: that pipe
// ends when both are gone.
func TestProcessDiesWithItsParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"=1")
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	parent.Stderr = theirs
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	parent.Wait() // says that it was killed
	if err := stderr.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(stderr); err != nil {
		t.Errorf("the source lives on: %v (it said %q)", err, said)
		if orphan, err := os.FindProcess(child); err == nil {
			orphan.Kill()
		}
	}
}

// A source whose parent died before it connected ends too.
func TestSourceEndsWithItsInput(t *testing.T) {
	source := exec.Command(os.Args[0])
	source.Env = append(os.Environ(), sourceVariable+"=1")
	stdin, err := source.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := source.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(20*time.Second, func() { source.Process.Kill() })
	defer kill.Stop()
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || !strings.HasPrefix(address, "127.0.0.1:") {
		t.Errorf("the source said %q, %v", address, err)
	}
	stdin.Close()
	if source.Wait(); source.ProcessState.ExitCode() != 1 {
		t.Errorf("the source ended with %v", source.ProcessState)
	}
}
