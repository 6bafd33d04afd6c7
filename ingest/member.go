package ingest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"photofinish/rules"
)

// found is an event of a member, checked and ready for the spool.
type found struct {
	key        key
	id         string // its own copy: the decoder's would keep the whole line
	content    rules.Content
	start, end int // of its payload in the member's payloads
	line       int
}

// member is what was read of one file.
type member struct {
	lineCounts

	base       string // without the endings of its packing
	where      string // as messages name it
	logOfLines bool   // ids are made of base and line, so no other file may have this base
	sum        [sha256.Size]byte
	lines      int
	heartbeats int
	events     []found
	payloads   []byte
	first      rules.Instant
	last       rules.Instant
}

// reading is what the members of one import have in common.
type reading struct {
	server, region string
	zone           *time.Location
	clockErrNs     int64
	receivedNs     int64
	until          rules.Instant
}

// lineSource makes events of lines; see sourceLog.next. The source sets the
// event's time and says what its stamp leaves open; server and region are not yet set.
type lineSource interface {
	next(line []byte) (e *rules.Event, openNs int64, kind string, err error)
}

// errNoLog: not one line of a file has a stamp.
var errNoLog = errors.New("not one of its lines is a stamped log line, such as L 02/14/2014 - 06:09:34: …")

// read reads one member to its end.
func (rd *reading) read(where, base string, format Format, in io.Reader) (*member, error) {
	m := &member{lineCounts: newLineCounts(), where: where, base: base}
	hash := sha256.New()
	in = io.TeeReader(in, hash)
	var err error
	switch format {
	case FormatSourceLog:
		m.logOfLines = true
		source := newSourceLog(base, rd.zone)
		err = rd.readLines(m, in, source)
		if err == nil && m.lines > 0 && source.stamped == 0 {
			err = errNoLog
		}
	case FormatNDJSON:
		err = rd.readLines(m, in, ndjson{DecodeEvent})
	case FormatCloudEvents:
		err = rd.readCloudEvents(m, in)
	default:
		err = fmt.Errorf("format %s is not known", quote(string(format)))
	}
	if err != nil {
		return nil, err
	}
	hash.Sum(m.sum[:0])
	return m, nil
}

// errLongLine is what a line beyond MaxLineBytes is refused for.
var errLongLine = &FieldError{"line", "", fmt.Sprintf("is longer than %d bytes", MaxLineBytes)}

func (rd *reading) readLines(m *member, in io.Reader, source lineSource) error {
	lines := bufio.NewReaderSize(in, MaxLineBytes+2)
	for {
		line, err := lines.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		excerpt := ""
		if long {
			excerpt = quote(string(line[:2*quotedBytes]))
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = lines.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		m.lines++
		if long {
			// The source counts the line too, which has no stamp and no event.
			_, _, _, _ = source.next(nil)
			m.refuse(Refused{errLongLine.Kind(), 1, fmt.Sprintf("%s:%d: %s: %s", m.where, m.lines, errLongLine.Reason, excerpt)})
		} else {
			line = bytes.TrimSuffix(line, []byte{'\n'})
			line = bytes.TrimSuffix(line, []byte{'\r'})
			e, openNs, kind, refused := source.next(line)
			rd.take(m, m.lines, e, openNs, kind, refused, line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
	}
}

// take puts what a line gave where it belongs. An event happened at its stamp or up to
// openNs later, give or take the error of the clock. Its interval is left as that:
// files come in any order, so nothing that this server told elsewhere narrows it, and
// what is older than what was imported before is ordinary late evidence.
func (rd *reading) take(m *member, line int, e *rules.Event, openNs int64, kind string, refused error, raw []byte) {
	var r record
	if refused == nil && e != nil {
		r.Event = *e
		r.Server, r.Region = rd.server, rd.region
		r.Instant, r.receivedNs, r.imported = r.At, rd.receivedNs, true
		r.Earliest, r.Latest = r.At-rules.Instant(rd.clockErrNs), r.At+rules.Instant(openNs+rd.clockErrNs)
		refused = check(&r.Event, r.Instant, anyInstant())
	}
	switch {
	case refused != nil:
		reason := "is not an event"
		var f *FieldError
		var l lineError
		switch {
		case errors.As(refused, &f):
			reason = f.Kind()
		case errors.As(refused, &l):
			reason = l.Error()
		}
		m.refuse(Refused{reason, 1, fmt.Sprintf("%s:%d: %v: %s", m.where, line, refused, quote(string(raw[:min(len(raw), 2*quotedBytes)])))})
	case e == nil:
		m.skip(kind, 1)
	case e.Type == rules.TypeHeartbeat:
		m.heartbeats++
		m.span(r.Instant)
	default:
		r.Content = r.Digest()
		start := len(m.payloads)
		m.payloads = r.appendTo(m.payloads)
		m.events = append(m.events, found{identityKey(r.Server, r.ID), strings.Clone(r.ID), r.Content, start, len(m.payloads), line})
		m.span(r.Instant)
	}
}

func (m *member) span(i rules.Instant) {
	if m.first == 0 || i < m.first {
		m.first = i
	}
	m.last = max(m.last, i)
}

// whereOf names a member of an input in messages.
func whereOf(path, member string) string {
	if member == "" {
		return printable(path)
	}
	return printable(path) + ":" + printable(strings.TrimPrefix(member, "./"))
}
