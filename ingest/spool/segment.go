package spool

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Segment is one file of the spool.
type Segment struct {
	Path     string
	First    uint64 // its first offset
	Last     uint64 // its last offset; First-1 if it is empty
	Bytes    int64
	Modified time.Time // when it was last written
}

func (g *Segment) count() uint64 { return g.Last + 1 - g.First }

const suffix = ".seg"

func segmentPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", first, suffix))
}

// frames reads the frames of one segment in order.
type frames struct {
	path   string
	file   *os.File
	in     *bufio.Reader
	size   int64  // bytes of the file that may be read
	at     int64  // where the next frame begins
	number uint64 // the next frame's number
	buf    []byte
}

const readBuffer = 256 << 10

var errTorn = errors.New("torn tail")

// openFrames positions at the frame of that number, which begins at byte at; zero
// for both is the start of the segment, and checks its header.
func openFrames(path string, first uint64, size, at int64, number uint64) (*frames, error) {
	file, err := os.Open(path) //nolint:gosec // in the spool's own folder
	if err != nil {
		return nil, fmt.Errorf("open spool segment: %w", err)
	}
	f := &frames{path: path, file: file, size: size, at: at, number: number}
	if at == 0 {
		if err := f.header(first); err != nil {
			_ = file.Close()
			return nil, err
		}
	}
	f.in = bufio.NewReaderSize(io.NewSectionReader(file, f.at, size-f.at), readBuffer)
	return f, nil
}

func (f *frames) close() { _ = f.file.Close() }

func (f *frames) header(first uint64) error {
	var b [headerBytes]byte
	if _, err := f.file.ReadAt(b[:], 0); err != nil {
		return f.damaged("its header is cut off")
	}
	got, wrong := readHeader(b[:])
	if wrong != "" {
		return f.damaged(wrong)
	}
	if got != first {
		return f.damaged(fmt.Sprintf("its header says offset %d, its name %d", got, first))
	}
	f.at = headerBytes
	return nil
}

func (f *frames) damaged(reason string) error {
	return &CorruptionErr{Segment: f.path, Offset: f.at, Reason: reason}
}

// next returns the next payload, which is valid until the following call; io.EOF at
// the end, errTorn at a tail that an append left which never returned.
func (f *frames) next() ([]byte, error) {
	left := f.size - f.at
	if left == 0 {
		return nil, io.EOF
	}
	if left < frameBytes {
		return nil, errTorn
	}
	header, err := f.in.Peek(frameBytes)
	if err != nil {
		return nil, fmt.Errorf("read spool segment %s at byte %d: %w", f.path, f.at, err)
	}
	length, want, ok := readFrameHeader(header, f.number)
	if !ok {
		zeros, err := f.onlyZeros()
		switch {
		case err != nil:
			return nil, err
		case zeros:
			return nil, errTorn
		}
		return nil, f.damaged("the sum of a frame's header is wrong")
	}
	if int64(length) > left-frameBytes {
		return nil, errTorn
	}
	_, _ = f.in.Discard(frameBytes)
	if cap(f.buf) < int(length) {
		f.buf = make([]byte, max(length, 4096))
	}
	payload := f.buf[:length]
	if _, err := io.ReadFull(f.in, payload); err != nil {
		return nil, fmt.Errorf("read spool segment %s at byte %d: %w", f.path, f.at, err)
	}
	if sum(payload) != want {
		return nil, f.damaged("the sum of a payload is wrong")
	}
	f.at += frameBytes + int64(length)
	f.number++
	return payload, nil
}

// onlyZeros reports whether nothing but zeros is left, as a power cut leaves pages
// that were never written.
func (f *frames) onlyZeros() (bool, error) {
	rest := io.NewSectionReader(f.file, f.at, f.size-f.at)
	buf, zeros := make([]byte, readBuffer), make([]byte, readBuffer)
	for {
		n, err := rest.Read(buf)
		if !bytes.Equal(buf[:n], zeros[:n]) {
			return false, nil
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("read spool segment %s: %w", f.path, err)
		}
	}
}
