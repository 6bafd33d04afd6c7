package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// hint remembers where the last Read ended, so that following the spool does not
// read a segment from its start each time.
type hint struct {
	segment uint64 // running number
	offset  uint64 // the next one
	at      int64  // where a frame of it may begin
}

// Read calls fn with every payload from that offset up to the last one that was
// appended before Read began, in order, and passes over what is void, lost or
// unreadable; the last is in Unreadable afterwards. A payload is valid until fn
// returns. Read ends with fn's error, or with ErrGone where the offset was removed.
// It does not wait for Append. A disk that does not answer is asked for a minute.
func (s *Spool) Read(from uint64, fn func(offset uint64, payload []byte) error) error {
	if err := s.usable(); err != nil {
		return err
	}
	from = max(from, 1)
	s.mu.Lock()
	segments := slices.Clone(s.segments)
	pruned, next := s.pruned, s.next
	s.mu.Unlock()
	if len(segments) > 0 && from < segments[0].first && from <= pruned {
		return fmt.Errorf("read spool from %d: %w: the oldest is %d", from, ErrGone, segments[0].first)
	}
	for i := range segments {
		g := &segments[i]
		g.end = min(g.end, next)
		if err := s.readSegment(g, max(g.first, from), fn); errors.Is(err, ErrStop) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// readSegment reads the offsets from first on that a segment speaks for.
func (s *Spool) readSegment(g *segment, first uint64, fn func(uint64, []byte) error) error {
	if first >= g.end {
		return nil
	}
	file, err := s.disk.Open(g.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), isDamage(err):
		return s.vanished(g, first)
	case err != nil:
		return fmt.Errorf("read spool: %w", err)
	}
	defer func() { _ = file.Close() }()
	in := &scanner{in: &patient{file: file, stopped: s.closed.Load}, salt: g.salt, at: bodyAt, limit: g.size}
	if g.used > 0 {
		in.limit = g.used
	}
	s.mu.Lock()
	lost := s.lost
	if s.hint.segment == g.number && s.hint.offset <= first {
		in.at = s.hint.at
	}
	s.mu.Unlock()
	here := reading{next: first, at: in.at}
	err = here.all(in, g, lost, fn)
	if err == nil {
		here.lack(g.end)
	}
	s.note(g, Span{first, here.next - 1}, &here)
	return err
}

// reading is what one segment has shown so far.
type reading struct {
	next    uint64 // all before was read, or is in lacking
	at      int64  // behind the last event
	lacking spans
	void    spans
	gaps    spans
}

// lack notes that no event was found up to that offset.
func (r *reading) lack(end uint64) {
	r.lacking = append(r.lacking, span(r.next, end)...) // in order, and events lie between
	r.next = max(r.next, end)
}

// all reads frames until the segment's last offset was seen, or its file ends.
func (r *reading) all(in *scanner, g *segment, lost spans, fn func(uint64, []byte) error) error {
	for r.next < g.end {
		f, ok := in.next()
		if !ok {
			return nil
		}
		offset := g.first + uint64(f.number)
		switch f.kind {
		case kindVoid:
			r.void = r.void.add(span(offset, g.first+uint64(f.synced))...)
		case kindGap:
			r.gaps = r.gaps.add(span(offset, g.first+uint64(f.synced))...)
		case kindEvent:
			if offset >= g.end {
				return nil // of a round that failed
			}
			if offset < r.next {
				continue
			}
			r.lack(offset)
			r.next, r.at = offset+1, f.end
			if lost.has(offset) {
				continue
			}
			if err := fn(offset, f.payload); err != nil {
				return err
			}
		}
	}
	return nil
}

// note keeps what a reading of those offsets has shown.
func (s *Spool) note(g *segment, read Span, r *reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if read.Last < read.First {
		return
	}
	s.void = s.void.add(r.void...)
	lacking := r.lacking.without(s.void)
	s.missing = s.missing.without(spans{read}).add(lacking.without(s.lost).without(span(1, s.pruned+1))...)
	i := slices.IndexFunc(s.segments, func(x segment) bool { return x.number == g.number })
	if i >= 0 && len(lacking.without(r.gaps)) > 0 && !s.segments[i].damaged {
		s.segments[i].damaged = true
		s.log.Error("segment is damaged", "path", g.path, "first", lacking[0].First, "last", lacking[len(lacking)-1].Last)
	}
	s.hint = hint{g.number, r.next, r.at}
}

// vanished is called where a segment has no file.
func (s *Spool) vanished(g *segment, first uint64) error {
	s.mu.Lock()
	pruned := !slices.ContainsFunc(s.segments, func(x segment) bool { return x.number == g.number })
	s.mu.Unlock()
	if pruned {
		return fmt.Errorf("read spool from %d: %w", first, ErrGone)
	}
	r := &reading{next: first}
	r.lack(g.end)
	s.note(g, Span{first, g.end - 1}, r)
	return nil
}
