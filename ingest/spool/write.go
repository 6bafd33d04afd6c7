package spool

import (
	"fmt"
	"time"
)

// Append writes the payloads as one round, with one write and one sync, and returns
// the offset of the first; the others follow it. After an error none of them was
// promised, and whether they are on the disk is unknown: append them again. They
// get other offsets then. ErrFull says that none of them is.
func (s *Spool) Append(payloads [][]byte) (first uint64, err error) {
	if len(payloads) > boundSpan {
		return 0, fmt.Errorf("append to spool: %d payloads are more than %d", len(payloads), boundSpan)
	}
	need := int64(0)
	for _, p := range payloads {
		if len(p) > MaxPayloadBytes {
			return 0, fmt.Errorf("append to spool: a payload of %d bytes is more than %d", len(p), MaxPayloadBytes)
		}
		need += padded(len(p))
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.usable(); err != nil {
		return 0, err
	}
	if err := s.settle(); err != nil {
		return 0, fmt.Errorf("append to spool: %w", err)
	}
	first = s.Last() + 1
	if len(payloads) == 0 {
		return first, nil
	}
	if err := s.reserve(need, uint64(len(payloads))); err != nil {
		return 0, fmt.Errorf("append to spool: %w", err)
	}
	a := s.active
	s.buf = s.buf[:0]
	synced := uint32(first - a.first)
	for i, p := range payloads {
		s.buf = appendFrame(s.buf, a.salt, a.pos+int64(len(s.buf)), frame{kind: kindEvent, number: synced + uint32(i), synced: synced, payload: p})
	}
	// A crash in the write, or before the sync is done, leaves any of its sectors. The
	// next start keeps the whole frames up to the first that is not, and gives the
	// offsets of the others to nobody.
	if err := s.land(); err != nil {
		return 0, fmt.Errorf("append %d bytes to spool: %w", len(s.buf), err)
	}
	// A crash here leaves all of it and no word to anybody: the sender sends it again.
	a.marked = false
	s.mu.Lock()
	s.next = first + uint64(len(payloads))
	s.segments[len(s.segments)-1].used = a.pos
	ahead := a.pos > a.size/2 && s.ready == nil && !s.making && s.tried != a.number && s.o.SegmentBytes > s.o.hurried
	if ahead {
		s.making, s.tried = true, a.number
	}
	s.mu.Unlock()
	switch {
	case ahead && s.o.manual:
		s.makeReady()
	case ahead:
		s.behind.Go(s.makeReady)
	}
	s.wake(markAfter)
	return first, nil
}

// land writes s.buf at the end of the active segment and syncs it. Any error ends
// the segment for writing: a second sync would report pages as written that are on no
// disk. What landed before stays, and the next segment begins behind it.
func (s *Spool) land() error {
	a := s.active
	_, err := a.file.WriteAt(s.buf, a.pos)
	if err == nil {
		err = a.file.Datasync()
	}
	if err != nil {
		s.end()
		return err
	}
	a.pos += int64(len(s.buf))
	return nil
}

// end closes the active segment.
func (s *Spool) end() {
	_ = s.active.file.Close() // all that counts of it was synced
	s.active = nil
}

// mark says in the active segment that all of it was synced: that tells a bit that
// flips in the last round from a round that was torn.
func (s *Spool) mark() {
	a := s.active
	if a.marked {
		return
	}
	number := uint32(s.Last() + 1 - a.first)
	s.buf = appendFrame(s.buf[:0], a.salt, a.pos, frame{kind: kindMark, number: number, synced: number})
	if err := s.land(); err != nil {
		s.log.Warn("mark not written; a new segment follows", "err", err)
		return
	}
	a.marked = true
	s.mu.Lock()
	s.segments[len(s.segments)-1].used = a.pos
	s.mu.Unlock()
}

// wake asks for a call of idle. The caller holds writing.
func (s *Spool) wake(after time.Duration) {
	switch {
	case s.o.manual:
	case s.timer == nil:
		s.timer = time.AfterFunc(after, s.idle)
	default:
		s.timer.Reset(after)
	}
}

// idle is called when no round has landed for a while, and some time after the start
// could not write what it had to.
func (s *Spool) idle() {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.usable() != nil {
		return
	}
	if err := s.settle(); err != nil {
		s.wake(settleAfter)
	}
	if s.active != nil {
		s.mark()
	}
}

// seal ends the active segment, if there is one, with a mark.
func (s *Spool) seal() {
	if s.active != nil {
		s.mark()
	}
	if s.active != nil {
		s.end()
	}
}

// reserve makes the active segment one that has room for a round and a mark.
func (s *Spool) reserve(need int64, count uint64) error {
	next := s.Last() + 1
	if a := s.active; a != nil && a.pos+need+frameBytes <= a.size && next+count <= a.bound {
		return nil
	}
	s.seal()
	return s.begin(next, nil, next, kindMark, need)
}
