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

// recordColumns are the columns of a record by the key that rules know a field by; those
// without a key are always read.
var recordColumns = []struct {
	name, key string
	to        func(*scanner) any
}{
	{"node", "", func(s *scanner) any { return &s.row.Node }},
	{"offset", "", func(s *scanner) any { return &s.row.Offset }},
	{"content", "content", func(s *scanner) any { return &s.content }},
	{"server", "", func(s *scanner) any { return &s.row.Server }},
	{"region", "", func(s *scanner) any { return &s.row.Region }},
	{"id", "", func(s *scanner) any { return &s.row.ID }},
	{"type", "", func(s *scanner) any { return &s.row.Type }},
	{"at_ns", "", func(s *scanner) any { return &s.at }},
	{"seq", "", func(s *scanner) any { return &s.row.Seq }},
	{"instant_ns", "", func(s *scanner) any { return &s.instant }},
	{"earliest_ns", "", func(s *scanner) any { return &s.earliest }},
	{"latest_ns", "", func(s *scanner) any { return &s.latest }},
	{"backdated", "", func(s *scanner) any { return &s.backdated }},
	{"player", "", func(s *scanner) any { return &s.row.Player }},
	{"guild", "guild", func(s *scanner) any { return &s.row.Guild }},
	{"target", "target", func(s *scanner) any { return &s.row.Target }},
	{"sku", "sku", func(s *scanner) any { return &s.row.SKU }},
	{"count", "", func(s *scanner) any { return &s.row.Count }},
	{"price_minor", "price", func(s *scanner) any { return &s.row.Price.Amount }},
	{"currency", "price", func(s *scanner) any { return &s.row.Price.Currency }},
	{"attrs", "attrs", func(s *scanner) any { return &s.row.Attrs }},
}

// wholeRecords returns a scanner of all columns.
func wholeRecords() *scanner { return records(func(string) bool { return true }) }

// records returns a scanner that reads the columns of some keys, and those without one.
func records(reads func(key string) bool) *scanner {
	s := &scanner{}
	var names []string
	for _, c := range recordColumns {
		if c.key == "" || reads(c.key) {
			names, s.to = append(names, c.name), append(s.to, c.to(s))
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
