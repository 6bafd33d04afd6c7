package ingest

import (
	"context"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// insertSettings go with every insert: duplicates are harmless and removed where
// the log is read, while the engine's own deduplication can lose acknowledged rows.
func insertSettings(ctx context.Context) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"async_insert":       0,
		"deduplicate_insert": "disable",
		"insert_deduplicate": 0,
	}))
}

// publishIfMoved publishes what nobody was told yet.
func (n *Node) publishIfMoved(ctx context.Context, offset uint64, mark watermark) error {
	committed, ns, err := n.committed(ctx)
	if err != nil {
		return err
	}
	p := n.forward.published
	if offset == committed && mark.ns <= ns && slices.Equal(mark.lagging, p.lagging) && p.lagging != nil {
		return nil
	}
	if offset == 0 && mark.ns == 0 && len(mark.lagging) == 0 {
		return nil // a node that has nothing to say
	}
	if err := n.publish(ctx, offset, mark); err != nil {
		return err
	}
	n.forward.published = mark
	return nil
}

// publish appends a row to progress. Its offset and watermark may be read by a
// settlement from then on, so everything up to it must be in the log.
func (n *Node) publish(ctx context.Context, offset uint64, mark watermark) error {
	batch, err := n.conn.PrepareBatch(insertSettings(ctx), insertProgress)
	if err != nil {
		return fmt.Errorf("publish offset %d: %w", offset, err)
	}
	defer func() { _ = batch.Close() }() // after Send there is nothing to close
	// Never twice the same, so that the latest row is known even if the clock stands.
	n.forward.publishedNs = max(n.forward.publishedNs+1, n.now().UnixNano())
	if err := batch.Append(n.cfg.Node, offset, mark.ns, mark.lagging, n.forward.publishedNs); err != nil {
		return fmt.Errorf("publish offset %d: %w", offset, err)
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("publish offset %d: %w", offset, err)
	}
	return n.cfg.Stop("forward.published")
}
