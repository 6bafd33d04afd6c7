package clickhouse

import (
	"context"
	"fmt"
	"io"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// lateConn is the connection of a server that is there later.
type lateConn struct{ later *Later }

func (c lateConn) conn() (driver.Conn, error) {
	if s := c.later.Server(); s != nil {
		return s.Conn(), nil
	}
	if p := c.later.Problem(); p != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotOpen, p)
	}
	return nil, ErrNotOpen
}

// Contributors is that of the server's connection, like all that follow.
func (c lateConn) Contributors() []string {
	conn, err := c.conn()
	if err != nil {
		return nil
	}
	return conn.Contributors()
}

func (c lateConn) ServerVersion() (*driver.ServerVersion, error) {
	conn, err := c.conn()
	if err != nil {
		return nil, err
	}
	return conn.ServerVersion()
}

func (c lateConn) Select(ctx context.Context, dest any, query string, args ...any) error {
	conn, err := c.conn()
	if err != nil {
		return err
	}
	return conn.Select(ctx, dest, query, args...)
}

func (c lateConn) Query(ctx context.Context, query string, args ...any) (driver.Rows, error) {
	conn, err := c.conn()
	if err != nil {
		return nil, err
	}
	return conn.Query(ctx, query, args...)
}

func (c lateConn) QueryRow(ctx context.Context, query string, args ...any) driver.Row {
	conn, err := c.conn()
	if err != nil {
		return noRow{err}
	}
	return conn.QueryRow(ctx, query, args...)
}

func (c lateConn) PrepareBatch(ctx context.Context, query string, opts ...driver.PrepareBatchOption) (driver.Batch, error) {
	conn, err := c.conn()
	if err != nil {
		return nil, err
	}
	return conn.PrepareBatch(ctx, query, opts...)
}

func (c lateConn) Exec(ctx context.Context, query string, args ...any) error {
	conn, err := c.conn()
	if err != nil {
		return err
	}
	return conn.Exec(ctx, query, args...)
}

func (c lateConn) QueryFormat(ctx context.Context, format, query string, args ...any) (io.ReadCloser, error) {
	conn, err := c.conn()
	if err != nil {
		return nil, err
	}
	return conn.QueryFormat(ctx, format, query, args...)
}

func (c lateConn) InsertFormat(ctx context.Context, format, query string, data io.Reader) error {
	conn, err := c.conn()
	if err != nil {
		return err
	}
	return conn.InsertFormat(ctx, format, query, data)
}

func (c lateConn) AsyncInsert(ctx context.Context, query string, wait bool, args ...any) error {
	conn, err := c.conn()
	if err != nil {
		return err
	}
	return conn.AsyncInsert(ctx, query, wait, args...) //nolint:staticcheck // the interface has it
}

func (c lateConn) Ping(ctx context.Context) error {
	conn, err := c.conn()
	if err != nil {
		return err
	}
	return conn.Ping(ctx)
}

func (c lateConn) Stats() driver.Stats {
	conn, err := c.conn()
	if err != nil {
		return driver.Stats{}
	}
	return conn.Stats()
}

// Close does nothing: the server is closed by Later.Run.
func (lateConn) Close() error { return nil }

// noRow is the row of a query that was not sent.
type noRow struct{ err error }

func (r noRow) Err() error           { return r.err }
func (r noRow) Scan(...any) error    { return r.err }
func (r noRow) ScanStruct(any) error { return r.err }
