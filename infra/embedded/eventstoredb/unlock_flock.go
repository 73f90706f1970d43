//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package eventstoredb

import (
	"os"
	"syscall"
)

// unlock gives up bbolt's lock on a file that bbolt has mapped and then panicked over: the mapping would keep the
// lock until the process ends.
func unlock(f *os.File) {
	// A file that is closed already has no lock to give up.
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
}
