package ingest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"photofinish/ingest/spool"
	"photofinish/rules"
)

var (
	//go:embed sql/arrived.sql
	countArrived string
	//go:embed sql/committed.sql
	selectCommitted string
	//go:embed sql/contents.sql
	selectContents string
)

// insertTries is how often one Forward inserts a range whose rows do not all arrive.
const insertTries = 3

// ErrHole says that the merged log lacks events whose segments are no longer in the spool.
var ErrHole = errors.New("events are missing in the merged log and gone from the spool")

// forward is what a node remembers of what it has forwarded, to save work: with the zero
// value the next Forward checks everything again.
type forward struct {
	verified uint64        // every retained offset up to this was counted in the log
	uptime   time.Duration // of the server, at the last Forward
}

// Forward copies everything that is in the spool when it begins into the merged log
// and publishes how far it came and what it promises, also where nothing moved: a
// node that does not say so now and then is not believed. Whatever stopped it, calling
// it again continues: rows may be inserted twice, none is left out.
//
// It fails with ErrSpoolBehind or ErrHole where a person must act; any other error is
// worth another try later.
func (n *Node) Forward(ctx context.Context) error {
	n.forwarding.Lock()
	defer n.forwarding.Unlock()
	if err := n.forwardAll(ctx); err != nil {
		return fmt.Errorf("forward node %s: %w", n.cfg.Node, err)
	}
	return nil
}

func (n *Node) forwardAll(ctx context.Context) error {
	// The promise is read together with the end of the spool: what it says of events
	// before it holds only once everything up to that end is in the log.
	n.mu.Lock()
	if n.spool == nil {
		n.mu.Unlock()
		return spool.ErrClosed
	}
	s, last := n.spool, n.spool.Last()
	now := n.now()
	promise, known := n.marks.at(now, n.cfg.SilentAfter), n.marks.known()
	err := n.marks.save(n.cfg.folder())
	n.mu.Unlock()
	if err != nil {
		return err
	}
	said, err := n.word(ctx)
	if err != nil {
		return err
	}
	if said.offset > last {
		return fmt.Errorf("%w: it ends at offset %d, the log at %d", ErrSpoolBehind, last, said.offset)
	}
	if err := n.reverify(ctx, s, said.offset); err != nil {
		return err
	}
	for said.offset < last {
		upTo, err := n.forwardBatch(ctx, s, said.offset+1, last)
		if err != nil {
			return err
		}
		n.forward.verified = upTo
		said.offset = upTo
		if upTo < last {
			said.published++ // with the promise that was published before
			if err := n.publish(ctx, said); err != nil {
				return err
			}
		}
		// A crash here leaves the batch in the log and progress behind it: the next
		// Forward counts and inserts it again, and the copies are the same events.
	}
	if last > 0 || known {
		if err := n.publish(ctx, word{said.published + 1, said.offset, promise}); err != nil {
			return err
		}
	}
	// A crash here leaves segments that could go; the next Forward removes them.
	s.Counted(n.forward.verified, now)
	if _, err := s.Prune(now, n.cfg.Retention); err != nil {
		return err
	}
	return nil
}

// reverify counts the segments that are still here and that progress calls
// committed, once in the life of this process and again after ClickHouse was
// restarted: a power cut can take rows that an insert was acknowledged for. What is
// missing is sent again.
func (n *Node) reverify(ctx context.Context, s *spool.Spool, committed uint64) error {
	var seconds uint32
	if err := n.conn.QueryRow(ctx, "SELECT uptime()").Scan(&seconds); err != nil {
		return fmt.Errorf("read uptime: %w", err)
	}
	uptime := time.Duration(seconds) * time.Second
	if uptime < n.forward.uptime {
		n.forward.verified = 0
		s.Recount()
	}
	n.forward.uptime = uptime
	if n.forward.verified >= committed {
		return nil
	}
	if err := n.checkOwn(ctx, s, committed); err != nil {
		return err
	}
	segments := s.Segments()
	if oldest := committed + 1; len(segments) > 0 && segments[0].First > oldest {
		return fmt.Errorf("%w: offsets %d to %d", ErrHole, oldest, segments[0].First-1)
	}
	for _, g := range segments {
		first, last := max(g.First, n.forward.verified+1), min(g.Last, committed)
		if first > last {
			continue
		}
		arrived, err := n.arrived(ctx, first, last, rules.MinInstant, rules.MaxInstant)
		if err != nil {
			return err
		}
		if want := last - first + 1; arrived < want {
			n.log.WarnContext(ctx, "events missing in the log are sent again", "first", first, "last", last, "missing", want-arrived)
			for first <= last {
				upTo, err := n.forwardBatch(ctx, s, first, last)
				if err != nil {
					return err
				}
				first = upTo + 1
			}
		}
		n.forward.verified = last
	}
	n.forward.verified = committed
	return nil
}

