package sender

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"photofinish/rules"
)

const (
	eventsPath = "/v1/events"
	readyPath  = "/readyz"

	requestTimeout = 30 * time.Second
	// maxAnswerBytes bounds what is read of an answer: each event of a batch may be
	// rejected with its reason.
	maxAnswerBytes = 4 << 20
	maxWordsBytes  = 500 // of an answer, in logs and files
)

// exchange is the clock exchange with a node in one request, as Photofinish-Clock has it.
type exchange struct {
	t1, t2, t3, t4 int64
	at             time.Time // t4; the zero time: there is none
}

// maxClockSet is how far the clock may have been set since an exchange, or stood still.
const maxClockSet = time.Millisecond

// usable reports whether the exchange still says something of this machine's clock. It may
// be old: the node allows for the drift since. But a clock that was set is another one.
func (x *exchange) usable(now time.Time) bool {
	if x.at.IsZero() {
		return false
	}
	elapsed := now.Sub(x.at) // by the clock that nobody sets
	set := time.Duration(now.UnixNano()-x.t4) - elapsed
	return -maxClockSet <= set && set <= maxClockSet
}

// fate is what an answer means for a request.
type fate int

const (
	again   fate = iota // nothing is known: the same request after a pause
	taken               // the node has it, on disk
	refused             // the node can never take this request
	wrong               // the key, the address or what stands between is wrong: a person must look
)

// answer is what came of one request.
type answer struct {
	fate     fate
	own      bool // it is the node itself that refuses
	status   int  // 0: no answer
	words    string
	retry    time.Duration // as the node asks; 0: it does not
	rejected []rejected
}

// rejected is an event that a node refuses alone.
type rejected struct {
	Line  int    `json:"line"` // from 1
	ID    string `json:"id"`
	Error string `json:"error"`
}

// post sends a batch to a node and reads the answer. Where nothing is known of the node's
// clock it asks for that first, by a request without events: else the events that waited
// for a node that was away would be the vaguest.
func (s *Sender) post(ctx context.Context, n *node, b *batch) answer {
	if !n.mute && !n.exchange.usable(s.cfg.Now()) {
		a := s.request(ctx, n, &batch{})
		if a.fate == again || a.fate == wrong {
			return a
		}
		n.mute = !n.exchange.usable(s.cfg.Now())
	}
	return s.request(ctx, n, b)
}

func (s *Sender) request(ctx context.Context, n *node, b *batch) answer {
	key, err := s.cfg.Key()
	if err != nil {
		return answer{fate: wrong, words: fmt.Sprintf("read the key: %v", err)}
	}
	packed, err := b.pack()
	if err != nil {
		return answer{fate: again, words: err.Error()}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url+eventsPath, bytes.NewReader(packed))
	if err != nil {
		return answer{fate: wrong, words: err.Error()}
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/x-ndjson")
	request.Header.Set("Content-Encoding", "gzip")
	sent := s.cfg.Now()
	if x := &n.exchange; x.usable(sent) {
		request.Header.Set("Photofinish-Clock", fmt.Sprintf("%d,%d,%d,%d", x.t1, x.t2, x.t3, x.t4))
	}
	response, err := s.client.Do(request)
	if err != nil {
		return answer{fate: again, words: err.Error()}
	}
	defer func() { _ = response.Body.Close() }()
	if x, told := readExchange(response.Header, sent, s.cfg.Now()); told {
		n.exchange = x
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	if err == nil && len(body) > maxAnswerBytes {
		err = errors.New("it is too long")
	}
	if err != nil && response.StatusCode == http.StatusOK {
		return answer{fate: again, status: http.StatusOK, words: fmt.Sprintf("the answer cannot be read: %v", err)}
	}
	return read(response, body, b, sent)
}

func readExchange(h http.Header, sent, received time.Time) (x exchange, told bool) {
	t2, err2 := strconv.ParseInt(h.Get("Photofinish-Received"), 10, 64)
	t3, err3 := strconv.ParseInt(h.Get("Photofinish-Sent"), 10, 64)
	return exchange{sent.UnixNano(), t2, t3, received.UnixNano(), received}, err2 == nil && err3 == nil
}

// read gives an answer its fate.
func read(response *http.Response, body []byte, b *batch, now time.Time) answer {
	a := answer{status: response.StatusCode, retry: retryAfter(response.Header, now)}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	a.own = kind == "application/problem+json"
	a.words = response.Status + ": " + words(body, a.own)
	switch code := response.StatusCode; {
	case code == http.StatusOK:
		return readTaken(a, body, b)
	case code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge, code == http.StatusUnsupportedMediaType:
		a.fate = refused
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		a.fate = again
	default:
		a.fate = wrong
	}
	return a
}

// readTaken believes a 200 only if its counts are those of the batch: whoever answers for
// a node that is away knows nothing of them.
func readTaken(a answer, body []byte, b *batch) answer {
	var counts struct {
		Accepted   *int       `json:"accepted"`
		Duplicates *int       `json:"duplicates"`
		Rejected   []rejected `json:"rejected"`
	}
	a.fate = again
	if err := json.Unmarshal(body, &counts); err != nil || counts.Accepted == nil || counts.Duplicates == nil {
		a.words = "it says 200 and not what became of the events: " + words(body, false)
		return a
	}
	if *counts.Accepted < 0 || *counts.Duplicates < 0 || *counts.Accepted+*counts.Duplicates+len(counts.Rejected) != len(b.ends) {
		a.words = fmt.Sprintf("it says 200 for %d accepted, %d duplicates and %d rejected of %d events",
			*counts.Accepted, *counts.Duplicates, len(counts.Rejected), len(b.ends))
		return a
	}
	for _, r := range counts.Rejected {
		if r.Line < 1 || r.Line > len(b.ends) {
			a.words = fmt.Sprintf("it rejects line %d of %d", r.Line, len(b.ends))
			return a
		}
	}
	a.fate, a.rejected = taken, counts.Rejected
	return a
}

// words returns what an answer says, cut short: the detail of a problem, else its text.
func words(body []byte, problem bool) string {
	text := string(body[:min(len(body), maxWordsBytes)])
	if problem {
		var p struct {
			Title  string `json:"title"`
			Detail string `json:"detail"`
		}
		if json.Unmarshal(body, &p) == nil && p.Title+p.Detail != "" {
			text = strings.TrimPrefix(p.Title+": "+p.Detail, ": ")
			text = text[:min(len(text), maxWordsBytes)]
		}
	}
	return strings.ToValidUTF8(strings.TrimSpace(text), "�")
}

// retryAfter returns what a node asks for, in seconds or as a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if t, err := http.ParseTime(text); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// isReady asks a node whether it takes events.
func (s *Sender) isReady(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+readyPath, http.NoBody)
	if err != nil {
		return false
	}
	response, err := s.client.Do(request)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxWordsBytes)) // so that the connection can be used again
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// instant converts a time of this machine for the file of refused events.
func instant(t time.Time) rules.Instant { return rules.Instant(t.UnixNano()) }
