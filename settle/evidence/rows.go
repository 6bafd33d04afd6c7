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

// scanner scans rows into records, with one place for what is converted. The zero value
// is ready for use.
type scanner struct {
	content                       string
	backdated                     uint8
	at, instant, earliest, latest int64
}

func (s *scanner) record(rows driver.Rows) (*rules.Record, error) {
	r := &rules.Record{}
	err := rows.Scan(&r.Node, &r.Offset, &s.content, &r.Server, &r.Region, &r.ID, &r.Type, &s.at, &r.Seq, &s.instant, &s.earliest, &s.latest, &s.backdated,
		&r.Player, &r.Guild, &r.Target, &r.SKU, &r.Count, &r.Price.Amount, &r.Price.Currency, &r.Attrs)
	r.At, r.Instant, r.Earliest, r.Latest = rules.Instant(s.at), rules.Instant(s.instant), rules.Instant(s.earliest), rules.Instant(s.latest)
	r.Backdated = s.backdated != 0
	copy(r.Content[:], s.content)
	return r, err
}
