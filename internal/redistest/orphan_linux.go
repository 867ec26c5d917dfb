package redistest

import (
	"os/exec"
	"syscall"
)

// endWithUs has the system end the process if the test's ends without cleaning
// up, as one does that ran into its time-out.
func endWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
