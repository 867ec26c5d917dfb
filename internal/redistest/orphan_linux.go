package redistest

import "syscall"

// endWithUs has the system end the process if the test's ends without cleaning
// up, as one does that ran into its time-out.
func endWithUs(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
