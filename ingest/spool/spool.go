package spool

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultSegmentBytes is the size of a segment.
	DefaultSegmentBytes = 64 << 20

	// hurriedBytes is the size, at most, of a segment that somebody waits for. Those
	// of full size are made ready ahead.
	hurriedBytes = 1 << 20

	// markAfter is how long after the last round a mark says that it was synced.
	markAfter = 50 * time.Millisecond

	// settleAfter is how long after a failed try the end of the spool is written anew.
	settleAfter = time.Second
)

// Options say how a spool works. The zero value is ready to use.
type Options struct {
	// SegmentBytes is the size of a segment; 0 is DefaultSegmentBytes. A round that
	// does not fit gets a segment of its own.
	SegmentBytes int64
	// Quota is how many bytes all files of the folder may take together, those in
	// damaged/ too; 0 is no limit but the disk's. It should be that of several segments.
	Quota int64
	// Log gets what the start found and what went wrong since; nil: nobody.
	Log *slog.Logger
	// FS is the disk; nil: that of the operating system.
	FS FS

	// hurried is hurriedBytes where it is not 0, and manual leaves it to the test when
	// idle marks are written and segments made ready.
	hurried int64
	manual  bool
	random  func() uint64 // nil: nobody can foresee it
}

// Spool is an open folder. Its methods may be called by several goroutines at once;
// one that reads never waits for one that writes.
type Spool struct {
	dir    string
	o      Options
	disk   FS
	log    *slog.Logger
	lock   io.Closer
	timer  *time.Timer    // writes the idle mark
	behind sync.WaitGroup // the goroutine that makes a segment ready
	closed atomic.Bool

	// writing is held by whoever writes segments, also during syncs. It guards the
	// fields below it, and comes before saving and mu.
	writing sync.Mutex
	active  *active // nil: the next round begins a segment
	pending *plan   // what the start decided and could not write yet
	refused string  // a segment that is in place, does not count and could not be removed
	buf     []byte

	pruning sync.Mutex // one Prune at a time; before saving and mu
	saving  sync.Mutex // one writer of state.json at a time; before mu

	mu       sync.Mutex // guards the fields below; never held during a write or sync
	segments []segment  // by running number; the last speaks up to next
	next     uint64     // the offset behind the last that a sync covered
	held     uint64     // the last offset that was here at the start
	number   uint64     // the highest running number ever used
	bound    uint64     // of the segment with that number
	pruned   uint64     // every offset up to this was removed, or may be
	guessed  bool       // pruned was not in a state.json
	lost     spans
	void     spans
	missing  spans // unreadable and not named
	hint     hint
	ready    *prepared // a segment that was made ahead
	making   bool      // one is being made
	tried    uint64    // the running number of the segment during which that was last begun
}

// segment is a file that has its name.
type segment struct {
	header
	path    string
	end     uint64    // offsets from here on belong to others; of the last one: ^0
	used    int64     // where its frames end; 0: not known
	counted time.Time // when all of it was found in the log; zero: it was not
	damaged bool      // something of it could not be read
}

// active is the segment that rounds are written to.
type active struct {
	header
	path   string
	file   File
	pos    int64 // where the next frame goes; all before is on disk
	marked bool  // and the file says so
}

// Segment is one file of the spool.
type Segment struct {
	Path  string
	First uint64 // its first offset
	Last  uint64 // its last offset; First-1 if none of it counts
	Bytes int64
}

// Open takes the folder, creating it where it is missing, and puts right whatever a
// crash, a power cut or a failing disk has left there; doc.go has the table. It
// fails with ErrLocked where another process has the folder, with ErrVersion where
// another version wrote it, and where it may not be used at all. Damage is never an
// error: see Unreadable.
func Open(dir string, o Options) (*Spool, error) {
	if o.SegmentBytes < 0 || o.Quota < 0 {
		return nil, fmt.Errorf("open spool %s: the segment size %d or the quota %d is negative", dir, o.SegmentBytes, o.Quota)
	}
	o.SegmentBytes, o.hurried = cmp.Or(o.SegmentBytes, DefaultSegmentBytes), cmp.Or(o.hurried, hurriedBytes)
	if o.random == nil {
		o.random = secret
	}
	s := &Spool{dir: dir, o: o, disk: o.FS, log: o.Log}
	if s.disk == nil {
		s.disk = OS{}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.disk.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("open spool %s: %w", dir, err)
	}
	held, err := s.disk.Lock(dir)
	if err != nil {
		return nil, fmt.Errorf("open spool %s: %w", dir, err)
	}
	s.lock = held
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("open spool %s: %w", dir, errors.Join(err, held.Close()))
	}
	return s, nil
}

// secret returns a number that nobody can foresee.
func secret() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

// Close says in the active segment that all of it was synced and releases the
// folder. What was appended stays, also if Close fails. Close twice is harmless.
func (s *Spool) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.behind.Wait()
	s.seal()
	s.mu.Lock()
	ready := s.ready
	s.ready = nil
	s.mu.Unlock()
	if ready != nil {
		s.drop(ready.file, ready.path)
	}
	s.save()
	return s.lock.Close()
}

// Last returns the highest offset that a sync covered; 0 is none. Where a start
// could not write the end of the spool anew, that end is not in it until it could.
func (s *Spool) Last() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next - 1
}

// Pruned returns the offset up to which segments were removed, or may be.
func (s *Spool) Pruned() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pruned
}

// Unreadable returns what should be here and could not be read: what the start found
// missing, and what each Read found since. An offset leaves it when it is read after
// all, or named.
func (s *Spool) Unreadable() []Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.missing)
}

// Void returns the offsets that were skipped because a torn tail may have held them;
// nobody was ever answered for one.
func (s *Spool) Void() []Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.void)
}

// Lost returns the offsets that were named.
func (s *Spool) Lost() []Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lost)
}

// Name declares offsets lost for good and returns those that now are: of the given
// ones all that are unreadable. Read passes over them from then on, also if they
// turn up. The caller publishes them, and only after the log was asked for them.
func (s *Spool) Name(lost []Span) []Span {
	s.mu.Lock()
	named := spans(nil).add(lost...).within(s.missing)
	s.lost = s.lost.add(named...)
	s.missing = s.missing.without(named)
	s.mu.Unlock()
	if len(named) > 0 {
		// A crash here, or before the caller has published them, leaves them unreadable:
		// they are found and named again.
		s.save()
	}
	return named
}

// Learn tells the spool what the node has published in the log: the offset and the
// offsets that it skips. Call it at the first contact after Open. Where state.json
// was lost, this is what it is made from.
func (s *Spool) Learn(published uint64, lost, void []Span) {
	s.mu.Lock()
	s.lost, s.void = s.lost.add(lost...), s.void.add(void...)
	if s.guessed && published < s.pruned {
		s.missing = s.missing.add(span(published+1, s.pruned+1)...)
		s.pruned = published
	}
	s.guessed = false
	s.missing = s.missing.without(s.lost).without(s.void)
	s.mu.Unlock()
	s.save()
}

// Segments returns the files that are still here, in the order they were made.
func (s *Spool) Segments() []Segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Segment, len(s.segments))
	for i := range s.segments {
		g := &s.segments[i]
		list[i] = Segment{g.path, g.first, max(min(g.end, s.next), g.first) - 1, g.size}
	}
	return list
}

// usable fails after Close.
func (s *Spool) usable() error {
	if s.closed.Load() {
		return ErrClosed
	}
	return nil
}
