package evidence

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// each runs a statement and calls scan with each row. What says in an error what was
// being read.
func (r *Reader) each(ctx context.Context, what, statement string, args []any, scan func(driver.Rows) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", what, err)
		}
	}()
	rows, err := r.conn.Query(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// exec runs a statement that writes.
func (r *Reader) exec(ctx context.Context, what, statement string, args []any) error {
	if err := r.conn.Exec(ctx, statement, args...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// recordColumns are the columns of rules.Record, in the order that scanRecord takes.
const recordColumns = `node, offset, content, server, region, id, type, at_ns, seq, instant_ns, earliest_ns, latest_ns, backdated,
    player, guild, target, sku, count, price_minor, currency, attrs`

func scanRecord(rows driver.Rows) (rules.Record, error) {
	var r rules.Record
	var content string
	var backdated uint8
	var at, instant, earliest, latest int64
	err := rows.Scan(&r.Node, &r.Offset, &content, &r.Server, &r.Region, &r.ID, &r.Type, &at, &r.Seq, &instant, &earliest, &latest, &backdated,
		&r.Player, &r.Guild, &r.Target, &r.SKU, &r.Count, &r.Price.Amount, &r.Price.Currency, &r.Attrs)
	r.At, r.Instant, r.Earliest, r.Latest = rules.Instant(at), rules.Instant(instant), rules.Instant(earliest), rules.Instant(latest)
	r.Backdated = backdated != 0
	copy(r.Content[:], content)
	return r, err
}
