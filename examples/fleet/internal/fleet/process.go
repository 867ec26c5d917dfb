package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral/examples/fleet/internal/report"
)

// roleVariable, set in its environment, makes this program a process of the fleet.
const roleVariable = "CORRAL_FLEET_ROLE"

// process is a process of the fleet, seen from the one that started it.
type process struct {
	command *exec.Cmd
	ended   chan struct{} // closed when it has
	failed  error         // to be read then

	mu    sync.Mutex
	tells io.WriteCloser // guarded by mu, as all below
	last  word
}

// startProcess runs this program again in a role.
func startProcess(r role) (*process, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	p := &process{command: exec.Command(path), ended: make(chan struct{})}
	p.last.Number = r.Number
	p.command.Env = append(os.Environ(), roleVariable+"="+string(text))
	p.command.Stderr = os.Stderr
	// This pipe stays open for as long as this process lives, and is what tells
	// the other one that it does not.
	if p.tells, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	says, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start process %d: %w", r.Number, err)
	}
	go func() {
		defer close(p.ended)
		p.failed = errors.Join(p.listen(says), p.command.Wait())
	}()
	return p, nil
}

// listen keeps what the process says last.
func (p *process) listen(says io.Reader) error {
	for lines := json.NewDecoder(says); ; {
		var w word
		err := lines.Decode(&w)
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) { // the latter if it was killed
			return nil
		}
		if err != nil {
			return err
		}
		p.mu.Lock()
		w.Killed = p.last.Killed
		p.last = w
		p.mu.Unlock()
	}
}

// counts returns what the process said last.
func (p *process) counts() report.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last.Process
}

// tell gives the process a command. One that is gone hears nothing.
func (p *process) tell(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.tells, format+"\n", args...)
}

// kill ends the process at once; it has no time to release what it holds.
func (p *process) kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last.Killed = true
	return p.command.Process.Kill()
}

// stop tells the process to end, and waits until it has.
func (p *process) stop() error {
	p.tell("stop")
	<-p.ended
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tells.Close()
	err := p.failed
	if err == nil && !p.last.Final {
		err = errors.New("it ended without a last word")
	}
	if err == nil || p.last.Killed {
		return nil
	}
	return fmt.Errorf("process %d: %w", p.last.Number, err)
}

// lost reports whether the process has ended and nobody wanted that.
func (p *process) lost() bool {
	select {
	case <-p.ended:
		return !p.counts().Killed
	default:
		return false
	}
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// runRole is the main function of a process of the fleet. An interrupt, which a
// terminal sends to all, it leaves to the one that started it.
func runRole(text string) error {
	signal.Ignore(os.Interrupt)
	redis.SetLogger(silent{}) // a subscription that ends with its client would be a line
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return fmt.Errorf("%s: %w", roleVariable, err)
	}
	return runMember(r, os.Stdin, os.Stdout)
}
