//go:build unix

package redistest

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup makes cmd, before it starts, the first of a process group, so that
// what it forks ends with it.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithUs(cmd.SysProcAttr)
}

// end kills the group of a process that has not been waited for: until then
// nobody else has its number.
func end(p *os.Process)          { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
func pause(p *os.Process) error  { return p.Signal(syscall.SIGSTOP) }
func resume(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
