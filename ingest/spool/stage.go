package spool

import (
	"bufio"
	"errors"
	"fmt"
	"os"
)

// Stage collects payloads that shall enter the spool all together or not at all.
// One goroutine may use it; Appends to the spool go on meanwhile.
type Stage struct {
	spool *Spool
	file  *os.File // nil: committed or aborted
	out   *bufio.Writer
	bytes int64
	count uint64
	buf   []byte
}

// Stage begins an empty stage. End it with Commit or Abort.
func (s *Spool) Stage() (*Stage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(s.dir, "stage-*.tmp")
	if err != nil {
		return nil, fmt.Errorf("stage in spool: %w", err)
	}
	st := &Stage{spool: s, file: f, out: bufio.NewWriterSize(f, readBuffer), bytes: headerBytes}
	// The first offset is only known at the commit; until then the place is kept.
	if _, err := st.out.Write(make([]byte, headerBytes)); err != nil {
		st.Abort()
		return nil, fmt.Errorf("stage in spool: %w", err)
	}
	return st, nil
}

// Append adds a payload to the stage. Nothing is synced yet.
func (st *Stage) Append(payload []byte) error {
	if len(payload) > MaxPayloadBytes {
		return fmt.Errorf("stage in spool: a payload of %d bytes is more than %d", len(payload), MaxPayloadBytes)
	}
	if st.file == nil {
		return fmt.Errorf("stage in spool: %w", ErrClosed)
	}
	st.buf = appendFrame(st.buf[:0], st.count, payload)
	if _, err := st.out.Write(st.buf); err != nil {
		return fmt.Errorf("stage in spool: %w", err)
	}
	st.bytes += int64(len(st.buf))
	st.count++
	return nil
}

// Len returns how many payloads the stage holds.
func (st *Stage) Len() uint64 { return st.count }

// Commit puts the payloads behind everything appended so far, as a segment of
// their own, and returns their first and last offset; last is first-1 if there
// were none. It returns after file and folder are synced.
//
// The one rename is the commit: a crash before it leaves a temporary file that the
// next Open removes, a crash after it leaves the whole stage in the spool. After
// an error the spool holds all or nothing; if that is unknown it refuses to go on
// until it is opened again.
func (st *Stage) Commit() (first, last uint64, err error) {
	defer st.Abort()
	s := st.spool
	if st.file == nil {
		return 0, 0, fmt.Errorf("commit to spool: %w", ErrClosed)
	}
	err = st.out.Flush()
	if err == nil {
		// The long sync is done before the lock, so that Appends do not wait for it.
		err = st.file.Sync()
	}
	if err != nil {
		return 0, 0, fmt.Errorf("commit to spool: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return 0, 0, err
	}
	first = s.next
	if st.count == 0 {
		return first, first - 1, nil
	}
	_, err = st.file.WriteAt(appendHeader(nil, first), 0)
	if err == nil {
		err = st.file.Sync()
	}
	if err != nil {
		return 0, 0, fmt.Errorf("commit to spool: %w", err)
	}
	if err := s.seal(); err != nil {
		s.failed = err
		return 0, 0, err
	}
	last = first + st.count - 1
	if err := s.adopt(st.file, Segment{First: first, Last: last, Bytes: st.bytes}); err != nil {
		return 0, 0, fmt.Errorf("commit to spool: %w", err)
	}
	s.next = last + 1
	return first, last, nil
}

// Abort drops the stage. After Commit it does nothing.
func (st *Stage) Abort() {
	if st.file == nil {
		return
	}
	name := st.file.Name()
	_ = errors.Join(st.file.Close(), os.Remove(name)) // committed: the name is gone; otherwise the next Open removes it
	st.file = nil
}
