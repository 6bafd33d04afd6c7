package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"photofinish/rules"
)

const insertProgress = `INSERT INTO progress (node, published, at_ns, offset, watermark_ns, regions, silent, lost, void, unused, life)`

// insertSettings go with every insert: duplicates are harmless and removed where
// the log is read, while the engine's own deduplication can lose acknowledged rows.
func insertSettings(ctx context.Context) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"async_insert":       0,
		"deduplicate_insert": "disable",
		"insert_deduplicate": 0,
	}))
}

// word is a row of a node's progress. Each one replaces all before it, so whatever still
// holds is said again.
type word struct {
	published uint64        // 0: nothing
	at        rules.Instant // by the node's clock
	offset    uint64
	mark      mark
	lost      spans // offsets that are gone for good
	void      spans // offsets in which nothing was acknowledged
	unused    []rules.Unused
	life      string
}

// skipped returns the offsets that nobody reads.
func (w *word) skipped() spans { return w.lost.with(w.void...) }

// word returns the last row that a node has published.
func (n *Node) word(ctx context.Context, node string) (w word, err error) {
	ctx = clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"node": node}))
	rows, err := n.conn.Query(ctx, selectCommitted)
	if err != nil {
		return word{}, fmt.Errorf("read progress: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var regions, silent, lost, void, unused [][]any
		var at, ns int64
		if err := rows.Scan(&w.published, &at, &w.offset, &ns, &regions, &silent, &lost, &void, &unused, &w.life); err != nil {
			return word{}, fmt.Errorf("read progress: %w", err)
		}
		w.at = rules.Instant(at)
		if w.unused, err = readUnused(unused); err != nil {
			return word{}, fmt.Errorf("read progress: %w", err)
		}
		if w.mark, err = readMark(ns, regions, silent); err != nil {
			return word{}, fmt.Errorf("read progress: %w", err)
		}
		for _, part := range []struct {
			to   *spans
			rows [][]any
		}{{&w.lost, lost}, {&w.void, void}} {
			if *part.to, err = readSpans(part.rows); err != nil {
				return word{}, fmt.Errorf("read progress: %w", err)
			}
		}
	}
	if err := rows.Err(); err != nil {
		return word{}, fmt.Errorf("read progress: %w", err)
	}
	return w, nil
}

var errProgress = errors.New("a row of progress has another form; see its columns")

func readMark(ns int64, regions, silent [][]any) (mark, error) {
	m := mark{ns: ns}
	for _, r := range regions {
		region, ok1 := r[0].(string)
		at, ok2 := r[1].(int64)
		if !ok1 || !ok2 {
			return mark{}, errProgress
		}
		m.regions = append(m.regions, rules.RegionMark{Region: region, Watermark: rules.Instant(at)})
	}
	for _, s := range silent {
		server, ok1 := s[0].(string)
		at, ok2 := s[1].(int64)
		since, ok3 := s[2].(int64)
		if !ok1 || !ok2 || !ok3 {
			return mark{}, errProgress
		}
		m.silent = append(m.silent, rules.SilentServer{Server: server, Watermark: rules.Instant(at), Since: rules.Instant(since)})
	}
	return m, nil
}

func readSpans(rows [][]any) (spans, error) {
	var all []rules.Span
	for _, r := range rows {
		first, ok1 := r[0].(uint64)
		last, ok2 := r[1].(uint64)
		if !ok1 || !ok2 || first > last {
			return nil, errProgress
		}
		all = append(all, rules.Span{First: first, Last: last})
	}
	return spans{}.with(all...), nil
}

func (s spans) values() [][]any {
	values := [][]any{}
	for _, span := range s {
		values = append(values, []any{span.First, span.Last})
	}
	return values
}

// publish appends the node's next row of progress and numbers it. A settlement may read it
// from then on, so everything up to its offset must be in the log, or named in it.
func (n *Node) publish(ctx context.Context, w *word) error {
	// A number that was tried is not used again: the row may be there, or yet come.
	w.published = max(w.published, n.forward.tried) + 1
	n.forward.tried = w.published
	w.life = n.forward.life
	if err := n.insertProgress(ctx, w); err != nil {
		return fmt.Errorf("publish offset %d: %w", w.offset, err)
	}
	n.said(w)
	return n.cfg.Stop("forward.published")
}

func (n *Node) insertProgress(ctx context.Context, w *word) error {
	batch, err := n.conn.PrepareBatch(insertSettings(ctx), insertProgress)
	if err != nil {
		return err
	}
	defer func() { _ = batch.Close() }() // after Send there is nothing to close
	regions, silent, unused := [][]any{}, [][]any{}, [][]any{}
	for _, u := range w.unused {
		unused = append(unused, []any{u.Server, u.First, u.Last})
	}
	for _, r := range w.mark.regions {
		regions = append(regions, []any{r.Region, int64(r.Watermark)})
	}
	for _, s := range w.mark.silent {
		silent = append(silent, []any{s.Server, int64(s.Watermark), int64(s.Since)})
	}
	err = batch.Append(n.cfg.Node, w.published, int64(w.at), w.offset, w.mark.ns, regions, silent, w.lost.values(), w.void.values(), unused, w.life)
	if err != nil {
		return err
	}
	return batch.Send()
}
