//go:build unix

package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lockPoll is how often a lock that is taken is tried again. Polling instead of
// a blocking flock lets a context end the wait.
const lockPoll = 5 * time.Millisecond

// A fileLock is an advisory lock of a whole file, of an open file and not of a
// process: two locks of one process exclude each other as those of two do. The
// kernel frees it when the file is closed or its process ends in any way. It is
// not inherited by programs that the process runs.
type fileLock struct{ file *os.File }

// openLock opens, or creates, the lock file at path without locking it.
func openLock(path string) (*fileLock, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // #nosec G304 -- the paths are ours
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	return &fileLock{file: file}, nil
}

// try takes the lock, or changes its kind, without waiting, and reports whether
// it could. A lock that could not be changed is lost.
func (l *fileLock) try(kind int) (bool, error) {
	err := l.flock(kind | syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// wait takes the lock, trying until ctx is done.
func (l *fileLock) wait(ctx context.Context, kind int) error {
	t := time.NewTicker(lockPoll)
	defer t.Stop()
	for {
		if ok, err := l.try(kind); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", l.file.Name(), context.Cause(ctx))
		case <-t.C:
		}
	}
}

// block takes the lock however long that takes.
func (l *fileLock) block(kind int) error { return l.flock(kind) }

// release frees the lock. It may be called twice.
func (l *fileLock) release() { _ = l.file.Close() }

func (l *fileLock) flock(how int) error {
	for {
		err := syscall.Flock(int(l.file.Fd()), how)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("lock %s: %w", l.file.Name(), err)
		}
		return err
	}
}

// lockFile opens the lock file at path and takes the lock, trying until ctx is
// done.
func lockFile(ctx context.Context, path string, kind int) (*fileLock, error) {
	l, err := openLock(path)
	if err != nil {
		return nil, err
	}
	if err := l.wait(ctx, kind); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}
