package httpapi

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"photofinish/ingest"
	"photofinish/rules"
)

// Headers of a source log's chunk.
const (
	headerToken = "X-Server-Instance-Token" //nolint:gosec // it names a run of the game's server, it is no secret
	headerBegin = "X-Logbytes-Beginoffset"
	headerEnd   = "X-Logbytes-Endoffset"

	maxTokenBytes = 64
)

// sourceLog takes a chunk of a Source engine's log, as the game pushes it.
//
// The identity of a line is the token, which names one run of the game's server, and the
// byte at which the line begins in the log of that run. So what an event says must follow
// from its line alone: the game sends chunks again with other bounds, as when an address
// is added and it sends its whole log at once. Hence a kill has no map here, which only
// earlier lines name: the same event with a map and without would be a conflict.
func (h *Handler) sourceLog(w http.ResponseWriter, r *http.Request) {
	p, err := h.push(w, r, mediaText)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	defer p.release()
	chunk, err := chunkOf(r.Header, len(p.body.text))
	if err == nil && p.key.Location() == nil {
		err = fmt.Errorf("the zone %s of key %s is not known on this machine", p.key.Timezone, p.key.ID)
	}
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	d, err := chunk.decode(p.body.text, p.key.Location())
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	result, err := h.accept(r.Context(), &p.key, d)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	chunk.withoutHeartbeat(d, &result)
	h.gaps.bytes(p.key.Server, chunk.token, chunk.begin, uint64(len(p.body.text)))
	h.answer(w, &result)
}

// chunk is where the lines of a body stand in the log of a run.
type chunk struct {
	token string
	begin uint64
	whole bool // the game says that it ends where the body ends
}

// chunkOf reads the headers. A chunk whose offsets do not span its body is refused whole:
// something on the way changed or cut it, and each of its lines would get the identity of
// another.
func chunkOf(header http.Header, size int) (c chunk, err error) {
	c.token = header.Get(headerToken)
	if c.token == "" || len(c.token) > maxTokenBytes || !isToken(c.token) {
		return c, unreadable("%s %.80q is not 1 to %d letters, digits, dashes or underscores", headerToken, c.token, maxTokenBytes)
	}
	c.begin, err = strconv.ParseUint(header.Get(headerBegin), 10, 64)
	if err != nil || c.begin > math.MaxInt64 {
		return c, unreadable("%s %.40q is not the offset in bytes at which the body begins", headerBegin, header.Get(headerBegin))
	}
	text := header.Get(headerEnd)
	if text == "" {
		return c, nil
	}
	end, err := strconv.ParseUint(text, 10, 64)
	if err != nil || end != c.begin+uint64(size) {
		return c, unreadable("%s is %.40q, but %d bytes were sent from %d on; send the log as it is, neither cut nor changed", headerEnd, text, size, c.begin)
	}
	c.whole = true
	return c, nil
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// heartbeatLine stands for the line of the heartbeat that decode adds.
const heartbeatLine = 0

var errUnfinished = &ingest.FieldError{Field: "line", Reason: "has no end, and there is no " + headerEnd + " to say that it is whole"}

// decode makes events of the lines. Where a line that is no event comes last, the log is
// complete up to its stamp: a heartbeat says so, since a server on which nobody is killed
// would hold everybody up.
func (c chunk) decode(text []byte, zone *time.Location) (*decoded, error) {
	d := &decoded{}
	number := 0
	var told rules.Event // the last line that has a stamp
	isEvent := false
	err := eachLine(text, func(line []byte, start int, ended bool) error {
		number++
		offset := c.begin + uint64(start)
		id := c.token + ":" + strconv.FormatUint(offset, 10)
		if len(bytes.TrimSpace(line)) == 0 {
			return nil
		}
		e, openNs, kind, err := readLine(line, zone, ended || c.whole)
		e.ID, e.Seq = id, offset+1 // 0 would be none
		if err == nil {
			told, isEvent = e, kind == ""
			if kind != "" {
				return nil
			}
			d.openNs = append(d.openNs, openNs)
		}
		return d.add(number, e, err)
	})
	if err != nil {
		return nil, err
	}
	if told.At == 0 && len(d.rejected) > 0 {
		return nil, unreadable("not one line of the body is a stamped log line: line %d: %s", d.rejected[0].Line, d.rejected[0].Error)
	}
	if told.At != 0 && !isEvent && len(d.events) < ingest.MaxBatchEvents {
		told.Type = rules.TypeHeartbeat
		d.events, d.lines, d.openNs = append(d.events, told), append(d.lines, heartbeatLine), append(d.openNs, 0)
	}
	return d, nil
}

// readLine reads one line. One without an end may have been cut in its middle, and would
// then be another event under the identity of the whole one. It is taken where the game
// says that the chunk ends there, since it writes whole lines.
func readLine(line []byte, zone *time.Location, whole bool) (e rules.Event, openNs int64, kind string, err error) {
	switch {
	case len(line) > ingest.MaxLineBytes:
		err = errLong
	case !whole:
		err = errUnfinished
	default:
		return ingest.ReadSourceLine(line, zone)
	}
	return e, 0, "", err
}

// withoutHeartbeat takes the heartbeat, which the game did not send, out of the answer.
func (c chunk) withoutHeartbeat(d *decoded, result *ingest.Result) {
	if len(d.lines) == 0 || d.lines[len(d.lines)-1] != heartbeatLine {
		return
	}
	if len(result.Rejected) > 0 && result.Rejected[0].Line == heartbeatLine { // they are sorted
		result.Rejected = result.Rejected[1:]
		return
	}
	result.Accepted--
}
