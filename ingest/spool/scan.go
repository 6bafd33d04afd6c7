package spool

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"time"
)

const (
	readBuffer = 256 << 10
	sector     = 4096
	readTries  = 60 // a second apart
)

// scanner reads the intact frames of a segment. After something else it looks on at
// every place where a frame can begin, so one damaged frame hides no other.
type scanner struct {
	in    io.ReaderAt
	salt  uint64
	at    int64 // where the next frame may begin
	limit int64 // of the file

	junk    int64 // bytes so far that are neither frames nor zeros, in words
	junkEnd int64 // where the last of them ends; 0: there are none

	buf   []byte
	bufAt int64
}

// next returns the next intact frame; ok is false at the end.
func (s *scanner) next() (f frame, ok bool) {
	for {
		b := s.window(frameBytes)
		if len(b) < alignment {
			s.skip(b)
			return frame{}, false
		}
		// A frame may begin with zeros, all but its header's sum.
		if zeros := leadingZeros(b); zeros >= frameBytes {
			s.at += int64(zeros-frameBytes)/alignment*alignment + alignment
			continue
		}
		if f, ok := s.frame(b); ok {
			s.at = f.end
			return f, true
		}
		s.skip(b[:alignment])
	}
}

// frame returns the frame that begins at s.at, if one does.
func (s *scanner) frame(b []byte) (frame, bool) {
	if len(b) < frameBytes {
		return frame{}, false
	}
	f, length, want, ok := decodeFrameHeader(b, s.salt, s.at)
	if !ok || f.end > s.limit {
		return frame{}, false
	}
	b = s.window(frameBytes + length)
	if len(b) < frameBytes+length {
		return frame{}, false
	}
	f.payload = b[frameBytes : frameBytes+length : frameBytes+length]
	return f, sum(f.payload) == want
}

func (s *scanner) skip(b []byte) {
	s.at += int64(len(b))
	if leadingZeros(b) < len(b) {
		s.junk += int64(len(b))
		s.junkEnd = s.at
	}
}

func leadingZeros(b []byte) (n int) {
	for n+8 <= len(b) && binary.LittleEndian.Uint64(b[n:]) == 0 {
		n += 8
	}
	for n < len(b) && b[n] == 0 {
		n++
	}
	return n
}

// window returns what is buffered from s.at on, at least n bytes unless the file ends.
func (s *scanner) window(n int) []byte {
	if from := s.at - s.bufAt; from >= 0 && from+int64(n) <= int64(len(s.buf)) {
		return s.buf[from:]
	}
	want := min(int64(max(n, readBuffer)), max(s.limit-s.at, 0))
	if from := s.at - s.bufAt; from >= 0 && int64(len(s.buf))-from >= want {
		return s.buf[from:]
	}
	s.buf = slices.Grow(s.buf[:0], int(want))[:want]
	s.bufAt = s.at
	got, err := s.in.ReadAt(s.buf, s.at)
	s.buf = s.buf[:got]
	if err != nil && int64(got) < want {
		s.limit = s.at + int64(got) // the file is shorter than it should be
	}
	return s.buf
}

// patient reads a file of a disk that fails now and then: it tries for a minute in
// all, and gives out what can still not be read as bytes that no sum fits.
type patient struct {
	file    io.ReaderAt
	tries   int
	stopped func() bool // nil: never; true: try no longer
}

// ReadAt fails with io.EOF alone.
func (p *patient) ReadAt(b []byte, at int64) (int, error) {
	n, err := p.file.ReadAt(b, at)
	for failed(err) && p.tries < readTries && (p.stopped == nil || !p.stopped()) {
		p.tries++
		time.Sleep(time.Second)
		n, err = p.file.ReadAt(b, at)
	}
	if !failed(err) {
		return n, err
	}
	n = 0
	for n < len(b) {
		part := b[n:min(len(b), n+sector-int(at+int64(n))%sector)]
		got, err := p.file.ReadAt(part, at+int64(n))
		if errors.Is(err, io.EOF) {
			return n + got, io.EOF
		}
		if err != nil {
			for i := range part {
				part[i] = 0xFF
			}
		}
		n += len(part)
	}
	return n, nil
}

func failed(err error) bool { return err != nil && !errors.Is(err, io.EOF) }
