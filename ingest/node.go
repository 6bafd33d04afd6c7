package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/ingest/spool"
	"photofinish/rules"
)

// MaxBatchEvents is how many events one Accept takes.
const MaxBatchEvents = 100_000

// ErrSpoolBehind says that the merged log holds more of this node than its spool has ever
// had, so the folder was lost or another one took the name. Going on would give
// new events the offsets of old ones.
var ErrSpoolBehind = errors.New("the spool is behind the merged log; give the node a new name, or its old folder back")

// ErrSpoolForeign says that the merged log holds events of this node's name which
// another spool sent.
var ErrSpoolForeign = errors.New("another spool has sent events under this node's name; give the node a name of its own")

// Node takes events in and forwards them. Its methods may be called by several
// goroutines at once, between Open and Close.
type Node struct {
	conn driver.Conn
	log  *slog.Logger
	cfg  Config
	now  func() time.Time

	mu     sync.Mutex // guards the fields below; held while appending to the spool
	spool  *spool.Spool
	recent *recent
	marks  watermarks

	forwarding sync.Mutex // one Forward at a time; guards forward
	forward    forward
	importing  sync.Mutex // one Import at a time
}

// New returns a node that forwards over conn and reads the time from now. It does
// nothing else: Open opens the spool.
func New(conn driver.Conn, log *slog.Logger, cfg Config, now func() time.Time) (*Node, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	return &Node{conn: conn, log: log.With("node", cfg.Node), cfg: cfg, now: now}, nil
}

// Open takes the node's folder, creating it where it is missing. It does not need
// ClickHouse. It fails with spool.ErrLocked where another process is this node.
func (n *Node) Open() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.spool != nil {
		return fmt.Errorf("open node %s: it is open", n.cfg.Node)
	}
	s, err := spool.Open(n.cfg.folder(), spool.Options{SegmentBytes: n.cfg.SegmentBytes, Log: n.log})
	if err != nil {
		return fmt.Errorf("open node %s: %w", n.cfg.Node, err)
	}
	n.marks, err = loadWatermarks(n.cfg.folder(), n.now())
	if err == nil {
		err = n.remember(s)
	}
	if err != nil {
		_ = s.Close()
		return fmt.Errorf("open node %s: %w", n.cfg.Node, err)
	}
	n.spool = s
	n.forward = forward{}
	return nil
}

// remember reads the last records of the spool, so that what was accepted before a
// restart is known when it is sent again.
func (n *Node) remember(s *spool.Spool) error {
	n.recent = newRecent(2 * n.cfg.Recent) // an event takes two keys
	segments := s.Segments()
	if len(segments) == 0 {
		return nil
	}
	from := segments[0].First
	if last := s.Last(); last > uint64(n.cfg.Recent) {
		from = max(from, last-uint64(n.cfg.Recent)+1)
	}
	return s.Read(from, func(offset uint64, payload []byte) error {
		r, err := readRecord(payload)
		if err != nil {
			return fmt.Errorf("offset %d: %w", offset, err)
		}
		k := identityKey(r.Server, r.ID)
		n.recent.add(k)
		n.recent.add(k.with(r.Content))
		return nil
	})
}

// Close gives the folder back. It waits for calls that are under way.
func (n *Node) Close() error {
	n.importing.Lock()
	defer n.importing.Unlock()
	n.forwarding.Lock()
	defer n.forwarding.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.spool == nil {
		return nil
	}
	err := errors.Join(n.marks.save(n.cfg.folder()), n.spool.Close())
	n.spool = nil
	if err != nil {
		return fmt.Errorf("close node %s: %w", n.cfg.Node, err)
	}
	return nil
}

// Batch is what one server sent at once. Its events are the server's, in its
// region, whatever their own fields say.
type Batch struct {
	Server string
	Region string
	Events []rules.Event // at most MaxBatchEvents; a Count of 0 is 1. Left unmodified
	Lines  []int         // where each event stood in the request; nil: counted from 1
	OpenNs []int64       // how much later than its stamp each event may have happened; nil: not at all
	Clock  *Clock        // the estimate of the server's clock; nil: the configured error
}

// Result says what became of a batch. Every event is in exactly one of the counts.
type Result struct {
	Accepted   int        // in the spool, synced; heartbeats too, which are only taken down
	Duplicates int        // known already, with the same content
	Rejected   []Rejected // refused, each alone
	Conflicts  int        // of Accepted: known already with another content
	Conflict   string     // one of them, "server/id"; empty: none
}

// Rejected is an event that was refused.
type Rejected struct {
	Line  int    `json:"line"`
	ID    string `json:"id"`
	Error string `json:"error"`
}

