package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
)

// Report is what Check found in a folder.
type Report struct {
	Segments []SegmentReport `json:"segments"` // by running number
	Damaged  []SegmentReport `json:"damaged"`  // what was put aside in damaged/
	Problems []string        `json:"problems"` // of the folder as a whole; the first is the gravest
}

// OK says that nothing needs a person: no segment has a problem, and none was put aside.
func (r *Report) OK() bool {
	return len(r.Problems) == 0 && len(r.Damaged) == 0 && !slices.ContainsFunc(r.Segments, func(g SegmentReport) bool { return len(g.Problems) > 0 })
}

// SegmentReport is what Check found in one file.
type SegmentReport struct {
	Path     string   `json:"path"`
	First    uint64   `json:"first,string"`  // its first offset; 0: its header cannot be read
	Last     uint64   `json:"last,string"`   // the last offset that can be read; First-1: none
	Events   uint64   `json:"events,string"` // how many can be read, of those that do not stand in the next segment again
	Missing  []Span   `json:"missing"`       // offsets that should be in it and cannot be read
	Problems []string `json:"problems"`      // in words, with bytes and offsets
}

// Check reads every segment of a folder and says what is damaged. It changes nothing
// and takes no lock: the node may be running, and the end of its newest segment may
// then read as torn.
func Check(dir string) (Report, error) { return check(OS{}, dir) }

func check(disk FS, dir string) (r Report, err error) {
	entries, err := disk.ReadDir(dir)
	if err != nil {
		return Report{}, err
	}
	var list []segment
	for _, e := range entries {
		number, ok := segmentNumber(e.Name)
		if !ok {
			continue
		}
		g := segment{path: filepath.Join(dir, e.Name), end: ^uint64(0)}
		g.header, err = readHeader(disk, g.path, number)
		if errors.Is(err, ErrVersion) {
			return Report{}, err
		}
		if err != nil {
			g.header = header{number: number}
		}
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b segment) int { return int(int64(a.number - b.number)) })
	for i := range list {
		for _, later := range list[i+1:] {
			if later.first > 0 {
				list[i].end = min(list[i].end, later.first)
			}
		}
		if i > 0 && list[i].number != list[i-1].number+1 {
			r.Problems = append(r.Problems, fmt.Sprintf("segments %d to %d are missing", list[i-1].number+1, list[i].number-1))
		}
		r.Segments = append(r.Segments, checkSegment(disk, &list[i], i == len(list)-1))
	}
	st, known, err := readState(disk, dir)
	if err != nil {
		return Report{}, err
	}
	switch n := len(list); {
	case !known && n > 0:
		r.Problems = append(r.Problems, stateName+" is missing or damaged; it is made again from the segments and the log")
	case known && (n == 0 || st.Segment > list[n-1].number):
		r.Problems = slices.Insert(r.Problems, 0, fmt.Sprintf("the newest segment, %d, is missing", st.Segment))
	}
	entries, err = disk.ReadDir(filepath.Join(dir, damagedDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Report{}, err
	}
	for _, e := range entries {
		if number, ok := segmentNumber(e.Name); ok {
			g := segment{path: filepath.Join(dir, damagedDir, e.Name), end: ^uint64(0)}
			g.header, _ = readHeader(disk, g.path, number)
			r.Damaged = append(r.Damaged, checkSegment(disk, &g, true))
		}
	}
	return r, nil
}

// checkSegment reads all of a segment; newest says that its end may be torn.
func checkSegment(disk FS, g *segment, newest bool) SegmentReport {
	r := SegmentReport{Path: g.path, First: g.first, Last: g.first - 1}
	problem := func(format string, args ...any) { r.Problems = append(r.Problems, fmt.Sprintf(format, args...)) }
	f, err := disk.Open(g.path)
	if err != nil {
		problem("it cannot be opened: %v", err)
		return r
	}
	defer func() { _ = f.Close() }()
	in := &scanner{in: &patient{file: f, tries: readTries}, salt: g.salt, at: bodyAt, limit: g.size}
	if g.first == 0 {
		problem("neither copy of its header is intact")
		if salt, ok := guessSalt(in.in); ok {
			in.salt = salt
		}
		in.limit = 1 << 50
	}
	for at := int64(0); g.first > 0 && at <= headerCopy; at += headerCopy {
		b := make([]byte, headerBytes)
		if _, err := in.in.ReadAt(b, at); err != nil {
			problem("its header at byte %d cannot be read: %v", at, err)
		} else if h, ok := decodeHeader(b); !ok || h != g.header {
			problem("the copy of its header at byte %d is damaged; the other is intact", at)
		}
	}
	checkFrames(in, g, newest, &r)
	if in.limit < g.size {
		problem("it ends at byte %d of %d", in.limit, g.size)
	}
	if in.junk > 0 {
		problem("%d bytes up to byte %d are neither frames nor zeros", in.junk, in.junkEnd)
	}
	for _, s := range r.Missing {
		problem("offsets %d to %d cannot be read", s.First, s.Last)
	}
	return r
}

