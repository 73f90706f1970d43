//go:build !linux

package program

import "syscall"

// endsWithParent asks for nothing: only Linux can kill a process with its parent.
func endsWithParent() *syscall.SysProcAttr { return nil }
