package sender

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"photofinish/rules"
)

// refusal is one line of the file of refused events.
type refusal struct {
	Offset  uint64          `json:"offset,string"`
	Refused rules.Instant   `json:"refused"` // when, by this machine's clock
	Node    string          `json:"node"`
	Status  int             `json:"status"`
	Reason  string          `json:"reason"` // in the node's words
	Event   json.RawMessage `json:"event"`  // as it was sent
}

// refusals sets events aside. Only Run's goroutine writes; before may be called by any
// with the sender's lock held.
type refusals struct {
	path     string
	maxBytes int64
	count    atomic.Uint64

	// unwritten are those that the disk did not take. They are tried again, and the mark
	// stays before the first of them, so that they are not lost: the spool has them.
	unwritten []refusal
	forgotten bool          // there were too many of them: the mark stays until the next start
	held      atomic.Uint64 // the lowest offset of unwritten; 0: none
}

// maxUnwritten bounds the refused events in memory.
const maxUnwritten = 10_000

// before returns the mark for what was sent up to an offset.
func (f *refusals) before(acked uint64) uint64 {
	if held := f.held.Load(); held > 0 {
		return min(acked, held-1)
	}
	return acked
}

// add sets events aside, synced, with those that could not be written before.
func (f *refusals) add(r ...refusal) error {
	f.count.Add(uint64(len(r)))
	f.unwritten = append(f.unwritten, r...)
	if len(f.unwritten) == 0 {
		return nil
	}
	if err := f.write(); err != nil {
		if f.held.Load() == 0 {
			f.held.Store(f.unwritten[0].Offset) // they come in order
		}
		n := len(f.unwritten)
		if n > maxUnwritten {
			f.unwritten, f.forgotten = f.unwritten[:maxUnwritten], true
		}
		return fmt.Errorf("set %d refused events aside in %s: %w", n, f.path, err)
	}
	f.unwritten = nil
	if !f.forgotten {
		f.held.Store(0)
	}
	return nil
}

func (f *refusals) write() (err error) {
	var b []byte
	for _, r := range f.unwritten {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		b = append(append(b, line...), '\n')
	}
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if size+int64(len(b)) > f.maxBytes {
		return fmt.Errorf("it has %d bytes and may have %d: look at what is refused, then move it away", size, f.maxBytes)
	}
	if _, err := file.Write(b); err != nil {
		return errors.Join(err, file.Truncate(size)) // half a line would spoil the next
	}
	err = file.Sync()
	if err == nil && size == 0 {
		err = syncFolder(filepath.Dir(f.path)) // its name may be new
	}
	return err
}

func syncFolder(path string) error {
	d, err := os.Open(path) //nolint:gosec // the sender's own folder
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
