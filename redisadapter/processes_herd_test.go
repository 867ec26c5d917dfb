//go:build linux

package redisadapter_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// herd is what a test knows of the processes that it has started.
type herd struct {
	plan    childPlan
	members map[int]*member // by process id
	events  chan fromMember

	history
	target int
	trap   func(f *herd, m *member) // what to do with one that is trapped
	kills  int
	told   bool // to stop
}

type member struct {
	cmd    *exec.Cmd
	says   bytes.Buffer // what it prints; read when it has ended
	orders io.WriteCloser
	exit   error
	gone   bool // killed
	frozen bool // was stopped for a while
	count  *childCount
}

type fromMember struct {
	*member
	event *childEvent // nil: it has ended
}

// startHerd starts processes and waits until all of them are ready.
func startHerd(t *testing.T, processes int, plan childPlan) *herd {
	t.Helper()
	f := &herd{plan: plan, members: map[int]*member{}, events: make(chan fromMember, 1000)}
	for range processes {
		m := f.startMember(t)
		f.members[m.cmd.Process.Pid] = m
	}
	for range processes {
		if e := f.next(t); e.event == nil || !e.event.Ready {
			t.Fatalf("a process ended at once: %v", e.exit)
		}
	}
	return f
}

// startMember starts the test binary once more. Whatever becomes of the test, its
// process ends with it.
func (f *herd) startMember(t *testing.T) *member {
	t.Helper()
	plan, err := json.Marshal(f.plan)
	must(t, err)
	events, writer, err := os.Pipe()
	must(t, err)
	m := new(member)
	cmd := exec.Command(os.Args[0], "-test.run=^TestProcesses_Child$", "-test.timeout=90s")
	cmd.Env = append(os.Environ(), childEnv+"="+string(plan))
	cmd.Stdout, cmd.Stderr = &m.says, &m.says
	cmd.ExtraFiles = []*os.File{writer}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	orders, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	must(t, writer.Close())
	m.cmd, m.orders = cmd, orders
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer events.Close()
		for in := json.NewDecoder(events); ; {
			e := new(childEvent)
			if in.Decode(e) != nil { // killed in the middle of a line
				break
			}
			f.events <- fromMember{m, e}
		}
		m.exit = cmd.Wait()
		f.events <- fromMember{m, nil}
	}()
	t.Cleanup(sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		for {
			select {
			case <-f.events: // so that nobody waits to send
			case <-read:
				return
			}
		}
	}))
	return m
}

func (f *herd) next(t *testing.T) fromMember {
	t.Helper()
	select {
	case e := <-f.events:
		return e
	case <-time.After(60 * time.Second):
		t.Fatal("the processes are silent")
		return fromMember{}
	}
}

// order tells all processes what to do.
func (f *herd) order(line string) {
	for _, m := range f.members {
		_, _ = io.WriteString(m.orders, line+"\n") // one may be gone
	}
}

// run lets the processes work until target fills were accepted, and have ended.
func (f *herd) run(t *testing.T, target int) {
	t.Helper()
	f.target = target
	f.order("start")
	for left := len(f.members); left > 0; {
		e := f.next(t)
		if e.event == nil {
			left--
			if e.exit != nil && !e.gone {
				t.Errorf("process %d: %v\n%s", e.cmd.Process.Pid, e.exit, e.says.String())
			}
			continue
		}
		f.take(e.member, e.event)
	}
}

// take takes note of what a process says, and does what is to be done then.
func (f *herd) take(m *member, e *childEvent) {
	switch {
	case e.Load != nil:
		f.loads = append(f.loads, *e.Load)
	case e.Delete != nil:
		f.deletes = append(f.deletes, *e.Delete)
	case e.Trap:
		f.trap(f, m)
	case e.Fill != nil:
		f.fills = append(f.fills, *e.Fill)
		if len(f.fills) >= f.target && !f.told {
			f.told = true
			f.order("stop")
		}
	case e.Report != nil:
		m.count = e.Report
		f.sights = append(f.sights, e.Report.Sights...)
		_ = m.orders.Close() // it waits for that
	}
}

// kill ends a process that holds the lease.
func (f *herd) kill(m *member) {
	m.gone = true
	f.kills++
	_ = m.cmd.Process.Kill()
}

// freeze stops a process that holds the lease, until that has run out, and lets
// it go on as if nothing had been.
func (f *herd) freeze(m *member) {
	m.frozen = true
	_ = m.cmd.Process.Signal(syscall.SIGSTOP)
	time.AfterFunc(f.plan.Lease+f.plan.Lease/2, func() {
		_ = m.cmd.Process.Signal(syscall.SIGCONT)
		_, _ = io.WriteString(m.orders, "resume\n")
	})
}

// sum adds up what the processes that lived have counted.
func (f *herd) sum(of func(*childCount) int) (n int) {
	for _, m := range f.members {
		if m.count != nil {
			n += of(m.count)
		}
	}
	return n
}

// last is the greatest of what the processes say.
func (f *herd) last(of func(*childCount) int64) (n int64) {
	for _, m := range f.members {
		if m.count != nil {
			n = max(n, of(m.count))
		}
	}
	return n
}

var errNoReport = errors.New("no report")

// reported wants a report without errors of each process that was not killed.
func (f *herd) reported(t *testing.T) {
	t.Helper()
	for pid, m := range f.members {
		switch {
		case m.gone:
		case m.count == nil:
			t.Errorf("process %d: %v", pid, errNoReport)
		case len(m.count.Errors) > 0:
			t.Errorf("process %d: %q", pid, m.count.Errors)
		}
	}
}
