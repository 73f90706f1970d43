//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package eventstoredb

import "os"

// unlock does nothing where closing a file gives up its lock.
func unlock(*os.File) {}