func checkFrames(in *scanner, g *segment, newest bool, r *SegmentReport) {
	here, synced := reading{next: g.first}, g.first
	for {
		f, ok := in.next()
		if !ok {
			break
		}
		offset := g.first + uint64(f.number)
		synced = max(synced, g.first+uint64(f.synced))
		if f.kind != kindEvent {
			here.void = here.void.add(span(offset, g.first+uint64(f.synced))...) // and gaps: no damage of this file
			continue
		}
		inside := offset >= here.next && offset < g.end // else the next segment has it again
		if inside || g.first == 0 {                     // of a file without a header no offset is known
			r.Events++
		}
		if inside {
			here.lack(offset)
			here.next = offset + 1
			r.Last = offset
		}
	}
	if g.first == 0 {
		return
	}
	end := g.end
	if newest {
		end = synced
	}
	if g.staged() {
		end = min(g.end, g.bound)
	}
	here.lack(end)
	r.Missing = here.lacking.without(here.void)
}

// guessSalt returns the salt of a segment without an intact header: one of the two
// that stand there, if the first frame that is found fits it.
func guessSalt(in io.ReaderAt) (salt uint64, ok bool) {
	for _, at := range []int64{0, headerCopy} {
		b := make([]byte, 8)
		if _, err := in.ReadAt(b, at+8); err != nil {
			continue
		}
		salt = binary.LittleEndian.Uint64(b)
		s := &scanner{in: in, salt: salt, at: bodyAt, limit: 1 << 50}
		if _, ok := s.next(); ok {
			return salt, true
		}
	}
	return 0, false
}

// Mend takes the events that can be read in damaged/ in again, under new offsets, and
// returns how many. Those that the log has already are duplicates there and change
// nothing. Each file is named NAME.mended when that is done and stays until a person
// removes it. It opens the spool, so it fails with ErrLocked while the node runs.
//
// A crash between taking a file in and naming it leaves it to be taken in again: more
// duplicates, and nothing lost.
func Mend(dir string, o Options) (events uint64, err error) {
	s, err := Open(dir, o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	folder := filepath.Join(dir, damagedDir)
	entries, err := s.disk.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		number, ok := segmentNumber(e.Name)
		if !ok {
			continue
		}
		path := filepath.Join(folder, e.Name)
		n, err := s.mend(path, number)
		if err == nil {
			err = s.disk.Rename(path, path+".mended")
		}
		if err == nil {
			err = s.disk.SyncDir(folder)
		}
		if err != nil {
			return events, fmt.Errorf("mend %s: %w", path, err)
		}
		events += n
	}
	return events, nil
}

func (s *Spool) mend(path string, number uint64) (events uint64, err error) {
	f, err := s.disk.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	in := &scanner{in: &patient{file: f}, at: bodyAt, limit: 1 << 50}
	if h, err := readHeader(s.disk, path, number); err == nil {
		in.salt = h.salt
	} else if salt, ok := guessSalt(in.in); ok {
		in.salt = salt
	} else {
		return 0, nil // nothing of it can be told from rubbish
	}
	st, err := s.Stage()
	if err != nil {
		return 0, err
	}
	defer st.Abort()
	for {
		f, ok := in.next()
		if !ok {
			break
		}
		if f.kind != kindEvent {
			continue
		}
		if err := st.Append(f.payload); err != nil {
			return 0, err
		}
	}
	_, _, err = st.Commit()
	return st.Len(), err
}
