package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// state is what state.json holds beside its sum. It is a hint: all of it can be found
// again from the segments and the log. And it is a second witness of the newest
// segment, whose loss nothing else would show.
type state struct {
	Segment uint64 `json:"segment"` // the running number of the newest
	Bound   uint64 `json:"bound"`   // and its bound
	Pruned  uint64 `json:"pruned"`  // every offset up to this was removed, or may be
	Lost    spans  `json:"lost"`
	Void    spans  `json:"void"`
}

const (
	stateSum      = `,"sum":"` // followed by eight hex digits
	maxStateBytes = 16 << 20
)

func (st *state) encode() ([]byte, error) {
	b, err := json.Marshal(st)
	if err != nil {
		return nil, err
	}
	b = b[:len(b)-1]
	return fmt.Appendf(b, "%s%08x\"}\n", stateSum, sum(b)), nil
}

// decodeState reports whether b is a whole state.
func decodeState(b []byte) (st state, ok bool) {
	i := bytes.LastIndex(b, []byte(stateSum))
	if i < 0 || string(b[i:]) != fmt.Sprintf("%s%08x\"}\n", stateSum, sum(b[:i])) {
		return state{}, false
	}
	if err := json.Unmarshal(b, &st); err != nil || st.Segment == 0 {
		return state{}, false
	}
	st.Lost, st.Void = spans(nil).add(st.Lost...), spans(nil).add(st.Void...)
	return st, true
}

// readState returns the state, where there is a whole one. An error says nothing of the
// file, so that without it the newest segment could be missing unseen.
func readState(disk FS, dir string) (st state, ok bool, err error) {
	f, err := disk.Open(filepath.Join(dir, stateName))
	switch {
	case errors.Is(err, fs.ErrNotExist), isDamage(err):
		return state{}, false, nil
	case err != nil:
		return state{}, false, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.NewSectionReader(&patient{file: f}, 0, maxStateBytes))
	if err != nil { // it fails with io.EOF alone
		return state{}, false, nil
	}
	st, ok = decodeState(b)
	return st, ok, nil
}

// save writes state.json, one call at a time. It is best effort: where it fails, the
// old one stays, which says less and nothing wrong, and forwarding needs neither.
func (s *Spool) save() {
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	st := state{s.number, s.bound, s.pruned, s.lost, s.void}
	s.mu.Unlock()
	if st.Segment == 0 {
		return
	}
	if err := s.writeState(&st); err != nil {
		s.log.Warn("state of the spool not saved", "err", err)
	}
}

func (s *Spool) writeState(st *state) error {
	b, err := st.encode()
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, stateName)
	tmp := path + tmpSuffix
	if err := s.disk.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := s.disk.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = s.disk.Remove(tmp)
		return err
	}
	// A crash up to here leaves the old state; the next start removes the other file.
	if err := s.disk.Rename(tmp, path); err != nil {
		return err
	}
	return s.disk.SyncDir(s.dir)
}
