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
	//go:embed sql/highest.sql
	selectHighest string
	//go:embed sql/committed.sql
	selectCommitted string
	//go:embed sql/contents.sql
	selectContents string
)

// Bounds of one step of Forward.
const (
	insertTries  = 3        // how often it inserts a range whose rows do not all arrive
	batchBytes   = 64 << 20 // of the payloads that it sends, beside Config.BatchRows
	countOffsets = 1 << 20  // that one query counts
)

// forward is what a node remembers of what it has forwarded.
type forward struct {
	promises promises
	verified uint64 // every retained offset up to this was counted in this life of the engine
	life     string // the token of that life; empty: none was entered
	tried    uint64 // the highest number of a row of progress that may be there
	sent     uint64 // no event after this was ever given to the log
	met      bool   // the spool knows what the log held of this node when it was opened
}

// Forward copies everything that is in the spool when it begins into the merged log
// and publishes how far it came and what it promises, also where nothing moved: a
// node that does not say so now and then is not believed. Whatever stopped it, calling
// it again continues: rows may be inserted twice, none is left out.
//
// What neither the spool nor the log holds any more is named as lost, loudly, and the rest
// goes on. It fails with ErrSpoolForeign where a person must act; any other error is
// worth another try later.
func (n *Node) Forward(ctx context.Context) error {
	n.forwarding.Lock()
	defer n.forwarding.Unlock()
	n.mu.Lock()
	s := n.spool
	n.mu.Unlock()
	err := spool.ErrClosed
	if s != nil {
		err = n.forwardAll(ctx, s)
		n.forwarded(s, err)
	}
	if err != nil {
		return fmt.Errorf("forward node %s: %w", n.cfg.Node, err)
	}
	return nil
}

func (n *Node) forwardAll(ctx context.Context, s *spool.Spool) error {
	said, err := n.begin(ctx, s)
	n.saveMarks(s) // also while the log is away
	if err != nil {
		return err
	}
	// The promise is read together with the end of the spool: what it says of events
	// before it holds only once everything up to that end is in the log.
	last, marks := n.snapshot(s)
	now := n.now()
	promise, forgotten := n.forward.promises.at(&marks, now, n.cfg.SilentAfter)
	n.forget(forgotten, &marks, now)
	if err := n.recount(ctx, s, &said); err != nil {
		return err
	}
	for said.offset < last {
		if said.offset, err = n.forwardBatch(ctx, s, &said, said.offset+1, last); err != nil {
			return err
		}
		n.forward.verified = said.offset
		if said.offset < last { // with the promise that was published before
			said.at = rules.Instant(n.now().UnixNano())
			if err := n.publish(ctx, &said); err != nil {
				return err
			}
		}
		// A crash here leaves the batch in the log and progress behind it: the next
		// Forward finds it there and sends nothing of it again.
	}
	if last > 0 || marks.known() {
		said.mark, said.at = promise, rules.Instant(n.now().UnixNano())
		n.mu.Lock()
		said.unused = n.unused.over(said.unused)
		n.mu.Unlock()
		if err := n.publish(ctx, &said); err != nil {
			return err
		}
	}
	s.Counted(n.forward.verified, now)
	return n.prune(ctx, s, now)
}

// begin reads the node's last word, and under which life of the engine it is read.
func (n *Node) begin(ctx context.Context, s *spool.Spool) (said word, err error) {
	if err := n.enterLife(ctx, s); err != nil {
		return word{}, err
	}
	if said, err = n.word(ctx, n.cfg.Node); err != nil {
		return word{}, err
	}
	if n.forward.met && said.published > n.forward.tried {
		return word{}, fmt.Errorf("%w: it published row %d", ErrSpoolForeign, said.published)
	}
	if !n.forward.met {
		if err := n.meet(ctx, s, &said); err != nil {
			return word{}, err
		}
		n.forward.met, n.forward.tried = true, said.published
		n.mu.Lock()
		if n.marks.Bare && said.published > 0 {
			n.marks.hold(said.mark)
		}
		n.marks.Bare = false
		n.mu.Unlock()
	}
	said.lost, said.void = said.lost.with(fromSpool(s.Lost())...), said.void.with(fromSpool(s.Void())...)
	n.lose(said.lost)
	return said, nil
}

// meet lets the spool and the log know of each other, once after the spool was opened. Where
// the folder is older than the log it has given out offsets that are taken: what was
// accepted since goes on above them.
func (n *Node) meet(ctx context.Context, s *spool.Spool, said *word) error {
	if err := n.checkOwn(ctx, s, said.offset); err != nil {
		return err
	}
	s.Learn(said.offset, forSpool(said.lost), forSpool(said.void))
	query := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{
		"node": n.cfg.Node, "after": strconv.FormatUint(said.offset, 10),
	}))
	var highest uint64
	if err := n.conn.QueryRow(query, selectHighest).Scan(&highest); err != nil {
		return fmt.Errorf("read the highest offset in the log: %w", err)
	}
	// A crash here leaves all as it was; one within Raise leaves the old state or the new.
	if _, err := s.Raise(highest); err != nil {
		return err
	}
	n.forward.sent = max(highest, said.offset)
	return nil
}

// prune removes segments that the log holds. The life is asked for again right before: the
// count may be one of a life that is over.
func (n *Node) prune(ctx context.Context, s *spool.Spool, now time.Time) error {
	alive, err := n.alive(ctx)
	if err != nil || !alive {
		return err
	}
	// A crash here leaves segments that could go; the next Forward removes them.
	_, err = s.Prune(now, n.cfg.Retention)
	return err
}

// recount counts what is still here and what the node's word calls committed, once in the
// life of this process and again in each life of the engine. What is missing is sent again.
func (n *Node) recount(ctx context.Context, s *spool.Spool, said *word) error {
	committed := said.offset
	if n.forward.verified >= committed {
		return nil
	}
	for first := max(s.Pruned(), n.forward.verified) + 1; first <= committed; first += countOffsets {
		missing, err := n.missing(ctx, said.skipped().between(first, min(committed, first+countOffsets-1)), rules.MinInstant, rules.MaxInstant)
		if err != nil {
			return err
		}
		if len(missing) == 0 {
			continue
		}
		from, to := missing[0], missing[len(missing)-1]
		n.log.WarnContext(ctx, "events missing in the log are sent again", "first", from, "last", to, "missing", len(missing))
		for from <= to {
			upTo, err := n.forwardBatch(ctx, s, said, from, to)
			if err != nil {
				return err
			}
			from = upTo + 1
		}
	}
	n.forward.verified = committed
	return nil
}

// checkOwn refuses a log in which another spool has used the node's name: counting
// would take its rows for ours, and ours would never be sent. It looks at the last
// offset that both have.
func (n *Node) checkOwn(ctx context.Context, s *spool.Spool, committed uint64) error {
	var own record
	found := false
	err := s.Read(committed, func(offset uint64, payload []byte) (err error) {
		if found = offset == committed; !found {
			return spool.ErrStop
		}
		if own, err = readRecord(payload); err != nil {
			return err
		}
		return spool.ErrStop
	})
	if errors.Is(err, spool.ErrGone) || err == nil && !found {
		return nil // forwarded long ago, or not here: there is nothing to compare
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
