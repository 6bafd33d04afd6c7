package ingest

import (
	"strings"
	"unicode/utf8"
)

// text makes UTF-8 of any bytes: each longest beginning of a character that is not
// continued, and each byte that can begin none, becomes one U+FFFD.
func text(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var s strings.Builder
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			size = brokenPrefix(b)
		}
		s.WriteRune(r)
		b = b[size:]
	}
	return s.String()
}

// brokenPrefix returns how many bytes at the start of b begin a character that is
// not continued; at least 1.
func brokenPrefix(b []byte) int {
	n, low, high := 0, byte(0x80), byte(0xbf)
	switch c := b[0]; {
	case c >= 0xc2 && c <= 0xdf:
		n = 1
	case c >= 0xe0 && c <= 0xef:
		n = 2
	case c >= 0xf0 && c <= 0xf4:
		n = 3
	default:
		return 1
	}
	switch b[0] { // what may follow without being too long a form, a surrogate or too high
	case 0xe0:
		low = 0xa0
	case 0xed:
		high = 0x9f
	case 0xf0:
		low = 0x90
	case 0xf4:
		high = 0x8f
	}
	size := 1
	for size <= n && size < len(b) && low <= b[size] && b[size] <= high {
		size++
		low, high = 0x80, 0xbf
	}
	return size
}
