package sender

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"photofinish/rules"
)

// Conditions that callers branch on.
var (
	// ErrFull: the disk or the quota is full. The event is not stored and has used no seq.
	ErrFull = errors.New("the sender's disk is full")
	// ErrClosed: the sender was closed.
	ErrClosed = errors.New("the sender is closed")
)

// Sender keeps events and sends them. Its methods may be called by several goroutines at
// once; Run by one.
type Sender struct {
	cfg     Config
	log     *slog.Logger
	client  *http.Client
	opening string // begins every id that this sender makes: when it was opened, and 64 random bits
	disk    disk
	refused *refusals

	committing sync.WaitGroup // the goroutine that writes rounds, if there is one

	mu      sync.Mutex // guards the fields below
	closed  bool
	number  uint64 // of the last id that was made
	lastAt  rules.Instant
	waiting *round // takes events; nil: none has come
	flying  *round // is being written
	known   recent
	landed  landed
	beat    beat
	full    uint64 // events that got ErrFull since the opening
	failing string // why the last write failed; empty: it did not
	acked   uint64 // up to here a node has taken everything, or it is set aside
	changed chan struct{}

	current int    // in nodes; only Run writes it
	why     string // what keeps the current node from taking events; empty: nothing
	ready   bool   // the first node has been ready for long enough to go back

	// Only Run's goroutine uses these.
	nodes   []node
	trouble trouble
	began   time.Time // the last request
	pruned  time.Time // the last look at old segments
}

// landed is what of the spool may be sent.
type landed struct {
	end uint64 // the last offset that is synced
	// clock is a lower bound of every instant that is given from now on: the clock when
	// the round that ended at end was closed. 0: nothing landed since the opening.
	clock rules.Instant
}

// node is an ingest node, as this sender knows it.
type node struct {
	url      string
	exchange exchange
	mute     bool // it does not tell the times of an exchange
}

// Open takes the folder, creating it where it is missing. It fails with
// spool.ErrLocked where another process has it. Nothing is sent before Run.
func Open(cfg Config, log *slog.Logger) (*Sender, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open sender: %w", err)
	}
	s := &Sender{cfg: cfg, log: log, opening: newOpening(cfg.Now()), changed: make(chan struct{})}
	s.client = &http.Client{
		Transport: cfg.Transport, Timeout: requestTimeout,
		// A redirect would take the key to whoever the answer names.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for _, url := range cfg.Nodes {
		s.nodes = append(s.nodes, node{url: url})
	}
	if s.disk, err = cfg.open(cfg, log); err != nil {
		return nil, fmt.Errorf("open sender: %w", err)
	}
	s.landed.end = s.disk.Last()
	s.acked = s.readMark()
	s.refused = &refusals{path: s.path(refusedFile), maxBytes: cfg.Quota}
	if err := s.remember(); err != nil {
		_ = s.disk.Close()
		return nil, fmt.Errorf("open sender: %w", err)
	}
	return s, nil
}

// newOpening names one opening. The random part keeps two that open copies of one disk in
// the same second apart.
func newOpening(now time.Time) string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	return strconv.FormatInt(now.Unix(), 10) + "-" + hex.EncodeToString(random[:])
}

// remember reads the last payloads of the spool, so that an event that was accepted before
// a restart is known when it is accepted again.
func (s *Sender) remember() error {
	from := max(s.disk.First(), s.landed.end-min(s.landed.end, maxRecent)+1)
	if from > s.landed.end {
		return nil
	}
	return s.disk.Read(from, func(_ uint64, payload []byte) error {
		s.known.add(keyOf(payload))
		return nil
	})
}

// Close waits for what is being written and gives the folder back. Run must have returned.
// What was not sent is sent after the next Open.
func (s *Sender) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.committing.Wait()
	if err := s.disk.Close(); err != nil {
		return fmt.Errorf("close sender: %w", err)
	}
	return nil
}

// Status is how things stand.
type Status struct {
	Node    string // which is sent to at present
	Unsent  uint64 // kept, and no node has it yet
	Refused uint64 // set aside since the opening
	Full    uint64 // refused with ErrFull since the opening
	Gone    uint64 // kept once, and no longer readable: what a damaged disk took
	Trouble string // why the node takes nothing; empty: nothing is wrong
	Disk    string // why the last write to the spool failed; empty: it did not
}

// Status returns how things stand at this moment.
func (s *Sender) Status() Status {
	gone := uint64(0)
	for _, span := range s.disk.Gone() {
		gone += span.Count()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return Status{
		Node: s.nodes[s.current].url, Unsent: s.landed.end - s.acked, Refused: s.refused.count.Load(),
		Full: s.full, Gone: gone, Trouble: s.why, Disk: s.failing,
	}
}

// change tells everybody who waits that something has changed. The lock is held.
func (s *Sender) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}
