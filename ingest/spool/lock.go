//go:build unix

package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// maxPIDText bounds what is read of the lock file to name its owner.
const maxPIDText = 20

// lock takes the folder for this process until the returned file is closed or the
// process ends, however it ends.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return nil, fmt.Errorf("open spool lock: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		// The number is only read by people, so failing to write it costs nothing.
		if f.Truncate(0) == nil {
			_, _ = fmt.Fprintf(f, "%d\n", os.Getpid())
		}
		return f, nil
	}
	owner := make([]byte, maxPIDText)
	n, _ := io.ReadFull(f, owner)
	_ = f.Close()
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return nil, fmt.Errorf("%w: %s is held by process %q", ErrLocked, path, strings.TrimSpace(string(owner[:n])))
}
