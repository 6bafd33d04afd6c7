package spool

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	magic       = "PFSPOOL\x02" // the last byte is the version of the format
	headerBytes = 56
	headerCopy  = 4096 // where the header stands again, in a sector of its own
	bodyAt      = 8192 // where the frames begin
	frameBytes  = 24   // of a frame, before its payload
	alignment   = 8    // of frames

	// boundSpan is how many offsets a segment reserves, at least. No segment of
	// DefaultSegmentBytes has room for as many frames.
	boundSpan = 1 << 22

	// MaxPayloadBytes is the largest payload that can be appended.
	MaxPayloadBytes = 1 << 20
)

// Kinds of frames. All but events have no payload.
const (
	kindEvent = 0
	// kindMark: all before number, which is the next one, is on disk.
	kindMark = 1
	// kindVoid: nobody was ever answered for a number from this one up to synced.
	kindVoid = 2
	// kindGap: numbers from this one up to synced may have been given out by a file
	// that is gone or was cut short.
	kindGap = 3
)

// flagStaged: everything in the segment was on disk before it got its name, and it
// reaches up to its bound.
const flagStaged = 1

// header is what stands twice at the start of a segment.
type header struct {
	salt   uint64 // random; part of the sums of its frames
	number uint64 // the running number of the segment
	first  uint64 // its first offset
	bound  uint64 // no offset from here on is ever given out of it
	size   int64  // of the file
	flags  uint32
}

func (h *header) staged() bool { return h.flags&flagStaged != 0 }

func sum(parts ...[]byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // the standard library returns one shared table
	var crc uint32
	for _, p := range parts {
		crc = crc32.Update(crc, table, p)
	}
	return crc
}

func (h *header) encode() []byte {
	b := make([]byte, 0, headerBytes)
	b = append(b, magic...)
	for _, v := range []uint64{h.salt, h.number, h.first, h.bound, uint64(h.size)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, h.flags)
	return binary.LittleEndian.AppendUint32(b, sum(b))
}

// decodeHeader reports whether b is a header, and a possible one.
func decodeHeader(b []byte) (h header, ok bool) {
	if len(b) < headerBytes || string(b[:8]) != magic || sum(b[:52]) != binary.LittleEndian.Uint32(b[52:]) {
		return header{}, false
	}
	field := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
	h = header{field(1), field(2), field(3), field(4), int64(field(5)), binary.LittleEndian.Uint32(b[48:])}
	return h, h.number > 0 && h.first > 0 && h.bound >= h.first && h.size >= bodyAt
}

// foreignVersion returns the version byte of a header that another version wrote.
func foreignVersion(b []byte) (version byte, is bool) {
	return b[7], string(b[:7]) == magic[:7] && b[7] != magic[7] && b[7] != 0
}

// padded returns how much of the file a frame with that payload takes.
func padded(payload int) int64 {
	return int64(frameBytes+payload+alignment-1) &^ (alignment - 1)
}

// frame is one of a segment. Its payload is valid until the next one is read.
type frame struct {
	kind           byte
	number, synced uint32 // offsets less the segment's first
	payload        []byte
	at, end        int64 // where it stands in the file, and the next one
}

// appendFrame appends a frame that will stand at byte at of its file to b.
func appendFrame(b []byte, salt uint64, at int64, f frame) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.payload)))
	b = append(b, f.kind, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, f.number)
	b = binary.LittleEndian.AppendUint32(b, f.synced)
	b = binary.LittleEndian.AppendUint32(b, sum(f.payload))
	b = binary.LittleEndian.AppendUint32(b, headerSum(b[start:], salt, at))
	b = append(b, f.payload...)
	return append(b, make([]byte, padded(len(f.payload))-int64(len(b)-start))...)
}

// headerSum also covers what neither an older file's blocks nor a payload that is
// itself a frame can have: the segment's secret number and the place in it.
func headerSum(b []byte, salt uint64, at int64) uint32 {
	var own [16]byte
	binary.LittleEndian.PutUint64(own[:], salt)
	binary.LittleEndian.PutUint64(own[8:], uint64(at))
	return sum(b[:20], own[:])
}

// decodeFrameHeader returns a frame without its payload, that payload's length and
// sum; ok says that the header stands where it was written.
func decodeFrameHeader(b []byte, salt uint64, at int64) (f frame, length int, payloadSum uint32, ok bool) {
	n := binary.LittleEndian.Uint32(b)
	if n > MaxPayloadBytes || b[4] > kindGap || headerSum(b, salt, at) != binary.LittleEndian.Uint32(b[20:]) {
		return frame{}, 0, 0, false
	}
	f = frame{kind: b[4], number: binary.LittleEndian.Uint32(b[8:]), synced: binary.LittleEndian.Uint32(b[12:]), at: at, end: at + padded(int(n))}
	return f, int(n), binary.LittleEndian.Uint32(b[16:]), true
}

const (
	suffix     = ".seg"
	tmpSuffix  = ".tmp"
	stateName  = "state.json"
	damagedDir = "damaged"
)

func segmentName(number uint64) string { return fmt.Sprintf("%020d%s", number, suffix) }

func segmentPath(dir string, number uint64) string { return filepath.Join(dir, segmentName(number)) }

// segmentNumber returns the number in the name of a segment; ok is false for
// names of other things.
func segmentNumber(name string) (number uint64, ok bool) {
	digits, is := strings.CutSuffix(name, suffix)
	if !is || len(digits) != 20 {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, err == nil && number > 0
}
