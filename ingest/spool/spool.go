package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// DefaultSegmentBytes is the size at which a segment is closed and the next begun.
const DefaultSegmentBytes = 64 << 20

// Spool is an open folder. Its methods may be called by several goroutines at once.
type Spool struct {
	dir          string
	segmentBytes int64
	lock         *os.File

	mu       sync.Mutex
	segments []Segment // by offset, without a gap; the last may be the active one
	active   *os.File  // the segment being appended to; nil: the next Append begins one
	next     uint64    // the next offset
	failed   error     // not nil: nothing more is accepted
	mark     mark
}

// mark remembers where the last Read ended, so that following the spool does not
// read a segment from its start each time.
type mark struct {
	first, number uint64
	at            int64
}

// Open takes the folder, creating it where it is missing, and cuts off a torn tail.
// A segmentBytes of 0 is DefaultSegmentBytes. It fails with ErrLocked where another
// process has the folder, and with a CorruptionErr where the last segment is
// damaged; older segments are checked when they are read.
func Open(dir string, segmentBytes int64) (*Spool, error) {
	if segmentBytes < 0 {
		return nil, fmt.Errorf("spool segment size %d is negative", segmentBytes)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil { //nolint:gosec // the operator names the folder
		return nil, fmt.Errorf("create spool: %w", err)
	}
	held, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	s := &Spool{dir: dir, segmentBytes: cmp.Or(segmentBytes, DefaultSegmentBytes), lock: held, next: 1}
	if err := s.load(); err != nil {
		_ = held.Close()
		return nil, err
	}
	return s, nil
}

func (s *Spool) load() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("read spool: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(s.dir, e.Name())
		if strings.HasSuffix(e.Name(), ".tmp") {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("remove what was never committed: %w", err)
			}
			continue
		}
		name, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok {
			continue
		}
		first, err := strconv.ParseUint(name, 10, 64)
		if err != nil || first == 0 {
			return fmt.Errorf("spool file %s is not named for an offset", path)
		}
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("read spool: %w", err)
		}
		s.segments = append(s.segments, Segment{Path: path, First: first, Bytes: info.Size(), Modified: info.ModTime()})
	}
	slices.SortFunc(s.segments, func(a, b Segment) int { return cmp.Compare(a.First, b.First) })
	if len(s.segments) == 0 {
		return nil
	}
	for i := range s.segments[1:] {
		s.segments[i].Last = s.segments[i+1].First - 1
	}
	last := &s.segments[len(s.segments)-1]
	if err := recoverTail(last); err != nil {
		return err
	}
	s.next = last.Last + 1
	return nil
}

// recoverTail counts the frames of the last segment and cuts a torn tail off. A
// segment is never appended to again after it was opened: if a sync failed before,
// its pages may be in memory but not on disk, and nobody could tell.
func recoverTail(g *Segment) error {
	f, err := openFrames(g.Path, g.First, g.Bytes, 0, 0)
	if err != nil {
		return err
	}
	defer f.close()
	for err == nil {
		_, err = f.next()
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, errTorn) {
		return err
	}
	out, err := os.OpenFile(g.Path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("cut torn tail: %w", err)
	}
	err = errors.Join(out.Truncate(f.at), out.Sync(), out.Close())
	if err != nil {
		return fmt.Errorf("cut torn tail of %s at byte %d: %w", g.Path, f.at, err)
	}
	g.Bytes, g.Last = f.at, g.First+f.number-1
	return nil
}

// Close releases the folder. What was appended stays; Close twice is harmless.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return nil
	}
	err := errors.Join(s.seal(), s.lock.Close())
	s.lock = nil
	return err
}

// Last returns the highest offset ever appended; 0 is none.
func (s *Spool) Last() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next - 1
}

// Segments returns the files that are still here, by offset.
func (s *Spool) Segments() []Segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.segments)
}

func (s *Spool) usable() error {
	if s.lock == nil {
		return ErrClosed
	}
	if s.failed != nil {
		return fmt.Errorf("%w: %w", ErrFailed, s.failed)
	}
	return nil
}

