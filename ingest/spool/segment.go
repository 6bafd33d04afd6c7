package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
)

// prepared is a file of zeros without a name that counts.
type prepared struct {
	file File
	path string
	size int64
}

const zerosAtOnce = 1 << 20

// prepare makes a file of that many zeros. Whoever places it syncs it.
func (s *Spool) prepare(size int64) (*prepared, error) {
	path := filepath.Join(s.dir, fmt.Sprintf("segment-%016x%s", s.o.random(), tmpSuffix))
	f, err := s.disk.Create(path)
	if err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	zeros := make([]byte, min(size, zerosAtOnce))
	for at := int64(0); at < size; at += int64(len(zeros)) {
		zeros = zeros[:min(int64(len(zeros)), size-at)]
		if err = s.usable(); err != nil {
			break
		}
		if _, err = f.WriteAt(zeros, at); err != nil {
			break
		}
	}
	if err != nil {
		s.drop(f, path)
		return nil, fmt.Errorf("create segment: %w", err)
	}
	return &prepared{f, path, size}, nil
}

// drop removes a temporary file. If that fails, the next start does it.
func (s *Spool) drop(f File, path string) { _ = errors.Join(f.Close(), s.disk.Remove(path)) }

// makeReady makes the next segment while the present one fills, and syncs it, so that
// whoever needs it has only its first sectors to wait for.
func (s *Spool) makeReady() {
	p, err := (*prepared)(nil), s.roomFor(s.o.SegmentBytes)
	if err == nil {
		p, err = s.prepare(max(s.o.SegmentBytes, bodyAt+2*frameBytes))
	}
	if err == nil {
		if err = p.file.Sync(); err != nil {
			s.drop(p.file, p.path)
			p = nil
		}
	}
	if err != nil {
		s.log.Warn("next segment not made ready", "err", err)
	}
	s.mu.Lock()
	s.ready, s.making = p, false
	s.mu.Unlock()
}

// take returns a prepared file of at least that size: the one that was made ready,
// or a small one that is made now.
func (s *Spool) take(least int64) (*prepared, error) {
	s.mu.Lock()
	p := s.ready
	if p != nil && p.size >= least {
		s.ready = nil
		s.mu.Unlock()
		return p, nil
	}
	s.mu.Unlock()
	size := max(least, min(s.o.SegmentBytes, s.o.hurried))
	if s.pending == nil { // what the start must write is written also beyond the quota
		if err := s.roomFor(size); err != nil {
			return nil, err
		}
	}
	return s.prepare(size)
}

// begin puts a new segment in place that begins at first, holds the tail, and whose
// next offset is next; skip says what those between the tail and next are. It makes it
// the active one, with room for need bytes more. The caller holds writing, and
// there is no active segment.
func (s *Spool) begin(first uint64, tail [][]byte, next uint64, skip byte, need int64) error {
	least := bodyAt + need + 2*frameBytes // it begins with a mark, and has room for one
	for _, p := range tail {
		least += padded(len(p))
	}
	p, err := s.take(least)
	if err != nil {
		return err
	}
	h := header{salt: s.o.random(), first: first, bound: next + boundSpan, size: p.size}
	b := make([]byte, 0, least-bodyAt)
	for i, payload := range tail {
		b = appendFrame(b, h.salt, bodyAt+int64(len(b)), frame{kind: kindEvent, number: uint32(i), payload: payload})
	}
	m := frame{kind: kindMark, number: uint32(next - first), synced: uint32(next - first)}
	if end := first + uint64(len(tail)); end < next {
		m.kind, m.number = skip, uint32(end-first)
	}
	b = appendFrame(b, h.salt, bodyAt+int64(len(b)), m)
	_, err = p.file.WriteAt(b, bodyAt)
	if err == nil {
		err = s.place(p.file, p.path, h, next, bodyAt+int64(len(b)))
	}
	if err != nil {
		s.drop(p.file, p.path)
		return fmt.Errorf("begin segment: %w", err)
	}
	return nil
}

// place writes the header of a file whose frames end at used, gives it the next
// running number and makes it the newest segment, after which next is the next
// offset. It keeps the file open as the active segment unless it is staged. After
// an error the file is still the caller's.
//
// The crash lines: up to the rename there is a temporary file that the next start
// removes. Up to the sync of the folder there is the old folder or the new one, and
// nothing was answered from the new. Up to state.json, that names an older segment,
// which is a lower bound and as good.
func (s *Spool) place(f File, tmp string, h header, next uint64, used int64) error {
	if err := s.unplace(); err != nil {
		return err
	}
	h.number = s.number + 1
	if h.bound-h.first > math.MaxUint32 {
		return fmt.Errorf("the offsets %d to %d are too many for a segment", h.first, h.bound)
	}
	for _, at := range []int64{0, headerCopy} {
		if _, err := f.WriteAt(h.encode(), at); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	path := segmentPath(s.dir, h.number)
	if err := s.disk.Place(tmp, path); err != nil {
		return fmt.Errorf("put segment %s in place (if it exists, another process writes here: stop it): %w", path, err)
	}
	g := segment{header: h, path: path, end: ^uint64(0), used: used}
	if err := s.disk.SyncDir(s.dir); err != nil {
		// It may or may not outlive a power cut; nothing was answered from it.
		// That it is no part of the spool must be clear before the next one is.
		s.refused = path
		return errors.Join(err, s.unplace())
	}
	s.enlist(g, next)
	if h.staged() {
		_ = f.Close() // all of it was synced
	} else {
		s.active = &active{header: h, path: path, file: f, pos: used, marked: true}
	}
	s.save()
	return nil
}

// unplace removes a segment that got its name and could not be made durable.
func (s *Spool) unplace() error {
	if s.refused == "" {
		return nil
	}
	if err := s.disk.Remove(s.refused); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a segment that does not count: %w", err)
	}
	s.refused = ""
	return nil
}

// enlist adds the newest segment. Older ones end where it begins.
func (s *Spool) enlist(g segment, next uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.segments {
		s.segments[i].end = min(s.segments[i].end, g.first)
	}
	s.segments = append(s.segments, g)
	s.number, s.bound, s.next = g.number, g.bound, next
}

// roomFor fails with ErrFull where so many bytes more would go beyond the quota, or
// less than two segments are free.
func (s *Spool) roomFor(bytes int64) error {
	if s.o.Quota > 0 {
		used, err := s.Bytes()
		if err != nil {
			return err
		}
		if used+bytes > s.o.Quota {
			return fmt.Errorf("%w: it takes %d bytes, %d more would exceed its quota of %d", ErrFull, used, bytes, s.o.Quota)
		}
	}
	if free, err := s.disk.Free(s.dir); err == nil && free < 2*max(s.o.SegmentBytes, bytes) {
		return fmt.Errorf("%w: only %d bytes are free on its disk", ErrFull, free)
	}
	return nil
}

// Bytes returns how much the files of the folder take together: segments, temporary
// files, and what is in damaged/.
func (s *Spool) Bytes() (total int64, err error) {
	for _, dir := range []string{s.dir, filepath.Join(s.dir, damagedDir)} {
		entries, err := s.disk.ReadDir(dir)
		if err != nil && dir == s.dir {
			return 0, err
		}
		for _, e := range entries {
			total += e.Bytes
		}
	}
	return total, nil
}
