//go:build unix

package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// FS is what the spool asks of a disk. Tests put one in between that fails or
// forgets; everybody else uses OS, which an own FS may embed.
type FS interface {
	// Lock takes a folder for this process until it is closed, or fails with ErrLocked.
	Lock(dir string) (io.Closer, error)
	// MkdirAll creates a folder and those above it where it is missing. Those above it
	// are synced then, its own name perhaps not yet if it was there.
	MkdirAll(dir string) error
	ReadDir(dir string) ([]Entry, error)
	// Open opens a file for reading alone.
	Open(path string) (File, error)
	// Create opens a file for reading and writing that must not exist.
	Create(path string) (File, error)
	// Place gives a file another name, which must not be taken: fs.ErrExist.
	Place(from, to string) error
	// Rename gives a file another name and replaces what has it.
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes what was done to the names in a folder durable.
	SyncDir(dir string) error
	// Free returns how many bytes can still be written to the disk of a folder.
	Free(dir string) (int64, error)
}

// File is an open file of an FS.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync returns once content and size are on the disk. After an error nothing is
	// known of any byte that was written since the last one.
	Sync() error
	// Datasync is Sync for a file that has kept its size.
	Datasync() error
}

// Entry is one name in a folder.
type Entry struct {
	Name  string
	Bytes int64 // 0 for what is not a file
}

// OS is the FS of the operating system.
type OS struct{}

type osFile struct{ *os.File }

func (f osFile) Datasync() error { return datasync(f.File) }

// Lock implements FS. The folder itself is locked: there is no file beside it that
// somebody could delete, and the lock ends with the process however that ends.
func (OS) Lock(dir string) (io.Closer, error) {
	d, err := os.Open(dir) //nolint:gosec // the operator names the folder
	if err != nil {
		return nil, fmt.Errorf("open the spool: %w", err)
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = d.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrLocked, dir)
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return d, nil
}

// MkdirAll implements FS.
func (o OS) MkdirAll(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("create the spool: %w", err)
	}
	info, err := os.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("create the spool: %s is not a folder", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create the spool: %w", err)
	}
	// All of them: a kill may have left one that was created and not synced. Those that
	// may not be opened are not ours.
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		if err := o.SyncDir(parent); err != nil && !notOurs(err) {
			return err
		}
		if parent == filepath.Dir(parent) {
			return nil
		}
	}
}

// notOurs tells that a folder above the spool cannot be synced by this process, or by
// anybody, which is no failure of the disk.
func notOurs(err error) bool {
	return errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EINVAL)
}

// ReadDir implements FS.
func (OS) ReadDir(dir string) ([]Entry, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the spool: %w", err)
	}
	entries := make([]Entry, 0, len(list))
	for _, e := range list {
		info, err := e.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue // removed since
		}
		if err != nil {
			return nil, fmt.Errorf("read the spool: %w", err)
		}
		if !info.Mode().IsRegular() {
			entries = append(entries, Entry{Name: e.Name()})
			continue
		}
		entries = append(entries, Entry{e.Name(), info.Size()})
	}
	return entries, nil
}

// Open implements FS.
func (OS) Open(path string) (File, error) {
	f, err := os.Open(path) //nolint:gosec // in the spool's own folder
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Create implements FS.
func (OS) Create(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // in the spool's own folder
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Place implements FS. A crash between its two steps leaves both names.
func (OS) Place(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	_ = os.Remove(from) // a temporary name; the next start removes it
	return nil
}

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (OS) Remove(path string) error { return os.Remove(path) }

// SyncDir implements FS.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the spool's own folder
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// Free implements FS.
func (OS) Free(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("read what is free at %s: %w", dir, err)
	}
	return int64(uint64(st.Bavail) * uint64(st.Bsize)), nil //nolint:unconvert // the types differ between systems
}
