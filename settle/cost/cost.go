// Package cost adds up what a program's queries cost, by the server's own counters.
package cost

import (
	"context"
	"sync"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Cost is what queries have cost.
type Cost struct {
	Queries   uint64 // statements sent, inserts included
	RowsRead  uint64 // by the server, for statements that read
	BytesRead uint64 // uncompressed
}

// Minus returns what was added since another reading.
func (c Cost) Minus(o Cost) Cost {
	return Cost{c.Queries - o.Queries, c.RowsRead - o.RowsRead, c.BytesRead - o.BytesRead}
}

// Meter adds up. It is safe for concurrent use.
type Meter struct {
	mu    sync.Mutex
	total Cost
}

// Total returns what all queries have cost so far. What a query reads is counted by
// the time its rows were read to the end.
func (m *Meter) Total() Cost {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total
}

func (m *Meter) query(ctx context.Context) context.Context {
	m.mu.Lock()
	m.total.Queries++
	m.mu.Unlock()
	return clickhouse.Context(ctx, clickhouse.WithProgress(func(p *clickhouse.Progress) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.total.RowsRead += p.Rows
		m.total.BytesRead += p.Bytes
	}))
}

// Conn is a connection whose queries are metered.
type Conn struct {
	driver.Conn
	Meter *Meter
}

// Wrap returns the connection with a meter. One that has a meter keeps it: a query tells
// of its progress once.
func Wrap(conn driver.Conn) Conn {
	if metered, ok := conn.(Conn); ok {
		return metered
	}
	return Conn{conn, &Meter{}}
}

// Query is that of the connection.
func (c Conn) Query(ctx context.Context, query string, args ...any) (driver.Rows, error) {
	return c.Conn.Query(c.Meter.query(ctx), query, args...)
}

// QueryRow is that of the connection.
func (c Conn) QueryRow(ctx context.Context, query string, args ...any) driver.Row {
	return c.Conn.QueryRow(c.Meter.query(ctx), query, args...)
}

// Exec is that of the connection.
func (c Conn) Exec(ctx context.Context, query string, args ...any) error {
	return c.Conn.Exec(c.Meter.query(ctx), query, args...)
}

// PrepareBatch is that of the connection.
func (c Conn) PrepareBatch(ctx context.Context, query string, opts ...driver.PrepareBatchOption) (driver.Batch, error) {
	return c.Conn.PrepareBatch(c.Meter.query(ctx), query, opts...)
}
