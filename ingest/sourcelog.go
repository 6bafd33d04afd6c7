package ingest

import (
	"bytes"
	"crypto/sha256"
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

// Unwrap makes it a *FieldError to who asks, without one being made for each line.
func (e lineError) Unwrap() error { return &FieldError{"line", "", string(e)} }

const errNoStamp = lineError("has no stamp such as L 02/14/2014 - 06:09:34")

// sourceLog makes events of the lines of one file.
//
// The id of an event is the file and the line. A file is told by its base name and its
// first stamped line: servers give the names of their logs again every year, and that
// line stays as it is while the file grows. So importing a file again, in any order, or
// once it has grown, gives the same ids, and another file never does.
type sourceLog struct {
	base      string
	prefix    string // of the ids: base@stamp-digest: of the first stamped line; empty: there was none yet
	zone      *time.Location
	first     int64 // seconds since sourceEpoch of the first stamp that is a time; -1: none yet
	twice     bool  // the first stamp occurs twice
	line      uint64
	upTo      [sha256.Size]byte // digest of the lines so far
	mapName   string
	stamped   int
	event     rules.Event       // returned last
	attrs     map[string]string // of the event returned last
	stampRaw  []byte            // the stamp seen last and what it meant: most lines repeat it
	stampAt   rules.Instant
	stampOpen int64
	buf       []byte
}

func newSourceLog(base string, zone *time.Location) *sourceLog {
	return &sourceLog{base: base, zone: zone, first: -1, attrs: map[string]string{}}
}

// digestBytes is how much of the digest of a file's first line its ids carry: enough, since
// name and second of the line are in them too.
const digestBytes = 4

// identify takes the first stamped line.
func (s *sourceLog) identify(line []byte, at sourceStamp) {
	sum := sha256.Sum256(line)
	s.prefix = fmt.Sprintf("%s@%04d%02d%02dT%02d%02d%02d-%x:", s.base, at.year, at.month, at.day, at.hour, at.minute, at.second, sum[:digestBytes])
}

// next reads the next line, without its end. It returns an event that is valid until the
// following call with what its stamp leaves open; or, where the line is none, its kind; or
// why it is refused.
func (s *sourceLog) next(line []byte) (e *rules.Event, openNs int64, kind string, err error) {
	s.line++
	s.buf = append(append(s.buf[:0], s.upTo[:]...), line...)
	s.upTo = sha256.Sum256(s.buf)
	l := readSourceLine(line)
	if !l.stamped && len(bytes.TrimSpace(line)) == 0 {
		return nil, 0, "blank", nil
	}
	if !l.stamped {
		// Rubbish, or the rest of a line that something broke.
		return nil, 0, "", errNoStamp
	}
	if s.stamped++; s.stamped == 1 {
		s.identify(line, l.at)
	}
	at, openNs, err := s.instant(line[:len(line)-len(l.rest)], l.at)
	if err != nil {
		return nil, 0, "", err
	}
	if s.first < 0 {
		s.first, s.twice = int64(at/1e9)-sourceEpoch, openNs > occursTwice
	}
	if m, ok := sourceMap(l.rest); ok {
		s.mapName = m
		return nil, 0, sourceKind(l.rest), nil
	}
	clear(s.attrs)
	s.event = rules.Event{At: at, Count: 1, Attrs: s.attrs}
	e = &s.event
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
	e.ID = s.prefix + strconv.FormatUint(s.line, 10)
	if e.Seq = uint64(s.first)<<seqLineBits | s.line; s.twice && openNs > occursTwice {
		e.Seq = 0 // another file may begin in the same hour, before or after this one
	}
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
