//go:build unix

package reward

import (
	"os/exec"
	"syscall"
)

// isolate puts a command in a process group of its own, and returns what kills
// all that is left of it.
func isolate(cmd *exec.Cmd) (kill func()) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return func() {
		if cmd.Process != nil {
			_ = cmd.Cancel() // no process left is as good
		}
	}
}
