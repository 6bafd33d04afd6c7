package spool

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrStop ends a Read early without an error.
var ErrStop = errors.New("stop reading")

// Read calls fn with every payload from that offset up to the last one that was
// appended before Read began, in order. A payload is valid until fn returns. Read
// ends with fn's error, with ErrGone where the offset was removed, or with a
// CorruptionErr. It does not hold up Append.
func (s *Spool) Read(from uint64, fn func(offset uint64, payload []byte) error) error {
	s.mu.Lock()
	err := s.usableForReading()
	segments := slices.Clone(s.segments)
	m := s.mark
	s.mu.Unlock()
	if err != nil {
		return err
	}
	from = max(from, 1)
	if len(segments) > 0 && from < segments[0].First {
		return fmt.Errorf("read spool from %d: %w: the oldest is %d", from, ErrGone, segments[0].First)
	}
	for i := range segments {
		g := &segments[i]
		if g.Last < from || g.count() == 0 {
			continue
		}
		m, err = g.read(from, m, fn)
		if err != nil {
			break
		}
	}
	s.mu.Lock()
	s.mark = m
	s.mu.Unlock()
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

func (s *Spool) usableForReading() error {
	if s.lock == nil {
		return ErrClosed
	}
	return nil
}

// read calls fn with the payloads of one segment, starting at the mark where that
// helps, and returns a mark behind the last payload it has read.
func (g *Segment) read(from uint64, m mark, fn func(uint64, []byte) error) (mark, error) {
	if m.first != g.First || g.First+m.number > from {
		m = mark{first: g.First}
	}
	f, err := openFrames(g.Path, g.First, g.Bytes, m.at, m.number)
	if err != nil {
		return mark{}, err
	}
	defer f.close()
	for f.number < g.count() {
		payload, err := f.next()
		switch {
		case errors.Is(err, errTorn), errors.Is(err, io.EOF):
			return mark{}, f.damaged(fmt.Sprintf("it ends before offset %d, which it should hold", g.First+f.number))
		case err != nil:
			return mark{}, err
		}
		if offset := g.First + f.number - 1; offset >= from {
			if err := fn(offset, payload); err != nil {
				return mark{g.First, f.number, f.at}, err
			}
		}
	}
	return mark{g.First, f.number, f.at}, nil
}