// checkOwn refuses a log in which another spool has used the node's name: counting
// would take its rows for ours, and ours would never be sent. It looks at the last
// offset that both have.
func (n *Node) checkOwn(ctx context.Context, s *spool.Spool, committed uint64) error {
	var own record
	err := s.Read(committed, func(_ uint64, payload []byte) (err error) {
		if own, err = readRecord(payload); err != nil {
			return err
		}
		return spool.ErrStop
	})
	if errors.Is(err, spool.ErrGone) {
		return nil // forwarded long ago; there is nothing to send again
	}
	if err != nil {
		return fmt.Errorf("offset %d: %w", committed, err)
	}
	query := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{
		"node": n.cfg.Node, "offset": strconv.FormatUint(committed, 10),
	}))
	var there []string
	if err := n.conn.QueryRow(query, selectContents).Scan(&there); err != nil {
		return fmt.Errorf("read offset %d in the log: %w", committed, err)
	}
	if len(there) > 0 && !slices.Contains(there, fmt.Sprintf("%X", own.Content[:])) {
		return fmt.Errorf("%w: at offset %d", ErrSpoolForeign, committed)
	}
	return nil
}

// forwardBatch inserts the events from first on, as many as make a batch but none
// after last, and returns the last one once the log was counted to hold them all.
func (n *Node) forwardBatch(ctx context.Context, s *spool.Spool, first, last uint64) (upTo uint64, err error) {
	last = min(last, first+uint64(n.cfg.BatchRows)-1)
	batch := make([]record, 0, last-first+1)
	err = s.Read(first, func(offset uint64, payload []byte) error {
		r, err := readRecord(payload)
		if err != nil {
			return fmt.Errorf("offset %d: %w", offset, err)
		}
		r.Node, r.Offset = n.cfg.Node, offset
		batch = append(batch, r)
		if offset == last {
			return spool.ErrStop
		}
		return nil
	})
	if errors.Is(err, spool.ErrGone) {
		return 0, fmt.Errorf("%w: %w", ErrHole, err)
	}
	if err != nil {
		return 0, err
	}
	if want := last - first + 1; uint64(len(batch)) != want {
		return 0, fmt.Errorf("the spool holds %d of the events %d to %d", len(batch), first, last)
	}
	from, to := rules.MaxInstant, rules.MinInstant
	for i := range batch {
		from, to = min(from, batch[i].At), max(to, batch[i].At)
	}
	for try := 1; ; try++ {
		if err := n.insert(ctx, batch); err != nil {
			return 0, err
		}
		// A crash here, or anywhere within insert, leaves some or all of the rows in
		// the log and none of them promised: the next Forward inserts them all.
		if err := n.cfg.Stop("forward.inserted"); err != nil {
			return 0, err
		}
		arrived, err := n.arrived(ctx, first, last, from, to)
		if err != nil {
			return 0, err
		}
		if arrived == uint64(len(batch)) {
			return last, n.cfg.Stop("forward.counted")
		}
		if try == insertTries {
			return 0, fmt.Errorf("of the events %d to %d only %d arrived after %d inserts", first, last, arrived, try)
		}
		n.log.WarnContext(ctx, "not every inserted event arrived", "first", first, "last", last, "arrived", arrived, "attempt", try)
	}
}

// arrived counts the offsets from first to last, of events that happened from one
// instant to another, that all tables hold.
func (n *Node) arrived(ctx context.Context, first, last uint64, from, to rules.Instant) (count uint64, err error) {
	ctx = clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{
		"node":    n.cfg.Node,
		"first":   strconv.FormatUint(first, 10),
		"last":    strconv.FormatUint(last, 10),
		"from_ns": strconv.FormatInt(int64(from), 10), "to_ns": strconv.FormatInt(int64(to), 10),
	}))
	if err := n.conn.QueryRow(ctx, countArrived).Scan(&count); err != nil {
		return 0, fmt.Errorf("count events %d to %d in the log: %w", first, last, err)
	}
	return count, nil
}