// Append writes the payloads, syncs them and returns the offset of the first; the
// others follow it. After an error none of them is in the spool for certain, and
// none of them was promised: append them again.
func (s *Spool) Append(payloads [][]byte) (first uint64, err error) {
	for _, p := range payloads {
		if len(p) > MaxPayloadBytes {
			return 0, fmt.Errorf("append to spool: a payload of %d bytes is more than %d", len(p), MaxPayloadBytes)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return 0, err
	}
	if len(payloads) == 0 {
		return s.next, nil
	}
	if err := s.begin(); err != nil {
		return 0, err
	}
	g := &s.segments[len(s.segments)-1]
	var b []byte
	for i, p := range payloads {
		b = appendFrame(b, g.count()+uint64(i), p)
	}
	if _, err := s.active.WriteAt(b, g.Bytes); err != nil {
		// A full disk leaves part of a frame: take it back, so that the next Append
		// does not write behind it.
		if undo := s.active.Truncate(g.Bytes); undo != nil {
			s.failed = errors.Join(err, undo)
		}
		return 0, fmt.Errorf("append %d bytes to spool: %w", len(b), err)
	}
	// A crash here leaves frames that nobody was told of: whole ones are kept and
	// sent twice at worst, a torn one is cut off by Open.
	if err := s.active.Sync(); err != nil {
		// What of the pages reached the disk is unknown, and a second sync would
		// report success without writing them.
		s.failed = err
		return 0, fmt.Errorf("sync spool: %w", err)
	}
	first = s.next
	s.next += uint64(len(payloads))
	g.Last, g.Bytes, g.Modified = s.next-1, g.Bytes+int64(len(b)), time.Time{}
	return first, nil
}

// begin makes the last segment one that can be appended to.
func (s *Spool) begin() error {
	if s.active != nil {
		if s.segments[len(s.segments)-1].Bytes < s.segmentBytes {
			return nil
		}
		if err := s.seal(); err != nil {
			s.failed = err
			return err
		}
	}
	f, err := os.CreateTemp(s.dir, "stage-*.tmp")
	if err != nil {
		return fmt.Errorf("begin spool segment: %w", err)
	}
	_, err = f.Write(appendHeader(nil, s.next))
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = s.adopt(f, Segment{First: s.next, Last: s.next - 1, Bytes: headerBytes})
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(f.Name()) // gone already where it was adopted
		return fmt.Errorf("begin spool segment: %w", err)
	}
	s.active = f
	return nil
}

// seal ends the active segment; its frames are synced already.
func (s *Spool) seal() error {
	if s.active == nil {
		return nil
	}
	err := s.active.Close()
	s.active = nil
	if err != nil {
		return fmt.Errorf("close spool segment: %w", err)
	}
	return nil
}

// adopt gives a synced file its place as the last segment. It replaces an empty one
// of the same first offset, which a crash after the last adopt leaves.
func (s *Spool) adopt(f *os.File, g Segment) error {
	g.Path = segmentPath(s.dir, g.First)
	if err := os.Rename(f.Name(), g.Path); err != nil {
		return err
	}
	if n := len(s.segments); n > 0 && s.segments[n-1].First == g.First {
		s.segments = s.segments[:n-1]
	}
	s.segments = append(s.segments, g)
	if err := syncDir(s.dir); err != nil {
		// The name may or may not outlive a power cut.
		s.failed = err
		return err
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the spool's own folder
	if err != nil {
		return fmt.Errorf("sync spool folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync spool folder: %w", err)
	}
	return nil
}

// Prune removes segments that end at or before upTo and were last written before
// the given time, and returns how many. The last segment always stays: its name
// and frames are what the next offset is known by.
func (s *Spool) Prune(upTo uint64, before time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return 0, err
	}
	removed := 0
	for len(s.segments) > 1 && s.segments[0].Last <= upTo {
		info, err := os.Stat(s.segments[0].Path)
		if err != nil {
			return removed, fmt.Errorf("prune spool: %w", err)
		}
		if !info.ModTime().Before(before) {
			break
		}
		// Oldest first, so that a crash between two removals leaves no gap.
		if err := os.Remove(s.segments[0].Path); err != nil {
			return removed, fmt.Errorf("prune spool: %w", err)
		}
		s.segments = s.segments[1:]
		removed++
	}
	return removed, nil
}
