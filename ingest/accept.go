package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"photofinish/ingest/spool"
	"photofinish/rules"
)

// MaxBatchEvents is how many events one Accept takes.
const MaxBatchEvents = 100_000

// MaxBatchBytes is how many bytes the events of one Accept may take in the spool, and
// those of one round, so that a round fits into a segment.
const MaxBatchBytes = 48 << 20

// What the bytes of an event in the spool are counted as, beside its texts.
const (
	numbersBytes = 120 // of a frame and of the numbers in its payload, at most
	lengthBytes  = 2   // before each text, at most
)

// Why a batch was not acknowledged. After any other error of Accept some of it may be
// stored; in every case the same batch can be sent again.
var (
	// ErrBusy: two rounds after each other had no room for the batch. Nothing of it
	// was stored.
	ErrBusy = errors.New("the disk is behind with what others sent; send the batch again")
	// ErrFull: the spool's quota is used up, or the disk. Nothing of the batch was stored,
	// and room comes back by itself as the log takes what is there.
	ErrFull = spool.ErrFull
	// ErrTooLarge: the batch has more than MaxBatchEvents or MaxBatchBytes. Nothing of it
	// was stored.
	ErrTooLarge = errors.New("the batch is too large; send it in parts")
)

// Batch is what one server sent at once. Its events are the server's, in its
// region, whatever their own fields say.
type Batch struct {
	Server string
	Region string
	Events []rules.Event // at most MaxBatchEvents; a Count of 0 is 1. Left unmodified
	Lines  []int         // where each event stood in the request; nil: counted from 1
	// OpenNs is how much time after it each event's stamp leaves open, in nanoseconds: a
	// stamp that knows milliseconds names [t, t+1 ms), so 999,999. nil: nothing.
	OpenNs []int64
	Clock  *Clock // the estimate of the server's clock; nil: the configured error
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

// Accept checks a batch, puts what is new into the spool and returns once that, and
// whatever it is a copy of, is synced to disk. Batches that come while a sync is under way
// share the next one. It works while ClickHouse is away: a duplicate may then be accepted
// again, which changes no outcome. An error means that nothing was acknowledged; the same
// batch can be sent again. Where ctx ends first, so does the waiting; the events land all
// the same.
func (n *Node) Accept(ctx context.Context, b Batch) (Result, error) {
	result, err := n.accept(ctx, &b)
	if err != nil {
		return Result{}, fmt.Errorf("accept %d events of %s: %w", len(b.Events), quote(b.Server), err)
	}
	return result, nil
}

func (n *Node) accept(ctx context.Context, b *Batch) (Result, error) {
	clock := Clock{ErrNs: int64(n.cfg.ClockErr)}
	if b.Clock != nil {
		clock = *b.Clock
	}
	if err := b.check(clock); err != nil {
		return Result{}, err
	}
	r := &request{now: n.now()}
	n.sort(b, clock, r)
	if r.bytes > n.roundBytes {
		return Result{}, fmt.Errorf("%w: up to %d bytes are more than %d", ErrTooLarge, r.bytes, n.roundBytes)
	}
	if err := n.lookupOld(ctx, b.Server, r.events, r.now); err != nil {
		// The batch is taken all the same: losing no event goes before finding duplicates.
		n.log.WarnContext(ctx, "duplicates not looked up", "server", b.Server, "err", err)
	}
	if err := n.join(ctx, r); err != nil {
		return Result{}, err
	}
	if err := n.landed(ctx, r); err != nil {
		return Result{}, err
	}
	return r.result, nil
}

// check refuses a batch that no server could mean.
func (b *Batch) check(clock Clock) error {
	if len(b.Events) > MaxBatchEvents {
		return fmt.Errorf("%w: the events are more than %d", ErrTooLarge, MaxBatchEvents)
	}
	if !clock.plausible() {
		return fmt.Errorf("a clock offset of %d ± %d ns is beyond %s", clock.OffsetNs, clock.ErrNs, MaxClockOffset)
	}
	if b.OpenNs != nil && len(b.OpenNs) != len(b.Events) {
		return fmt.Errorf("%d stamps are said to leave time open", len(b.OpenNs))
	}
	for _, open := range b.OpenNs {
		if open < 0 || open > int64(MaxClockOffset) {
			return fmt.Errorf("a stamp that leaves %d ns open is not from 0 to %s", open, MaxClockOffset)
		}
	}
	return nil
}

// request is a batch on its way.
type request struct {
	now    time.Time
	events []candidate
	beats  []candidate
	bytes  int // the events take at most so much in the spool
	result Result

	needs  []*round // it is answered when these have landed
	copies []uint64 // offsets of what its duplicates are copies of
	copied []flight // the same, of what was in flight
}

// candidate is a checked record on its way into the spool.
type candidate struct {
	record
	key   key
	known bool   // the identity is in the merged log
	same  bool   // and so is the content
	own   uint64 // where, in this node's own partition; 0: not there
}

// sort divides a batch into the refused, the events, and the heartbeats, which are not
// kept.
func (n *Node) sort(b *Batch, clock Clock, r *request) {
	r.result.Rejected = []Rejected{}
	within := untilSoon(r.now, n.cfg.FutureLimit)
	r.events = make([]candidate, 0, len(b.Events))
	for i := range b.Events {
		r.events = append(r.events, candidate{})
		c := &r.events[len(r.events)-1]
		c.Event = b.Events[i]
		c.Server, c.Region = b.Server, b.Region
		if c.Count == 0 {
			c.Count = 1
		}
		c.Instant, c.receivedNs = clock.correct(c.At), r.now.UnixNano()
		c.Exactly(clock.ErrAt(c.Instant) + int64(n.cfg.NodeClockErr))
		if b.OpenNs != nil {
			c.Latest += rules.Instant(b.OpenNs[i])
		}
		if err := check(&c.Event, c.Instant, within); err != nil {
			line := i + 1
			if i < len(b.Lines) {
				line = b.Lines[i]
			}
			text := err.Error()
			if c.Instant < within.from || c.Instant >= within.to {
				text += "; " + clock.why(b.Clock != nil, c.Instant, r.now)
			}
			r.result.Rejected = append(r.result.Rejected, Rejected{Line: line, ID: b.Events[i].ID, Error: text})
			r.events = r.events[:len(r.events)-1]
			continue
		}
		if c.Type == rules.TypeHeartbeat {
			r.result.Accepted++
			r.beats = append(r.beats, *c)
			r.events = r.events[:len(r.events)-1]
			continue
		}
		c.Content = c.Digest()
		c.key = identityKey(c.Server, c.ID)
		r.bytes += c.maxBytes()
	}
}

// maxBytes bounds what the event takes in the spool, whatever its interval becomes.
func (r *record) maxBytes() int {
	bytes := numbersBytes
	for _, s := range [...]string{r.Server, r.Region, r.ID, r.Type, r.Player, r.Guild, r.Target, r.SKU, r.Price.Currency} {
		bytes += lengthBytes + len(s)
	}
	for name, value := range r.Attrs {
		bytes += 2*lengthBytes + len(name) + len(value)
	}
	return bytes
}

// join puts a request into the waiting round, whole. Where that has no room it waits until
// another one begins, at most twice.
func (n *Node) join(ctx context.Context, r *request) error {
	for tries := 0; ; tries++ {
		n.mu.Lock()
		full := n.waiting
		if n.spool == nil {
			n.mu.Unlock()
			return spool.ErrClosed
		}
		if full == nil || full.bytes+r.bytes <= n.roundBytes {
			n.enter(r)
			n.mu.Unlock()
			return nil
		}
		n.mu.Unlock()
		if tries == maxWaits {
			return ErrBusy
		}
		select {
		case <-full.taken:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// landed waits until everything the request depends on is on the disk. What its duplicates
// are copies of is looked up again then: a place may have been named lost meanwhile.
func (n *Node) landed(ctx context.Context, r *request) error {
	for _, needed := range r.needs {
		select {
		case <-needed.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if needed.err != nil {
			return needed.err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, f := range r.copied {
		r.copies = append(r.copies, f.offset())
	}
	for _, offset := range r.copies {
		if n.lost.has(offset) {
			return fmt.Errorf("the place of a known event, offset %d, was lost meanwhile; send the batch again", offset)
		}
	}
	return nil
}
