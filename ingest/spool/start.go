package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// load puts the folder right and sets the fields of a spool that nobody uses yet.
// Only what cannot be used at all is an error.
func (s *Spool) load() error {
	entries, err := s.disk.ReadDir(s.dir)
	if err != nil {
		return err
	}
	st, known, err := readState(s.disk, s.dir) // R3: without it the rest must do
	if err != nil {
		return err
	}
	f := &found{newer: st.Segment, bound: st.Bound}
	sizes := map[uint64]int64{}
	for _, e := range entries {
		if strings.HasSuffix(e.Name, tmpSuffix) { // R2
			if err := s.disk.Remove(filepath.Join(s.dir, e.Name)); err != nil {
				s.log.Warn("temporary file not removed", "file", e.Name, "err", err)
			}
			continue
		}
		if number, ok := segmentNumber(e.Name); ok {
			sizes[number] = e.Bytes
			if err := s.adopt(number); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(s.segments, func(a, b segment) int { return cmp.Compare(a.number, b.number) })
	if n := len(s.segments); n > 0 {
		f.files, f.last = true, s.segments[n-1].header
	}
	if n := s.highestDamaged(); n > max(f.newer, f.last.number) {
		// A witness that does not know its bound: it reserved as much as each does.
		f.newer, f.bound = n, max(f.bound, f.last.bound, st.Pruned+1)+boundSpan
	}
	s.number, s.bound = f.last.number, f.last.bound
	if f.newer > s.number {
		s.number, s.bound = f.newer, f.bound
	}
	s.lost, s.void, s.pruned, s.guessed = st.Lost, st.Void, st.Pruned, !known
	if err := s.setEnds(); err != nil {
		return err
	}
	if n := len(s.segments); n > 0 {
		last := &s.segments[n-1]
		oldest := s.segments[0].first
		if s.guessed {
			s.pruned = oldest - 1
		}
		s.missing = s.missing.add(span(s.pruned+1, oldest)...) // R12
		f.short = sizes[last.number] < last.size
		if err := s.readEnd(last, f); err != nil {
			return err
		}
	} else {
		f.first = st.Pruned + 1
	}
	s.carryOut(decide(f), f)
	return nil
}

// adopt reads the header of a segment and adds it. R4: one of the two copies is
// enough; without any the file goes to damaged/, and its range is one between its
// neighbours.
func (s *Spool) adopt(number uint64) error {
	path := segmentPath(s.dir, number)
	h, err := readHeader(s.disk, path, number)
	if err == nil {
		s.segments = append(s.segments, segment{header: h, path: path, end: ^uint64(0)})
		return nil
	}
	if !errors.Is(err, errHeader) {
		return err
	}
	s.log.Error("segment without a header is put aside", "path", path, "err", err)
	if err := s.putAside(path); err != nil {
		s.log.Error("segment without a header stays where it is", "path", path, "err", err)
	}
	s.number = max(s.number, number)
	return nil
}

func (s *Spool) putAside(path string) error {
	dir := filepath.Join(s.dir, damagedDir)
	if err := s.disk.MkdirAll(dir); err != nil {
		return err
	}
	if err := s.disk.Rename(path, filepath.Join(dir, filepath.Base(path))); err != nil {
		return err
	}
	return errors.Join(s.disk.SyncDir(dir), s.disk.SyncDir(s.dir))
}

// isDamage tells an error of the medium from one of the process, such as too many
// open files, which says nothing of the file.
func isDamage(err error) bool { return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EBADMSG) }

var errHeader = errors.New("neither copy of its header is intact")

// readHeader returns the header of the segment with that number.
func readHeader(disk FS, path string, number uint64) (header, error) {
	f, err := disk.Open(path)
	if isDamage(err) {
		return header{}, fmt.Errorf("%w: %w", errHeader, err)
	}
	if err != nil {
		return header{}, err
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, headerCopy+headerBytes)
	n, _ := io.ReadFull(io.NewSectionReader(&patient{file: f}, 0, int64(len(b))), b)
	for at := 0; at+headerBytes <= n; at += headerCopy {
		if h, ok := decodeHeader(b[at:]); ok && h.number == number {
			return h, nil
		}
	}
	if version, is := foreignVersion(b); is {
		return header{}, fmt.Errorf("%w: %s is of format %d, this program writes %d; forward it with the version that wrote it, then remove the folder", ErrVersion, path, version, magic[7])
	}
	return header{}, errHeader
}

// highestDamaged returns the highest running number in damaged/.
func (s *Spool) highestDamaged() (number uint64) {
	number = s.number
	entries, err := s.disk.ReadDir(filepath.Join(s.dir, damagedDir))
	if err != nil {
		return number // there is no such folder
	}
	for _, e := range entries {
		if n, ok := segmentNumber(e.Name); ok {
			number = max(number, n)
		}
	}
	return number
}

// setEnds tells each segment where it ends. R11: that is where any later one begins.
// R10: where one is missing behind it, it is trusted only as far as it says itself
// that it was synced, and the rest is unreadable.
func (s *Spool) setEnds() error {
	for i := len(s.segments) - 2; i >= 0; i-- {
		g, after := &s.segments[i], &s.segments[i+1]
		g.end = min(after.first, after.end)
		if after.number == g.number+1 {
			continue
		}
		var f found
		if err := s.readEnd(g, &f); err != nil {
			return err
		}
		if f.first < g.end {
			s.missing = s.missing.add(span(max(f.first, g.first), g.end)...)
			g.end = f.first
		}
	}
	return nil
}

// readEnd finds S and T of a segment. Of a staged one all up to its bound was on disk
// before it got its name; what is not there any more is for Read to find. Only an error
// that says nothing of the file is returned.
func (s *Spool) readEnd(g *segment, f *found) error {
	f.first = g.first
	if g.staged() {
		f.first = g.bound
		return nil
	}
	file, err := s.disk.Open(g.path)
	switch {
	case isDamage(err):
		s.log.Error("segment cannot be opened", "path", g.path, "err", err)
		f.short = true
		return nil
	case err != nil:
		return err
	}
	defer func() { _ = file.Close() }()
	in := &scanner{in: &patient{file: file}, salt: g.salt, at: bodyAt, limit: g.size}
	type piece struct {
		offset  uint64
		at, end int64
	}
	var later []piece // from S on, in their order
	good := int64(bodyAt)
	for {
		fr, ok := in.next()
		if !ok {
			break
		}
		if synced := g.first + uint64(fr.synced); synced > f.first {
			f.first = synced
			kept := later[:0]
			for _, p := range later {
				if p.offset < synced {
					good = max(good, p.end)
				} else {
					kept = append(kept, p)
				}
			}
			later = kept
		}
		offset := g.first + uint64(fr.number)
		if fr.kind != kindEvent || offset < f.first {
			good = max(good, fr.end)
			continue
		}
		later = append(later, piece{offset, fr.at, fr.end})
	}
	junk, junkEnd := in.junk, in.junkEnd
	for _, p := range later {
		in.at = p.at
		fr, ok := in.next()
		if ok && fr.at == p.at && p.offset == f.first+uint64(len(f.tail)) {
			f.tail = append(f.tail, slices.Clone(fr.payload))
			good = max(good, p.end)
			continue
		}
		f.junk += p.end - p.at
	}
	if junkEnd > good {
		f.junk += junk
	}
	return nil
}

// carryOut does what was decided. R13: what no sync is known to have covered is written
// anew into another file, since after a failed sync the pages read as written and are
// on no disk. Until that is done nothing of it is read, and nothing is appended.
func (s *Spool) carryOut(p plan, f *found) {
	end := p.first + uint64(len(p.tail))
	switch {
	case p.skip == kindVoid && end < p.next:
		s.void = s.void.add(Span{end, p.next - 1})
		s.log.Warn("torn tail cut off", "rule", p.rule, "bytes", f.junk, "void_first", end, "void_last", p.next-1)
	case p.skip == kindGap && end < p.next:
		s.missing = s.missing.add(Span{end, p.next - 1})
		s.log.Error("offsets are unreadable", "rule", p.rule, "first", end, "last", p.next-1)
	}
	s.missing = s.missing.without(s.lost).without(s.void).without(span(1, s.pruned+1))
	s.next, s.held = p.next, p.next-1
	// A kill may have left a segment whose name no sync covered, and until one does a
	// power cut still takes it. Only the newest can be such.
	s.next, s.pending = p.next, &p
	if f.files {
		s.next = f.last.first
	}
	if err := s.settle(); err != nil {
		s.log.Error("end of the spool not written anew; it is tried again", "err", err)
		s.wake(settleAfter)
	}
}

// show makes everything before next visible.
func (s *Spool) show(next uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = next
}

// settle makes durable what the start has found. Where that fails it is tried again
// later: by the next append, and by a timer. The caller holds writing.
func (s *Spool) settle() error {
	p := s.pending
	if p == nil {
		return nil
	}
	if !p.synced {
		if err := s.disk.SyncDir(s.dir); err != nil {
			return err
		}
		if len(s.segments) == 0 { // a kill may have left its own name unsynced too
			if err := s.disk.SyncDir(filepath.Dir(s.dir)); err != nil && !notOurs(err) {
				return err
			}
		}
		p.synced = true
		s.show(p.first)
	}
	if p.write {
		if err := s.begin(p.first, p.tail, p.next, p.skip, 0); err != nil {
			return err
		}
	}
	s.pending = nil
	s.show(p.next)
	return nil
}
