package sender

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"photofinish/rules"
)

// world is a network of ingest nodes that lives in memory, so that its time is that of a
// synctest bubble.
type world struct {
	t     testing.TB
	mu    sync.Mutex
	nodes map[string]*fakeNode // by host
	log   []line               // what any node has taken, in that order
}

// fakeNode is a node. Its fields are guarded by the world's lock.
type fakeNode struct {
	requests []request         // with events or heartbeats
	clocks   int               // those with nothing
	taken    map[string]string // line by id, of what a 200 answered for
	ready    bool
	ahead    time.Duration // its clock is ahead of the sender's

	// answer says what to do with a request; nil: take it. It is called without the lock,
	// for a request without events only where all is set.
	answer func(r request) reply
	all    bool
	mute   bool // it tells no times
}

type request struct {
	at    time.Time
	key   string
	clock string
	body  string
	lines []line
}

type line struct {
	Seq   uint64            `json:"seq"`
	ID    string            `json:"id"`
	Type  string            `json:"type"`
	At    rules.Instant     `json:"at"`
	Attrs map[string]string `json:"attrs"`
	text  string
}

// reply is how a node answers. The zero reply takes all of it.
type reply struct {
	status   int // 0: 200
	problem  bool
	header   map[string]string
	body     string
	rejected []rejected
	lost     bool // the node takes it, and the answer does not arrive
	down     bool // the node does not get it
	delay    time.Duration
}

var errLine = errors.New("the line is cut")

func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	n := w.nodes[r.URL.Host]
	if n == nil {
		w.mu.Unlock()
		return nil, errLine
	}
	ready, answer, ahead, all, mute := n.ready, n.answer, n.ahead, n.all, n.mute
	w.mu.Unlock()
	if r.URL.Path == readyPath {
		return respond(map[bool]int{true: 200, false: 503}[ready], nil, ""), nil
	}
	in := w.read(r)
	w.mu.Lock()
	if len(in.lines) > 0 {
		n.requests = append(n.requests, in)
	} else {
		n.clocks++
	}
	w.mu.Unlock()
	var a reply
	if answer != nil && (all || len(in.lines) > 0) {
		a = answer(in)
	}
	if a.delay > 0 {
		select {
		case <-r.Context().Done():
			return nil, r.Context().Err()
		case <-time.After(a.delay):
		}
	}
	header := map[string]string{
		"Photofinish-Received": fmt.Sprint(in.at.Add(ahead).UnixNano()),
		"Photofinish-Sent":     fmt.Sprint(time.Now().Add(ahead).UnixNano()),
	}
	if mute {
		clear(header)
	}
	maps.Copy(header, a.header)
	switch {
	case a.down:
		return nil, errLine
	case a.status == 0:
		a.status, header["Content-Type"] = 200, "application/json"
		w.mu.Lock()
		a.body = n.take(in, a.rejected)
		w.log = append(w.log, in.lines...)
		w.mu.Unlock()
	case a.problem:
		header["Content-Type"] = "application/problem+json"
		a.body = fmt.Sprintf(`{"title":"No","detail":%q}`, a.body)
	}
	if a.lost {
		return nil, errLine
	}
	return respond(a.status, header, a.body), nil
}

func (n *fakeNode) take(in request, refused []rejected) string {
	not := map[int]bool{}
	for _, r := range refused {
		not[r.Line] = true
	}
	counts := struct {
		Accepted   int        `json:"accepted"`
		Duplicates int        `json:"duplicates"`
		Rejected   []rejected `json:"rejected"`
	}{Rejected: refused}
	for i, l := range in.lines {
		_, known := n.taken[l.ID]
		switch {
		case not[i+1]:
		case known:
			counts.Duplicates++
		default:
			counts.Accepted++
			if l.Type != rules.TypeHeartbeat {
				n.taken[l.ID] = l.text
			}
		}
	}
	b, _ := json.Marshal(counts)
	return string(b)
}

func respond(status int, header map[string]string, body string) *http.Response {
	r := &http.Response{
		StatusCode: status, Status: fmt.Sprintf("%d %s", status, http.StatusText(status)),
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)),
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	return r
}

func (w *world) read(r *http.Request) request {
	in := request{at: time.Now(), key: r.Header.Get("Authorization"), clock: r.Header.Get("Photofinish-Clock")}
	if r.Method != http.MethodPost || r.URL.Path != eventsPath || r.Header.Get("Content-Type") != "application/x-ndjson" ||
		r.Header.Get("Content-Encoding") != "gzip" {
		w.t.Errorf("request %s %s %v", r.Method, r.URL, r.Header)
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		w.t.Errorf("the body is no gzip: %v", err)
		return in
	}
	b, err := io.ReadAll(z)
	if err != nil || len(b) > 0 && !bytes.HasSuffix(b, []byte{'\n'}) {
		w.t.Errorf("the body %q: %v", b, err)
	}
	in.body = string(b)
	for text := range strings.Lines(in.body) {
		l := line{text: strings.TrimSuffix(text, "\n")}
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			w.t.Errorf("line %q: %v", text, err)
		}
		in.lines = append(in.lines, l)
	}
	return in
}

func newWorld(t testing.TB, hosts ...string) *world {
	w := &world{t: t, nodes: map[string]*fakeNode{}}
	for _, h := range hosts {
		w.nodes[h] = &fakeNode{taken: map[string]string{}, ready: true}
	}
	return w
}

func (w *world) config(dir string) Config {
	c := Config{
		Dir: dir, Key: func() (string, error) { return "pf_test", nil },
		Transport: w, SegmentBytes: 1 << 20, Quota: 8 << 20,
	}
	for _, h := range []string{"one", "two"} {
		if w.nodes[h] != nil {
			c.Nodes = append(c.Nodes, "http://"+h)
		}
	}
	return c
}

// sent returns the ids of the events of a node's requests, request by request: "a b | c ♥".
func (w *world) sent(host string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, r := range w.nodes[host].requests {
		var ids []string
		for _, l := range r.lines {
			if l.Type == rules.TypeHeartbeat {
				l.ID = "♥"
			}
			ids = append(ids, l.ID)
		}
		all = append(all, strings.Join(ids, " "))
	}
	return strings.Join(all, " | ")
}

func (w *world) requests(host string) []request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]request(nil), w.nodes[host].requests...)
}

func (w *world) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.nodes {
		n.requests, n.clocks = nil, 0
	}
}

func (w *world) set(host string, answer func(request) reply) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[host].answer = answer
}

// always answers every request alike.
func always(r reply) func(request) reply { return func(request) reply { return r } }

type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func open(t testing.TB, c Config) (*Sender, *logs) {
	t.Helper()
	l := &logs{}
	s, err := Open(c, l.logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, l
}

func kill(id string) *rules.Event {
	return &rules.Event{ID: id, Type: rules.TypeKill, Player: "p", Target: "rabbit"}
}

func accept(t testing.TB, s *Sender, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := s.Accept(t.Context(), kill(id)); err != nil {
			t.Fatal(err)
		}
	}
}

// refusedEvents returns "id: reason" of what was set aside.
func refusedEvents(t testing.TB, s *Sender) string {
	t.Helper()
	b, err := readIfThere(s.refused.path)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for text := range strings.Lines(string(b)) {
		var r struct {
			Reason string
			Event  line
		}
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r.Event.ID+": "+r.Reason)
	}
	return strings.Join(all, ", ")
}

func expect(t testing.TB, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
