package ingest

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"photofinish/rules"
)

// seqLineBits is how many low bits of the seq of a source log's event count lines;
// the bits above are the second of the file's first stamp, so that one server's
// lines are in order across its files although their stamps are whole seconds.
const seqLineBits = 28

// sourceEpoch is what the seconds in a seq are counted from: 2000-01-01.
const sourceEpoch = int64(rules.MinInstant / 1e9)

// sourceMap returns the map that a line announces.
func sourceMap(rest []byte) (name string, ok bool) {
	for _, before := range []string{`Loading map "`, `Started map "`} {
		if after, found := bytes.CutPrefix(rest, []byte(before)); found {
			m, _, closed := bytes.Cut(after, []byte{'"'})
			return text(m), closed
		}
	}
	return "", false
}

const maxKindLetters = 24

// sourceKind is a short word for a line that is no event: what a player did, or
// the first word. It is letters only, whatever the line holds.
func sourceKind(rest []byte) string {
	if len(rest) > 0 && rest[0] == '"' {
		if _, after, found := bytes.Cut(rest, []byte(`>" `)); found {
			if word := wordOf(skipPosition(after)); word != "" {
				return "player " + word
			}
		}
		if wordOf(rest[1:]) == "" || !bytes.Contains(rest, []byte(`" = "`)) {
			return "other"
		}
		return "cvar"
	}
	if w := wordOf(skipPosition(rest)); w != "" {
		return w
	}
	return "other"
}

func skipPosition(b []byte) []byte {
	if len(b) > 0 && b[0] == '[' {
		if _, after, found := bytes.Cut(b, []byte("] ")); found {
			return after
		}
	}
	return b
}

func wordOf(b []byte) string {
	n := 0
	for n < len(b) && n < maxKindLetters && ('a' <= b[n]|0x20 && b[n]|0x20 <= 'z' || b[n] == '_') {
		n++
	}
	return string(b[:n])
}

// lineError says why a line that could not be taken apart is refused.
type lineError string

func (e lineError) Error() string { return "line " + string(e) }

const errNoStamp = lineError("has no stamp such as L 02/14/2014 - 06:09:34")

// sourceLog makes events of the lines of one file.
type sourceLog struct {
	base      string // the name that ids begin with
	zone      *time.Location
	first     int64 // seconds since sourceEpoch of the first stamp; -1: none yet
	line      uint64
	mapName   string
	stamped   int
	attrs     map[string]string // of the event returned last
	stampRaw  []byte            // the stamp seen last and what it meant: most lines repeat it
	stampAt   rules.Instant
	stampOpen int64
}

func newSourceLog(base string, zone *time.Location) *sourceLog {
	return &sourceLog{base: base, zone: zone, first: -1, attrs: map[string]string{}}
}

// next reads the next line. It returns an event that is valid until the following
// call with what its stamp leaves open; or, where the line is none, its kind; or why it
// is refused.
func (s *sourceLog) next(line []byte) (e *rules.Event, openNs int64, kind string, err error) {
	s.line++
	l := readSourceLine(line)
	if !l.stamped && len(bytes.TrimSpace(line)) == 0 {
		return nil, 0, "blank", nil
	}
	if !l.stamped {
		// Rubbish, or the rest of a line that something broke.
		return nil, 0, "", errNoStamp
	}
	s.stamped++
	at, openNs, err := s.instant(line[:len(line)-len(l.rest)], l.at)
	if err != nil {
		return nil, 0, "", err
	}
	if s.first < 0 {
		s.first = int64(at/1e9) - sourceEpoch
	}
	if m, ok := sourceMap(l.rest); ok {
		s.mapName = m
		return nil, 0, sourceKind(l.rest), nil
	}
	clear(s.attrs)
	e = &rules.Event{At: at, Count: 1, Attrs: s.attrs}
	switch found, err := readEvent(l.rest, e); {
	case err != nil:
		return nil, 0, "", err
	case !found:
		return nil, 0, sourceKind(l.rest), nil
	}
	if s.mapName != "" {
		s.attrs["map"] = s.mapName
	}
	if s.line >= 1<<seqLineBits {
		return nil, 0, "", &FieldError{"line", strconv.FormatUint(s.line, 10), fmt.Sprintf("is beyond the %d that one file may have", 1<<seqLineBits-1)}
	}
	e.ID = s.base + ":" + strconv.FormatUint(s.line, 10)
	e.Seq = uint64(s.first)<<seqLineBits | s.line
	return e, openNs, "", nil
}

func (s *sourceLog) instant(raw []byte, stamp sourceStamp) (rules.Instant, int64, error) {
	if len(raw) > 0 && bytes.Equal(raw, s.stampRaw) {
		return s.stampAt, s.stampOpen, nil
	}
	at, openNs, err := stamp.instant(s.zone)
	if err == nil {
		s.stampRaw, s.stampAt, s.stampOpen = append(s.stampRaw[:0], raw...), at, openNs
	}
	return at, openNs, err
}
