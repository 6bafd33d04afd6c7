package evidence

import (
	"context"
	"errors"
	"fmt"
	"strings"

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

// scanner scans rows into records, those columns that are read.
type scanner struct {
	columns string // as a SELECT names them
	to      []any
	row     rules.Record
	records []rules.Record // room for those to come: one allocation for many

	content                       string
	backdated                     uint8
	at, instant, earliest, latest int64
}

// column is where one of a record is scanned to, and the key that rules know the field by;
// one without a key is always read.
type column struct {
	name, key string
	to        any
}

func (s *scanner) all() []column {
	r := &s.row
	return []column{
		{"node", "", &r.Node},
		{"offset", "", &r.Offset},
		{"content", "content", &s.content},
		{"server", "", &r.Server},
		{"region", "", &r.Region},
		{"id", "", &r.ID},
		{"type", "", &r.Type},
		{"at_ns", "", &s.at},
		{"seq", "", &r.Seq},
		{"instant_ns", "", &s.instant},
		{"earliest_ns", "", &s.earliest},
		{"latest_ns", "", &s.latest},
		{"backdated", "", &s.backdated},
		{"player", "", &r.Player},
		{"guild", "guild", &r.Guild},
		{"target", "target", &r.Target},
		{"sku", "sku", &r.SKU},
		{"count", "", &r.Count},
		{"price_minor", "price", &r.Price.Amount},
		{"currency", "price", &r.Price.Currency},
		{"attrs", "attrs", &r.Attrs},
	}
}

// wholeRecords returns a scanner of all columns.
func wholeRecords() *scanner { return records(func(string) bool { return true }) }

// records returns a scanner that reads the columns of some keys, and those without one.
func records(reads func(key string) bool) *scanner {
	s := &scanner{}
	var names []string
	for _, c := range s.all() {
		if c.key == "" || reads(c.key) {
			names, s.to = append(names, c.name), append(s.to, c.to)
		}
	}
	s.columns = strings.Join(names, ", ")
	return s
}

func (s *scanner) record(rows driver.Rows) (*rules.Record, error) {
	s.row = rules.Record{}
	err := rows.Scan(s.to...)
	r := &s.row
	r.At, r.Instant, r.Earliest, r.Latest = rules.Instant(s.at), rules.Instant(s.instant), rules.Instant(s.earliest), rules.Instant(s.latest)
	r.Backdated = s.backdated != 0
	copy(r.Content[:], s.content)
	if len(s.records) == cap(s.records) {
		s.records = make([]rules.Record, 0, min(1024, 2*cap(s.records)+8))
	}
	s.records = append(s.records, *r)
	return &s.records[len(s.records)-1], err
}
