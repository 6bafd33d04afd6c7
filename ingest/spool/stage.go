package spool

import (
	"fmt"
	"math"
	"path/filepath"
)

// Stage collects payloads that shall enter the spool all together or not at all, as
// a segment of their own. One goroutine may use it; Appends to the spool go on meanwhile.
type Stage struct {
	spool *Spool
	file  File // nil: committed or aborted
	path  string
	h     header
	pos   int64  // of s.buf in the file
	jump  uint32 // numbers that stand before its first
	free  bool   // of the quota
	count uint64
	buf   []byte
}

// Stage begins an empty stage. End it with Commit or Abort.
func (s *Spool) Stage() (*Stage, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	if err := s.roomFor(readBuffer); err != nil {
		return nil, fmt.Errorf("stage in spool: %w", err)
	}
	return s.stage()
}

func (s *Spool) stage() (*Stage, error) {
	st := &Stage{spool: s, h: header{salt: s.o.random(), flags: flagStaged}, pos: bodyAt}
	st.path = filepath.Join(s.dir, fmt.Sprintf("stage-%016x%s", st.h.salt, tmpSuffix))
	f, err := s.disk.Create(st.path)
	if err != nil {
		return nil, fmt.Errorf("stage in spool: %w", err)
	}
	st.file = f
	return st, nil
}

// Append adds a payload to the stage. Nothing is synced yet. It fails with ErrFull
// where the stage grows beyond what the spool may take.
func (st *Stage) Append(payload []byte) error {
	switch {
	case len(payload) > MaxPayloadBytes:
		return fmt.Errorf("stage in spool: a payload of %d bytes is more than %d", len(payload), MaxPayloadBytes)
	case st.file == nil:
		return fmt.Errorf("stage in spool: %w", ErrClosed)
	case st.count+uint64(st.jump) >= math.MaxUint32-boundSpan:
		return fmt.Errorf("stage in spool: %d events are too many; import them in parts", st.count)
	}
	st.add(frame{kind: kindEvent, number: st.jump + uint32(st.count), payload: payload})
	st.count++
	if len(st.buf) < hurriedBytes {
		return nil
	}
	if !st.free {
		if err := st.spool.roomFor(int64(len(st.buf))); err != nil {
			return fmt.Errorf("stage in spool: %w", err)
		}
	}
	return st.flush()
}

func (st *Stage) add(f frame) {
	st.buf = appendFrame(st.buf, st.h.salt, st.pos+int64(len(st.buf)), f)
}

func (st *Stage) flush() error {
	if _, err := st.file.WriteAt(st.buf, st.pos); err != nil {
		return fmt.Errorf("stage in spool: %w", err)
	}
	st.pos += int64(len(st.buf))
	st.buf = st.buf[:0]
	return nil
}

// Len returns how many payloads the stage holds.
func (st *Stage) Len() uint64 { return st.count }

// Commit puts the payloads behind everything appended so far and returns their first
// and last offset; last is first-1 if there were none. It is a round by itself: it
// returns after file and folder are synced.
//
// The one rename is the commit: a crash before it leaves a temporary file that the
// next Open removes, a crash after it leaves the whole stage in the spool. After
// an error nothing of it was promised; a later Open may find all of it or nothing.
func (st *Stage) Commit() (first, last uint64, err error) {
	defer st.Abort()
	if st.file == nil {
		return 0, 0, fmt.Errorf("commit to spool: %w", ErrClosed)
	}
	s := st.spool
	if st.count > 0 {
		// The long sync is done before the lock, so that Appends do not wait for it.
		if err := st.finish(); err != nil {
			return 0, 0, err
		}
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.usable(); err != nil {
		return 0, 0, err
	}
	if err := s.settle(); err != nil {
		return 0, 0, fmt.Errorf("commit to spool: %w", err)
	}
	first = s.Last() + 1
	if st.count == 0 {
		return first, first - 1, nil
	}
	s.seal()
	if err := st.commit(first); err != nil {
		return 0, 0, err
	}
	return first, first + st.count - 1, nil
}

// finish writes the closing mark and syncs all of it.
func (st *Stage) finish() error {
	end := st.jump + uint32(st.count)
	st.add(frame{kind: kindMark, number: end, synced: end})
	if err := st.flush(); err != nil {
		return err
	}
	if err := st.file.Sync(); err != nil {
		return fmt.Errorf("commit to spool: %w", err)
	}
	return nil
}

// commit puts a finished stage in place as the segment that begins at first. The
// caller holds writing and has sealed the active segment.
func (st *Stage) commit(first uint64) error {
	next := first + uint64(st.jump) + st.count
	st.h.first, st.h.bound, st.h.size = first, next, st.pos
	if err := st.spool.place(st.file, st.path, st.h, next, st.pos); err != nil {
		return fmt.Errorf("commit to spool: %w", err)
	}
	st.file = nil
	return nil
}

// Abort drops the stage. After Commit it does nothing.
func (st *Stage) Abort() {
	if st.file != nil {
		st.spool.drop(st.file, st.path)
		st.file = nil
	}
}
