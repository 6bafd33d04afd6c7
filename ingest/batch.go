package ingest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"

	"github.com/ClickHouse/clickhouse-go/v2"

	"photofinish/ingest/spool"
	"photofinish/rules"
)

//go:embed sql/missing.sql
var selectMissing string

// forwardBatch makes sure that the log holds the events from first on, as many as make a
// batch but none after last, and returns the last one. Which of them are missing is asked,
// unless none was ever sent; those are sent, and then it is asked again: that an insert was
// acknowledged counts for nothing. What is missing and cannot be read here either is named
// in the word.
func (n *Node) forwardBatch(ctx context.Context, s *spool.Spool, said *word, first, last uint64) (upTo uint64, err error) {
	batch, upTo, err := n.readBatch(s, first, last)
	if err != nil {
		return 0, err
	}
	said.void = said.void.with(fromSpool(s.Void())...) // reading may have found some
	asked := said.skipped().between(first, upTo)
	from, to := rules.MaxInstant, rules.MinInstant
	for i := range batch {
		from, to = min(from, batch[i].At), max(to, batch[i].At)
	}
	if asked.count() > uint64(len(batch)) {
		from, to = rules.MinInstant, rules.MaxInstant // of what cannot be read nobody knows when it was
	}
	for try := 0; ; try++ {
		var missing []uint64
		some := batch
		if try > 0 || first <= n.forward.sent || asked.count() != uint64(len(batch)) {
			if missing, err = n.missing(ctx, asked, from, to); err != nil {
				return 0, err
			}
			some = only(batch, missing)
		}
		if len(some) == 0 {
			if len(missing) > 0 {
				if err := n.name(ctx, s, said, spansOf(missing)); err != nil {
					return 0, err
				}
			}
			return upTo, n.cfg.Stop("forward.counted")
		}
		if try == insertTries {
			return 0, fmt.Errorf("of the events %d to %d, %d did not arrive with %d inserts", first, upTo, len(some), try)
		}
		if try > 0 {
			n.log.WarnContext(ctx, "not every inserted event arrived", "first", first, "last", upTo, "missing", len(some), "attempt", try)
		}
		n.forward.sent = max(n.forward.sent, upTo)
		if err := n.insert(ctx, some); err != nil {
			return 0, err
		}
		// A crash here, or anywhere within insert, leaves some or all of the rows in
		// the log and none of them promised: the next Forward asks which are missing.
		if err := n.cfg.Stop("forward.inserted"); err != nil {
			return 0, err
		}
	}
}

// name declares places lost that neither the spool nor the log holds: their events are new
// if they come again. They are published with the next row, together with its offset.
func (n *Node) name(ctx context.Context, s *spool.Spool, said *word, holes spans) error {
	n.lose(holes)
	named := spans{}.with(fromSpool(s.Name(forSpool(holes)))...)
	if pruned := s.Pruned(); pruned > 0 {
		// What was counted and removed here may be gone from the log as well.
		for _, hole := range holes {
			if hole.First <= pruned {
				named = named.with(rules.Span{First: hole.First, Last: min(hole.Last, pruned)})
			}
		}
	}
	if named.count() != holes.count() {
		return fmt.Errorf("events %d to %d are neither in the log nor were they read; they are asked for again", holes[0].First, holes[len(holes)-1].Last)
	}
	said.lost = said.lost.with(named...)
	n.log.ErrorContext(ctx, "events are lost: damaged here and not in the log", "first", holes[0].First, "last", holes[len(holes)-1].Last, "offsets", holes.count())
	// A crash here leaves them named in the spool, and in no row: the next Forward says so.
	return n.cfg.Stop("forward.named")
}

// readBatch reads the events from first on, as many as make a batch but none after last,
// and passes over what cannot be read.
func (n *Node) readBatch(s *spool.Spool, first, last uint64) (batch []*record, upTo uint64, err error) {
	upTo = min(last, first+countOffsets-1)
	if pruned := s.Pruned(); first <= pruned {
		return nil, min(upTo, pruned), nil
	}
	bytes, end := 0, upTo
	var room []record
	err = s.Read(first, func(offset uint64, payload []byte) error {
		if offset > end {
			return spool.ErrStop
		}
		if len(room) == 0 {
			room = make([]record, min(end-offset+1, roomRecords))
		}
		r := &room[0]
		if *r, err = readRecord(payload); err != nil {
			return fmt.Errorf("offset %d: %w", offset, err)
		}
		r.Node, r.Offset = n.cfg.Node, offset
		batch, bytes, room = append(batch, r), bytes+len(payload), room[1:]
		if len(batch) >= n.cfg.BatchRows || bytes >= batchBytes {
			upTo = offset
			return spool.ErrStop
		}
		return nil
	})
	return batch, upTo, err
}

// roomRecords is for how many records of a batch readBatch makes room at once.
const roomRecords = 1024

// only returns the records of a batch whose offsets, which are sorted, are given.
func only(batch []*record, offsets []uint64) []*record {
	var some []*record
	for _, offset := range offsets {
		for len(batch) > 0 && batch[0].Offset < offset {
			batch = batch[1:]
		}
		if len(batch) > 0 && batch[0].Offset == offset {
			some = append(some, batch[0])
		}
	}
	return some
}

// missing returns the offsets, of events that happened from one instant to another, that
// not all tables hold.
func (n *Node) missing(ctx context.Context, asked spans, from, to rules.Instant) (offsets []uint64, err error) {
	for _, span := range asked {
		some, err := n.missingIn(ctx, span, from, to)
		if err != nil {
			return nil, fmt.Errorf("count events %d to %d in the log: %w", span.First, span.Last, err)
		}
		offsets = append(offsets, some...)
	}
	return offsets, nil
}

func (n *Node) missingIn(ctx context.Context, span rules.Span, from, to rules.Instant) (offsets []uint64, err error) {
	ctx = clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{
		"node":    n.cfg.Node,
		"first":   strconv.FormatUint(span.First, 10),
		"last":    strconv.FormatUint(span.Last, 10),
		"from_ns": strconv.FormatInt(int64(from), 10), "to_ns": strconv.FormatInt(int64(to), 10),
	}))
	rows, err := n.conn.Query(ctx, selectMissing)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Err(), rows.Close()) }()
	for rows.Next() {
		var offset uint64
		if err := rows.Scan(&offset); err != nil {
			return nil, err
		}
		offsets = append(offsets, offset)
	}
	return offsets, nil
}