// Accept checks a batch, spools what is new and returns once that is synced to
// disk. It works while ClickHouse is away: a duplicate may then be accepted again,
// which changes no outcome. An error means that nothing was acknowledged; the same
// batch can be sent again.
func (n *Node) Accept(ctx context.Context, b Batch) (Result, error) {
	if len(b.Events) > MaxBatchEvents {
		return Result{}, fmt.Errorf("accept: %d events are more than %d", len(b.Events), MaxBatchEvents)
	}
	clock := Clock{ErrNs: int64(n.cfg.ClockErr)}
	if b.Clock != nil {
		clock = *b.Clock
		if !clock.plausible() {
			return Result{}, fmt.Errorf("accept: a clock offset of %d ± %d ns is beyond %s", clock.OffsetNs, clock.ErrNs, MaxClockOffset)
		}
	}
	now := n.now()
	result, records, beats := n.check(b, clock, now)
	if err := n.lookupOld(ctx, b.Server, records, now); err != nil {
		// The batch is taken all the same: losing no event goes before finding duplicates.
		n.log.WarnContext(ctx, "duplicates not looked up", "server", b.Server, "err", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.spool == nil {
		return Result{}, fmt.Errorf("accept: %w", spool.ErrClosed)
	}
	reports := slices.Concat(records, beats)
	for i := range reports {
		n.marks.order(&reports[i].record)
	}
	records = reports[:len(records)]
	payloads := n.fresh(records, &result)
	if _, err := n.spool.Append(payloads); err != nil {
		return Result{}, fmt.Errorf("accept %d events of %s: %w", len(payloads), b.Server, err)
	}
	// A crash here leaves events that are safe but not acknowledged. The server
	// sends them again and they are found to be duplicates.
	if err := n.cfg.Stop("accept.spooled"); err != nil {
		return Result{}, err
	}
	for i := range records {
		n.recent.add(records[i].key)
		n.recent.add(records[i].exact)
	}
	// Only now: the watermark must not pass an event that is not in the spool.
	for i := range reports {
		n.marks.reported(&reports[i].record, now)
	}
	return result, nil
}

// candidate is a checked record on its way into the spool.
type candidate struct {
	record
	key, exact key
	known      bool // the identity is in the merged log
	same       bool // and so is the content
}

// check sorts a batch into the refused, counted in the result, the events, and the
// heartbeats, which are not kept.
func (n *Node) check(b Batch, clock Clock, now time.Time) (result Result, records, beats []candidate) {
	result.Rejected = []Rejected{}
	within := untilSoon(now, n.cfg.FutureLimit)
	records = make([]candidate, 0, len(b.Events))
	for i := range b.Events {
		var c candidate
		c.Event = b.Events[i]
		c.Server, c.Region = b.Server, b.Region
		if c.Count == 0 {
			c.Count = 1
		}
		c.Instant, c.receivedNs = clock.correct(c.At), now.UnixNano()
		c.Exactly(clock.ErrAt(c.Instant) + int64(n.cfg.NodeClockErr))
		if i < len(b.OpenNs) {
			c.Latest = c.Latest.Add(time.Duration(b.OpenNs[i]))
		}
		if err := check(&c.Event, c.Instant, within); err != nil {
			line := i + 1
			if i < len(b.Lines) {
				line = b.Lines[i]
			}
			result.Rejected = append(result.Rejected, Rejected{Line: line, ID: b.Events[i].ID, Error: err.Error()})
			continue
		}
		if c.Type == rules.TypeHeartbeat {
			result.Accepted++
			beats = append(beats, c)
			continue
		}
		c.Content = c.Digest()
		c.key = identityKey(c.Server, c.ID)
		c.exact = c.key.with(c.Content)
		records = append(records, c)
	}
	return result, records, beats
}

// fresh counts duplicates and conflicts and returns the payloads of what is new.
func (n *Node) fresh(records []candidate, result *Result) [][]byte {
	batch := make(map[key]struct{}, 2*len(records))
	payloads := make([][]byte, 0, len(records))
	var b []byte
	for i := range records {
		c := &records[i]
		_, sameHere := batch[c.exact]
		if c.same || sameHere || n.recent.has(c.exact) {
			result.Duplicates++
			continue
		}
		if _, here := batch[c.key]; c.known || here || n.recent.has(c.key) {
			result.Conflicts++
			result.Conflict = strconv.QuoteToGraphic(c.Server + "/" + c.ID)
		}
		batch[c.key], batch[c.exact] = struct{}{}, struct{}{}
		result.Accepted++
		start := len(b)
		b = c.appendTo(b)
		payloads = append(payloads, b[start:len(b):len(b)])
	}
	return payloads
}
