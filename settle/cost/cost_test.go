package cost_test

import (
	"testing"

	"photofinish/cmd/clickhouse"
	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/settle/cost"
)

func TestMain(m *testing.M) {
	clickhouse.RunChildIfAsked()
	clickhousetest.Main(m)
}

// The meter says what the server read, whichever way a statement was sent.
func TestMeter(t *testing.T) {
	outer := cost.Wrap(clickhousetest.New(t))
	conn := cost.Wrap(outer)
	ctx := t.Context()
	for _, statement := range []string{
		"CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n",
		"INSERT INTO t SELECT number FROM numbers(100000)",
	} {
		if err := conn.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	before := conn.Meter.Total()
	var n uint64
	if err := conn.QueryRow(ctx, "SELECT sum(n) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(ctx, "SELECT n FROM t WHERE n % 1000 = 0")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	if got := outer.Meter.Total().Minus(before); got.Queries != 2 || got.RowsRead != 200_000 || got.BytesRead != 1_600_000 {
		t.Errorf("%+v", got)
	}
}
