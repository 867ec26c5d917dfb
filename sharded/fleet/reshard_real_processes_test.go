//go:build linux

package fleet_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/corralcache/corral/sharded/fleet"
)

// realProcess is what the test knows of a process that it has started.
type realProcess struct {
	cmd    *exec.Cmd
	says   bytes.Buffer // what it prints; read when it has ended
	orders io.WriteCloser

	ended  bool
	exit   error
	ready  bool
	warm   int // how often it has asked for every key
	view   realView
	gates  int // how often it has waited at one
	report *realReport

	applied  bool
	began    []fleet.Checkpoint // from where its migrations went on
	saved    fleet.Checkpoint   // the last one
	migrated []*realMigration
}

type realTold struct {
	*realProcess
	event *realEvent // nil: it has ended
}

// realCrowd is all processes, and what they did.
type realCrowd struct {
	t      *testing.T
	plan   realPlan
	all    []*realProcess
	events chan realTold
	ledger realLedger
}

// start starts the test binary once more. Whatever becomes of the test, its process
// ends with it.
func (c *realCrowd) start(plan realPlan) *realProcess {
	c.t.Helper()
	text, err := json.Marshal(plan)
	must(c.t, err)
	events, writer, err := os.Pipe()
	must(c.t, err)
	cmd := exec.Command(os.Args[0], "-test.run=^TestReshard_RealChild$", "-test.timeout=10m")
	p := &realProcess{cmd: cmd}
	cmd.Env = append(os.Environ(), realEnv+"="+string(text))
	cmd.Stdout, cmd.Stderr = &p.says, &p.says
	cmd.ExtraFiles = []*os.File{writer}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.orders, err = cmd.StdinPipe()
	must(c.t, err)
	must(c.t, cmd.Start())
	must(c.t, writer.Close())
	c.all = append(c.all, p)
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer events.Close()
		for in := json.NewDecoder(events); ; {
			e := new(realEvent)
			if in.Decode(e) != nil { // killed in the middle of a line
				break
			}
			c.events <- realTold{p, e}
		}
		p.exit = cmd.Wait()
		c.events <- realTold{p, nil}
	}()
	c.t.Cleanup(sync.OnceFunc(func() {
		_ = p.orders.Close()
		_ = cmd.Process.Kill()
		for {
			select {
			case <-c.events: // nobody else reads them any more
			case <-over:
				return
			}
		}
	}))
	return p
}

// until takes note of what the processes say until something has happened. The bound
// is for what has gone wrong: no step takes nearly as long.
func (c *realCrowd) until(what string, happened func() bool) {
	c.t.Helper()
	bound := time.NewTimer(2 * time.Minute)
	defer bound.Stop()
	for !happened() {
		select {
		case e := <-c.events:
			c.take(e)
		case <-bound.C:
			c.t.Fatalf("waited for two minutes until %s", what)
		}
	}
}

// take takes note of what a process says.
func (c *realCrowd) take(told realTold) {
	c.t.Helper()
	p, e := told.realProcess, told.event
	switch number := slices.Index(c.all, p); {
	case e == nil:
		p.ended = true
		if p.exit != nil && p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			c.t.Fatalf("process %d: %v\n%s", number, p.exit, p.says.String())
		}
	case e.Ready:
		p.ready = true
	case e.Warm:
		p.warm++
	case e.Load != nil:
		e.Load.Process = number
		c.ledger.loads = append(c.ledger.loads, *e.Load)
	case e.Delete != nil:
		e.Delete.Process = number
		c.ledger.deletes = append(c.ledger.deletes, *e.Delete)
	case e.View != nil:
		p.view = *e.View
	case e.Applied:
		p.applied = true
	case e.Began != nil:
		p.began = append(p.began, *e.Began)
	case e.Saved != nil:
		p.saved = *e.Saved
	case e.Gate:
		p.gates++
	case e.Migrated != nil:
		p.migrated = append(p.migrated, e.Migrated)
	case e.Report != nil:
		p.report = e.Report
		for _, s := range e.Report.Sights {
			s.Process = number
			c.ledger.sights = append(c.ledger.sights, s)
		}
	}
}

// order tells a process what to do.
func (c *realCrowd) order(line string, to ...*realProcess) {
	c.t.Helper()
	for _, p := range to {
		if _, err := io.WriteString(p.orders, line+"\n"); err != nil {
			c.t.Fatal(err)
		}
	}
}

// every reports whether something is so of all.
func every(those []*realProcess, is func(*realProcess) bool) bool {
	return !slices.ContainsFunc(those, func(p *realProcess) bool { return !is(p) })
}
