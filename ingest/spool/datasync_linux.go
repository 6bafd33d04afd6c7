package spool

import (
	"errors"
	"os"
	"syscall"
)

// datasync leaves out the times of the file, which nobody reads. Without a change of
// size that saves a write to the journal of the file system.
func datasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
