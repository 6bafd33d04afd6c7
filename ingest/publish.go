package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"photofinish/rules"
)

const insertProgress = `INSERT INTO progress (node, published, at_ns, offset, watermark_ns, regions, silent, lost, void, life)`

// insertSettings go with every insert: duplicates are harmless and removed where
// the log is read, while the engine's own deduplication can lose acknowledged rows.
func insertSettings(ctx context.Context) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"async_insert":       0,
		"deduplicate_insert": "disable",
		"insert_deduplicate": 0,
	}))
}

// word is a row of the node's progress.
type word struct {
	published uint64 // 0: nothing
	offset    uint64
	mark      mark
}

// word returns the last row that this node has published.
func (n *Node) word(ctx context.Context) (w word, err error) {
	ctx = clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"node": n.cfg.Node}))
	rows, err := n.conn.Query(ctx, selectCommitted)
	if err != nil {
		return word{}, fmt.Errorf("read progress: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var regions, silent [][]any
		var ns int64
		if err := rows.Scan(&w.published, &w.offset, &ns, &regions, &silent); err != nil {
			return word{}, fmt.Errorf("read progress: %w", err)
		}
		if w.mark, err = readMark(ns, regions, silent); err != nil {
			return word{}, fmt.Errorf("read progress: %w", err)
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

// publish appends the node's next row of progress. A settlement may read it from then on,
// so everything up to its offset must be in the log.
func (n *Node) publish(ctx context.Context, w word) error {
	batch, err := n.conn.PrepareBatch(insertSettings(ctx), insertProgress)
	if err != nil {
		return fmt.Errorf("publish offset %d: %w", w.offset, err)
	}
	defer func() { _ = batch.Close() }() // after Send there is nothing to close
	regions, silent := [][]any{}, [][]any{}
	for _, r := range w.mark.regions {
		regions = append(regions, []any{r.Region, int64(r.Watermark)})
	}
	for _, s := range w.mark.silent {
		silent = append(silent, []any{s.Server, int64(s.Watermark), int64(s.Since)})
	}
	err = batch.Append(n.cfg.Node, w.published, n.now().UnixNano(), w.offset, w.mark.ns, regions, silent, [][]any{}, [][]any{}, "")
	if err != nil {
		return fmt.Errorf("publish offset %d: %w", w.offset, err)
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("publish offset %d: %w", w.offset, err)
	}
	return n.cfg.Stop("forward.published")
}
