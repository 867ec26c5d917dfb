package stampede

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"github.com/corralcache/corral/examples/stampede/internal/report"
)

// sourceVariable, set in its environment, makes this program the source.
const sourceVariable = "CORRAL_STAMPEDE_SOURCE"

// process is a source in a process of its own: what a herd does to it, it cannot
// do to the measurement, and its log is not the measured program's word.
type process struct {
	net.Conn
	command *exec.Cmd
	lines   *bufio.Reader
	logged  chan error // receives once the log has ended
}

// startProcess runs this program again as the source and connects to it. Every
// event of the source's log goes to log, from one goroutine.
func startProcess(log func(report.Event)) (*process, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{command: exec.Command(path), logged: make(chan error, 1)}
	p.command.Env = append(os.Environ(), sourceVariable+"=1")
	p.command.Stderr = os.Stderr
	// The child's standard input stays open for as long as this process lives,
	// and is what tells the child that it does not.
	stdin, err := p.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start the source: %w", err)
	}
	p.lines = bufio.NewReader(stdout)
	if err := p.connect(); err != nil {
		stdin.Close()
		return nil, errors.Join(err, p.command.Wait())
	}
	go func() { p.logged <- readLog(p.lines, log) }()
	return p, nil
}

// connect dials the address that the source prints as its first line.
func (p *process) connect() error {
	address, err := p.lines.ReadString('\n')
	if err != nil {
		return fmt.Errorf("the source did not say where it listens: %w", err)
	}
	p.Conn, err = net.Dial("tcp", strings.TrimSpace(address))
	return err
}

func readLog(lines io.Reader, log func(report.Event)) error {
	for events := json.NewDecoder(lines); ; {
		var e report.Event
		err := events.Decode(&e)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the source's log: %w", err)
		}
		log(e)
	}
}

// stop ends the connection, upon which the source finishes what it has begun,
// closes its log and exits. A source that does not is killed.
func (p *process) stop() error {
	if err := p.Close(); err != nil {
		return err
	}
	kill := time.AfterFunc(5*time.Second, func() { p.command.Process.Kill() })
	defer kill.Stop()
	return errors.Join(<-p.logged, p.command.Wait())
}

// runSource is the child's main. It dies with its parent: the pipe that is its
// standard input ends then, however the parent ended. An interrupt, which a
// terminal sends to both, it leaves to the parent.
func runSource() error {
	signal.Ignore(os.Interrupt)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	listener.Close() // one service, one connection
	lines := json.NewEncoder(os.Stdout)
	newSource(func(e report.Event) { lines.Encode(e) }).serve(conn)
	return nil
}
