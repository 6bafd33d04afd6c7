package spool

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	magic       = "PFSPOOL\x01" // the last byte is the version of the format
	headerBytes = 24
	frameBytes  = 12 // of a frame, before its payload

	// MaxPayloadBytes is the largest payload that can be appended.
	MaxPayloadBytes = 1 << 20
)

func sum(parts ...[]byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // the standard library returns one shared table
	var crc uint32
	for _, p := range parts {
		crc = crc32.Update(crc, table, p)
	}
	return crc
}

// appendHeader appends a segment's header to b.
func appendHeader(b []byte, first uint64) []byte {
	start := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, first)
	return binary.LittleEndian.AppendUint32(b, sum(b[start:]))
}

// readHeader returns the first offset that a header names, or what is wrong.
func readHeader(b []byte) (first uint64, wrong string) {
	switch {
	case string(b[:7]) != magic[:7]:
		return 0, "it does not begin as a segment"
	case sum(b[:20]) != binary.LittleEndian.Uint32(b[20:]):
		return 0, "the sum of its header is wrong"
	case b[7] != magic[7]:
		return 0, "it was written by a version that this program does not know"
	}
	return binary.LittleEndian.Uint64(b[12:]), ""
}

// appendFrame appends the frame with that number within its segment to b.
func appendFrame(b []byte, number uint64, payload []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, sum(payload))
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], number)
	b = binary.LittleEndian.AppendUint32(b, sum(b[start:], n[:]))
	return append(b, payload...)
}

// readFrameHeader returns length and sum of the payload; ok is false if the header
// is not the one of that number.
func readFrameHeader(b []byte, number uint64) (length, payloadSum uint32, ok bool) {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], number)
	length = binary.LittleEndian.Uint32(b)
	ok = sum(b[:8], n[:]) == binary.LittleEndian.Uint32(b[8:]) && length <= MaxPayloadBytes
	return length, binary.LittleEndian.Uint32(b[4:]), ok
}
