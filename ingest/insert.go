package ingest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"photofinish/rules"
)

const eventColumns = ` (node, offset, server, region, id, type, at_ns, seq, instant_ns, earliest_ns, latest_ns, backdated,
	player, guild, target, sku, count, price_minor, currency, attrs, content, received_ns)`

const (
	insertEvents     = `INSERT INTO event_log` + eventColumns
	insertArrivals   = `INSERT INTO arrivals` + eventColumns
	insertIdentities = `INSERT INTO identities (server, id, content, node, offset, instant_ns, earliest_ns, latest_ns, player)`
)

// insert sends the records to the log, to identities and to arrivals, in this order.
// The log gets one insert for each partition: the engine refuses an insert into more
// than a hundred of them, and only one partition's part is atomic.
func (n *Node) insert(ctx context.Context, all []*record) error {
	months := make(map[int][]*record)
	for _, r := range all {
		month := monthOf(r.At)
		months[month] = append(months[month], r)
	}
	var values []any
	for _, month := range slices.Sorted(maps.Keys(months)) {
		part := months[month]
		values = eventValues(part)
		if err := n.send(ctx, insertEvents, values); err != nil {
			return fmt.Errorf("insert %d events from offset %d: %w", len(part), part[0].Offset, err)
		}
		// A crash here leaves some months of the batch in the log: the next Forward
		// inserts all of them.
		if err := n.cfg.Stop("forward.part"); err != nil {
			return err
		}
	}
	if err := n.send(ctx, insertIdentities, identityValues(all)); err != nil {
		return fmt.Errorf("insert the identities of %d events from offset %d: %w", len(all), all[0].Offset, err)
	}
	// A crash here leaves rows in the log that no settlement looks for: the offsets are
	// not promised before all three tables were counted, and the next Forward inserts
	// into all of them.
	if err := n.cfg.Stop("forward.identities"); err != nil {
		return err
	}
	if len(months) > 1 { // else they are those of all
		values = eventValues(all)
	}
	if err := n.send(ctx, insertArrivals, values); err != nil {
		return fmt.Errorf("insert the arrivals of %d events from offset %d: %w", len(all), all[0].Offset, err)
	}
	return nil
}

// monthOf returns the partition of an event's own time.
func monthOf(at rules.Instant) int {
	t := at.Time()
	return 100*t.Year() + int(t.Month())
}

// column returns one field of every record.
func column[T any](part []*record, of func(*record) T) []T {
	values := make([]T, len(part))
	for i, r := range part {
		values[i] = of(r)
	}
	return values
}

// eventValues returns the columns of eventColumns.
func eventValues(part []*record) []any {
	return []any{
		column(part, func(r *record) string { return r.Node }),
		column(part, func(r *record) uint64 { return r.Offset }),
		column(part, func(r *record) string { return r.Server }),
		column(part, func(r *record) string { return r.Region }),
		column(part, func(r *record) string { return r.ID }),
		column(part, func(r *record) string { return r.Type }),
		column(part, func(r *record) int64 { return int64(r.At) }),
		column(part, func(r *record) uint64 { return r.Seq }),
		column(part, func(r *record) int64 { return int64(r.Instant) }),
		column(part, func(r *record) int64 { return int64(r.Earliest) }),
		column(part, func(r *record) int64 { return int64(r.Latest) }),
		column(part, func(r *record) uint8 {
			if r.Backdated {
				return 1
			}
			return 0
		}),
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
}

// identityValues returns the columns of insertIdentities.
func identityValues(part []*record) []any {
	return []any{
		column(part, func(r *record) string { return r.Server }),
		column(part, func(r *record) string { return r.ID }),
		column(part, func(r *record) string { return string(r.Content[:]) }),
		column(part, func(r *record) string { return r.Node }),
		column(part, func(r *record) uint64 { return r.Offset }),
		column(part, func(r *record) int64 { return int64(r.Instant) }),
		column(part, func(r *record) int64 { return int64(r.Earliest) }),
		column(part, func(r *record) int64 { return int64(r.Latest) }),
		column(part, func(r *record) string { return r.Player }),
	}
}

// send inserts columns as one block. They are ready before the batch is opened: an
// open batch holds a connection.
func (n *Node) send(ctx context.Context, statement string, columns []any) error {
	batch, err := n.conn.PrepareBatch(insertSettings(ctx), statement)
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
