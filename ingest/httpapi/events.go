package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"photofinish/ingest"
	"photofinish/rules"
)

// Media types of bodies.
const (
	mediaNDJSON = "application/x-ndjson"
	mediaEvent  = "application/cloudevents+json"
	mediaBatch  = "application/cloudevents-batch+json"
	mediaText   = "text/plain"
)

// decoded is what a body holds: events, and what is refused before the node sees it.
type decoded struct {
	events   []rules.Event
	lines    []int
	openNs   []int64 // nil: nothing
	rejected []ingest.Rejected
	clock    *ingest.Clock

	foreign   int   // of rejected: another source's
	malformed int   // of rejected: not even JSON
	first     error // of those
}

func (h *Handler) events(w http.ResponseWriter, r *http.Request) {
	p, err := h.push(w, r, mediaNDJSON, mediaBatch, mediaEvent)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	defer p.release()
	if text := r.Header.Get(headerClock); text != "" && !h.clocks.learn(p.key.Server, text, h.cfg.Now()) {
		h.cfg.Refused(IgnoredClock)
	}
	d, err := decode(p.media, p.body.text, p.key.Server)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	d.clock = h.clocks.of(p.key.Server, h.cfg.Now())
	result, err := h.accept(r.Context(), &p.key, d)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	// What the node refused has come all the same; what could not be read leaves a gap.
	h.gaps.numbers(p.key.Server, d.events)
	h.answer(w, &result)
}

// decode reads a body of events. Each that cannot be read or is another source's is
// rejected alone; if there is no other, the body is refused.
func decode(media string, text []byte, server string) (*decoded, error) {
	d := &decoded{}
	var err error
	switch media {
	case mediaNDJSON:
		err = d.lineByLine(text)
	case mediaEvent:
		err = d.take(1, text, server)
	default:
		line := 0
		err = ingest.EachCloudEvent(bytes.NewReader(text), func(element []byte) error {
			line++
			return d.take(line, element, server)
		})
		var why *refusal
		if err != nil && !errors.As(err, &why) {
			if errors.Is(err, io.EOF) {
				err = errors.New("it is empty or cut off")
			}
			err = unreadable("the body is not a JSON array of events: %v", err)
		}
	}
	switch all := len(d.events) == 0 && len(d.rejected) > 0; {
	case err != nil:
		return nil, err
	case all && d.malformed == len(d.rejected):
		return nil, unreadable("no event of the body is JSON: line %d: %v", d.rejected[0].Line, d.first)
	case all && d.foreign == len(d.rejected):
		return nil, &refusal{status: http.StatusForbidden, reason: RefusedRole, detail: fmt.Sprintf("this key pushes events of the source %q alone, and none of these is its", server)}
	}
	return d, nil
}

// take decodes one CloudEvent.
func (d *decoded) take(line int, text []byte, server string) error {
	if len(text) > ingest.MaxLineBytes { // one that is sent alone
		return d.add(line, rules.Event{}, errLong)
	}
	e, err := ingest.DecodeCloudEvent(text, server)
	return d.add(line, e, err)
}

// errLong is what a line beyond ingest.MaxLineBytes is refused for.
var errLong = &ingest.FieldError{Field: "line", Reason: fmt.Sprintf("is longer than %d bytes", ingest.MaxLineBytes)}

// eachLine calls fn with each line, without its end, and where it begins; also with a
// last one that has no end.
func eachLine(text []byte, fn func(line []byte, start int, ended bool) error) error {
	for start := 0; start < len(text); {
		line, _, ended := bytes.Cut(text[start:], []byte{'\n'})
		if err := fn(bytes.TrimSuffix(line, []byte{'\r'}), start, ended); err != nil {
			return err
		}
		start += len(line) + 1
	}
	return nil
}

// leastEvent is about how many bytes the shortest event has.
const leastEvent = 40

func (d *decoded) lineByLine(text []byte) error {
	// Room for all at once; not for lines that can hold none, of which there may be millions.
	room := min(bytes.Count(text, []byte{'\n'})+1, len(text)/leastEvent+1, ingest.MaxBatchEvents)
	d.events, d.lines = make([]rules.Event, 0, room), make([]int, 0, room)
	number := 0
	return eachLine(text, func(line []byte, _ int, _ bool) error {
		number++
		if len(bytes.TrimSpace(line)) == 0 {
			return nil
		}
		if len(line) > ingest.MaxLineBytes {
			return d.add(number, rules.Event{}, errLong)
		}
		e, err := ingest.DecodeEvent(line)
		return d.add(number, e, err)
	})
}

// add takes what became of one line. It fails where the body holds too many.
func (d *decoded) add(line int, e rules.Event, err error) error {
	if len(d.events)+len(d.rejected) >= ingest.MaxBatchEvents {
		return &refusal{
			status: http.StatusRequestEntityTooLarge, reason: RefusedSize,
			detail: fmt.Sprintf("the body has more than %d events; nothing of it was kept: send it in parts", ingest.MaxBatchEvents),
		}
	}
	if err == nil {
		d.events, d.lines = append(d.events, e), append(d.lines, line)
		return nil
	}
	d.rejected = append(d.rejected, ingest.Rejected{Line: line, ID: e.ID, Error: err.Error()})
	var syntax *ingest.SyntaxError
	var field *ingest.FieldError
	switch {
	case errors.As(err, &syntax):
		if d.malformed++; d.first == nil {
			d.first = err
		}
	case errors.As(err, &field) && field.Field == "source" && field.Value != "":
		d.foreign++
	}
	return nil
}
