package program

import "syscall"

// endsWithParent has the system kill a process with its parent, so that nothing outlives tests that crash.
func endsWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
