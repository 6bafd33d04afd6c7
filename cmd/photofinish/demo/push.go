package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"photofinish/cmd/photofinish/demo/audit"
	"photofinish/ingest"
	"photofinish/rules"
)

// maxTries bounds how often one request is sent: a network this bad lets one through in far
// fewer.
const maxTries = 50

// maxAnswerBytes bounds what a server reads of an answer.
const maxAnswerBytes = 4 << 20

// measurement is a comparison of a server's clock with a node's, from one exchange.
type measurement struct {
	at     rules.Instant // when; the zero value: never
	header string        // as Photofinish-Clock has it
	errNs  int64         // by how much it can be wrong
}

// answer is what a node says of a batch.
type answer struct {
	Accepted   int `json:"accepted"`
	Duplicates int `json:"duplicates"`
	Rejected   []struct {
		Line int `json:"line"` // from 1
	} `json:"rejected"`

	header http.Header
	clock  measurement
}

// errUnanswered says that nobody knows what became of a request: it must be sent again.
var errUnanswered = errors.New("no answer, or half of one")

// deliver sends events of a server to a node until it is answered, and takes down what was
// acknowledged. With upTo the server adds a heartbeat: it has told of all before.
func (w *World) deliver(ctx context.Context, s *server, n *node, events []*audit.Event, upTo rules.Instant) error {
	batch := make([]rules.Event, 0, len(events)+1)
	for _, m := range events {
		batch = append(batch, m.Event)
	}
	if upTo != 0 {
		batch = append(batch, rules.Event{Type: rules.TypeHeartbeat, At: s.clock(upTo)})
	}
	if len(batch) == 0 {
		return nil
	}
	clock, err := w.compareClocks(ctx, s, n)
	if err != nil {
		return err
	}
	for _, m := range events {
		m.Sent = true
		m.ErrNs = max(m.ErrNs, w.errOf(&clock, m))
	}
	got, err := w.post(ctx, s, n, batch, clock.header)
	if err != nil {
		return err
	}
	w.Faults.DuplicatesRefused += got.Duplicates
	refused := map[int]bool{}
	for _, r := range got.Rejected {
		refused[r.Line-1] = true
	}
	for i, m := range events {
		if refused[i] {
			m.Refused = true
			continue
		}
		m.Acknowledged = true
		n.spooled = append(n.spooled, m)
	}
	return nil
}

// compareClocks returns how a server's clock stands to a node's, by a request without events
// where it has not been compared in this step: in earnest a heartbeat does it, every twenty
// seconds. A server that does not compare has a measurement without a header.
func (w *World) compareClocks(ctx context.Context, s *server, n *node) (measurement, error) {
	if !s.asks {
		return measurement{}, nil
	}
	if known := s.clocks[n.name]; known.at == w.now {
		return known, nil
	}
	got, err := w.post(ctx, s, n, nil, "")
	if err != nil {
		return measurement{}, err
	}
	s.clocks[n.name] = got.clock
	return got.clock, nil
}

// errOf bounds by how much a node can be wrong about when an event happened: half of the
// exchange, and what clocks part between the two, as it cannot know that these do not. To
// that comes its own clock's error, which widens what it says by once, not twice.
func (w *World) errOf(clock *measurement, m *audit.Event) int64 {
	own := int64(ingest.DefaultNodeClockErr) / 2
	if clock.header == "" {
		return own + int64(ingest.DefaultClockErr)
	}
	const rest = time.Millisecond // they also part during the exchange, and while the event is put right
	return own + clock.errNs + int64(max(0, w.now-m.Happened))*ingest.DriftPPM/1e6 + int64(rest)
}

// post sends a request until a node has answered it: at once, as a step of the world is a
// moment, and the same bytes each time.
func (w *World) post(ctx context.Context, s *server, n *node, events []rules.Event, clock string) (*answer, error) {
	packed, err := body(events)
	if err != nil {
		return nil, err
	}
	there, back := w.way(s, n), w.way(s, n) // of each try: a network that loses more draws no more
	for try := range maxTries {
		if try > 0 {
			w.Faults.Retries++
		}
		got, err := w.request(ctx, s, n, packed, clock)
		if err == nil {
			got.clock, err = w.measure(s, got.header, there, back)
			return got, errors.Join(err, got.check(len(events)))
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !errors.Is(err, errUnanswered) {
			return nil, fmt.Errorf("node %s: %w", n.name, err)
		}
		if n.door.died.Swap(false) {
			if err := w.restart(ctx, n); err != nil {
				return nil, err
			}
		}
	}
	return nil, fmt.Errorf("node %s answered none of %d tries", n.name, maxTries)
}

// request sends a request once.
func (w *World) request(ctx context.Context, s *server, n *node, packed []byte, clock string) (*answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+n.door.proxy.Addr()+"/v1/events", bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	request.Host = n.name // as long whatever the port: the network cuts at a byte
	request.Header.Set("Authorization", "Bearer "+s.key)
	request.Header.Set("Content-Type", "application/x-ndjson")
	request.Header.Set("Content-Encoding", "gzip")
	if clock != "" {
		request.Header.Set("Photofinish-Clock", clock)
	}
	response, err := w.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnanswered, err)
	}
	defer func() { _ = response.Body.Close() }() // all of it was read
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnanswered, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s: %s", response.Status, text)
	}
	got := answer{header: response.Header}
	if err := json.Unmarshal(text, &got); err != nil {
		return nil, fmt.Errorf("read its answer %q: %w", text, err)
	}
	return &got, nil
}

// way draws how long a message takes one way: 15 ms at least, and hardly ever the same
// there and back, so that what is measured is off.
func (w *World) way(s *server, n *node) time.Duration {
	d := 15*time.Millisecond + s.far + time.Duration(w.rng.Int64N(int64(25*time.Millisecond)))
	if n.name != s.region {
		d += 70 * time.Millisecond
	}
	if w.rng.IntN(50) == 0 {
		d += time.Duration(w.rng.Int64N(int64(300 * time.Millisecond))) // a stalled line
	}
	return d
}

// measure reads from an answer when the node had the request, by its clock. What the server
// reads on its own, before and after, is the world's time and the way.
func (w *World) measure(s *server, h http.Header, there, back time.Duration) (measurement, error) {
	received, err := strconv.ParseInt(h.Get("Photofinish-Received"), 10, 64)
	if err != nil {
		return measurement{}, fmt.Errorf("read Photofinish-Received: %w", err)
	}
	sent, err := strconv.ParseInt(h.Get("Photofinish-Sent"), 10, 64)
	if err != nil {
		return measurement{}, fmt.Errorf("read Photofinish-Sent: %w", err)
	}
	return measurement{
		at:     w.now,
		header: fmt.Sprintf("%d,%d,%d,%d", s.clock(w.now.Add(-there)), received, sent, s.clock(w.now.Add(back))),
		errNs:  int64(there+back)/2 + 1,
	}, nil
}

// check reports an answer that does not speak of all events.
func (a *answer) check(events int) error {
	if a.Accepted+a.Duplicates+len(a.Rejected) != events {
		return fmt.Errorf("a node answered for %d accepted, %d duplicates and %d rejected of %d events", a.Accepted, a.Duplicates, len(a.Rejected), events)
	}
	return nil
}
