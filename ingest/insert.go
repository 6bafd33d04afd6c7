package ingest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"photofinish/rules"
)

const insertEvents = `INSERT INTO event_log (node, offset, server, region, id, type, at_ns, seq, instant_ns, err_ns,
	player, guild, target, sku, count, price_minor, currency, attrs, content, received_ns)`

const dayNs = 86_400_000_000_000

// insert sends the records, one insert for each partition: the engine refuses an
// insert into more than a hundred of them, and only one partition's part is atomic.
func (n *Node) insert(ctx context.Context, batch []record) error {
	days := make(map[rules.Instant][]*record)
	for i := range batch {
		day := batch[i].At / dayNs // At is after 1970, so this rounds as intDiv does
		days[day] = append(days[day], &batch[i])
	}
	for _, day := range slices.Sorted(maps.Keys(days)) {
		part := days[day]
		slices.SortStableFunc(part, func(a, b *record) int { return cmp.Compare(a.Offset, b.Offset) })
		if err := n.insertPart(ctx, part); err != nil {
			return fmt.Errorf("insert %d events from offset %d: %w", len(part), part[0].Offset, err)
		}
		// A crash here leaves some days of the batch in the log: the next Forward
		// inserts all of them.
		if err := n.cfg.Stop("forward.part"); err != nil {
			return err
		}
	}
	return nil
}

// column returns one field of every record.
func column[T any](part []*record, of func(*record) T) []T {
	values := make([]T, len(part))
	for i, r := range part {
		values[i] = of(r)
	}
	return values
}

func (n *Node) insertPart(ctx context.Context, part []*record) error {
	columns := []any{
		column(part, func(r *record) string { return r.Node }),
		column(part, func(r *record) uint64 { return r.Offset }),
		column(part, func(r *record) string { return r.Server }),
		column(part, func(r *record) string { return r.Region }),
		column(part, func(r *record) string { return r.ID }),
		column(part, func(r *record) string { return r.Type }),
		column(part, func(r *record) int64 { return int64(r.At) }),
		column(part, func(r *record) uint64 { return r.Seq }),
		column(part, func(r *record) int64 { return int64(r.Instant) }),
		column(part, func(r *record) int64 { return r.ErrNs }),
		column(part, func(r *record) string { return r.Player }),
		column(part, func(r *record) string { return r.Guild }),
		column(part, func(r *record) string { return r.Target }),
		column(part, func(r *record) string { return r.SKU }),
		column(part, func(r *record) int64 { return r.Count }),
		column(part, func(r *record) int64 { return r.Price.Amount }),
		column(part, func(r *record) string { return r.Price.Currency }),
		column(part, func(r *record) map[string]string { return r.Attrs }),
		column(part, func(r *record) string { return string(r.Content[:]) }),
		column(part, func(r *record) int64 { return r.receivedNs }),
	}
	// The columns are ready before the batch is opened: an open batch holds a
	// connection.
	batch, err := n.conn.PrepareBatch(insertSettings(ctx), insertEvents)
	if err != nil {
		return err
	}
	defer func() { _ = batch.Close() }() // after Send there is nothing to close
	for i, values := range columns {
		if err := batch.Column(i).Append(values); err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	return batch.Send()
}
