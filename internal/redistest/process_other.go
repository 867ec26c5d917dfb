//go:build !unix

package redistest

import (
	"errors"
	"os"
	"os/exec"
)

func ownGroup(*exec.Cmd)       {}
func end(p *os.Process)        { _ = p.Kill() }
func pause(*os.Process) error  { return errors.ErrUnsupported }
func resume(*os.Process) error { return errors.ErrUnsupported }
