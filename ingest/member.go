package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"photofinish/rules"
)

// found is an event of a file, checked and ready for the spool.
type found struct {
	key        key
	id         string // its own copy: the decoder's would keep the whole line
	content    rules.Content
	mark       rules.Content // what another copy in the same import must have: the content, or of a log's line all of the log up to it
	start, end int           // of its payload in the part's payloads
	line       int
}

// part is what some consecutive lines of one file gave: as many as fit into partBytes.
type part struct {
	lineCounts

	where      string // the file, as messages name it
	prefix     string // what the file's ids begin with; empty: its lines bring ids of their own
	from, to   int    // the lines that are whole, inclusive
	lines      int    // of them and the unfinished one
	heartbeats int
	events     []found
	payloads   []byte
	first      rules.Instant // of the events and heartbeats; 0: there are none
	last       rules.Instant
	end        bool // the file's last
}

// partBytes is about how much memory a part takes before it is handed on.
const partBytes = 1 << 20

// What the memory of a part is reckoned by, beside its payloads.
const (
	partSize    = 512
	eventSize   = 256 // with its id
	refusedSize = 1024
)

func (p *part) size() int {
	return partSize + len(p.payloads) + eventSize*len(p.events) + refusedSize*len(p.refused)
}

func (p *part) span(i rules.Instant) {
	if p.first == 0 || i < p.first {
		p.first = i
	}
	p.last = max(p.last, i)
}

// member is a file that is being read. Its parts go to emit, in order.
type member struct {
	part

	log   *sourceLog // nil: it is no log
	torn  bool       // the log's last line is unfinished
	lines int        // so far
	emit  func(*part) error
}

// cut hands on what was read since the last cut.
func (m *member) cut(end bool) error {
	p := m.part
	p.to, p.lines, p.end = m.lines, m.lines-p.from+1, end
	if m.torn {
		p.to--
	}
	if m.log != nil {
		p.prefix = m.log.prefix
	}
	m.part = part{lineCounts: newLineCounts(), where: p.where, from: m.lines + 1}
	return m.emit(&p)
}

// reading is what the files of one import have in common.
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

// read reads one file to its end. The base name is that without the endings of its
// packing. Whatever the file, what is held of it at once is bounded: it goes to emit in
// parts.
func (rd *reading) read(where, base string, format Format, in io.Reader, emit func(*part) error) error {
	m := &member{part: part{lineCounts: newLineCounts(), where: where, from: 1}, emit: emit}
	var err error
	switch format {
	case FormatSourceLog:
		m.log = newSourceLog(base, rd.zone)
		err = rd.readLines(m, in, m.log)
		if err == nil && m.lines > 0 && m.log.stamped == 0 {
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
		return err
	}
	return m.cut(true)
}

// errLongLine is what a line beyond MaxLineBytes is refused for.
const errLongLine = lineError("is longer than 65536 bytes")

// Unfinished is the kind of a log's last line without an end of line: the server may
// still be writing it. Such a line is no event; it is one once the file has grown.
const Unfinished = "unfinished"

func (rd *reading) readLines(m *member, in io.Reader, source lineSource) error {
	lines := bufio.NewReaderSize(in, MaxLineBytes+2)
	for {
		line, err := lines.ReadSlice('\n')
		var start []byte // of a line that is too long
		for errors.Is(err, bufio.ErrBufferFull) {
			if start == nil {
				start = bytes.Clone(line[:2*quotedBytes])
			}
			_, err = lines.ReadSlice('\n')
		}
		ended := err == nil
		if !ended && !errors.Is(err, io.EOF) {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		if m.lines++; m.lines == 1 && start == nil {
			// An editor may have put it there: the file is the same without it.
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		// The source sees a line that is not taken too, to count it.
		switch {
		case start != nil:
			_, _, _, _ = source.next(nil)
			m.refuse(errLongLine, m.lines, start)
		case m.log != nil && !ended:
			_, _, _, _ = source.next(line)
			m.skip(Unfinished, 1)
			m.torn = true
		default:
			line = bytes.TrimSuffix(line, []byte{'\n'})
			line = bytes.TrimSuffix(line, []byte{'\r'})
			e, openNs, kind, refused := source.next(line)
			err = rd.take(m, m.lines, e, openNs, kind, refused, line)
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// take puts what a line gave where it belongs. An event happened at its stamp or up to
// openNs later, give or take the error of the clock. Its interval is left as that:
// files come in any order, so nothing that this server told elsewhere narrows it, and
// what is older than what was imported before is ordinary late evidence.
func (rd *reading) take(m *member, line int, e *rules.Event, openNs int64, kind string, refused error, raw []byte) error {
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
		m.refuse(refused, line, raw)
	case e == nil:
		m.skip(kind, 1)
	case e.Type == rules.TypeHeartbeat:
		m.heartbeats++
		m.span(r.Instant)
	default:
		r.Content = r.Digest()
		start := len(m.payloads)
		m.payloads = r.appendTo(m.payloads)
		f := found{key: identityKey(r.Server, r.ID), id: strings.Clone(r.ID), content: r.Content, mark: r.Content, start: start, end: len(m.payloads), line: line}
		if m.log != nil {
			f.mark = rules.Content(m.log.upTo[:len(f.mark)])
		}
		m.events = append(m.events, f)
		m.span(r.Instant)
	}
	if m.size() < partBytes {
		return nil
	}
	return m.cut(false)
}

// refuse counts a line that is refused. Only of the first for each reason is an
// example made: a file may hold millions.
func (p *part) refuse(err error, line int, raw []byte) {
	if r, first := p.refused.count(reasonOf(err)); first {
		r.Example = fmt.Sprintf("%s:%d: %v: %s", p.where, line, err, quote(string(raw[:min(len(raw), 2*quotedBytes)])))
	}
}

// maxWhereBytes bounds the name of a file in messages: a name in an archive may have any
// length.
const maxWhereBytes = 400

// whereOf names a member of an input in messages.
func whereOf(path, member string) string {
	where := printable(path)
	if member != "" {
		where += ":" + printable(strings.TrimPrefix(member, "./"))
	}
	if len(where) > maxWhereBytes {
		return strings.ToValidUTF8(where[:maxWhereBytes], "") + "…"
	}
	return where
}
