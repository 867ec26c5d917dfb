package redisd

import (
	"os/exec"
	"syscall"
)

// dieWithParent lets the server not outlive a benchmark that was killed.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
