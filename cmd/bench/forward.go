package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"photofinish/cmd/clickhouse"
	"photofinish/ingest"
)

// maxForward is how much CPU forwarding may take beside bare inserts.
const maxForward = 2.2

// acceptEvents is how many events the node accepts at once, to have some to forward.
const acceptEvents = 1000

// logTables are those that an event is forwarded to.
func logTables() []string { return []string{"event_log", "arrivals", "identities"} }

// measureForward is a node's spool on its way into ClickHouse.
func measureForward(ctx context.Context, in *intake) error {
	return in.withEngine(ctx, "forward", func(server *clickhouse.Server, m meter) error {
		if err := ingest.Migrate(ctx, server.Conn()); err != nil {
			return err
		}
		// Merges come when they come, in either's turn.
		if err := m.conn.Conn.Exec(ctx, "SYSTEM STOP MERGES"); err != nil {
			return err
		}
		in.section(fmt.Sprintf("forward  %d events of a spool into the log, beside inserting the same rows into the same tables", in.forwards))
		in.note("CPU of this process and of the engine; ours reads the spool, sends and counts; the floor has the rows in memory.")
		node, err := openBenchNode(server.Conn(), filepath.Join(in.dir, "nodes"))
		if err != nil {
			return err
		}
		f := &forwarding{in: in, m: m, node: node, name: nodeName}
		took, err := inTurns(in.turns, func() (usage, error) { return f.ours(ctx) }, func() (usage, error) { return f.bare(ctx) })
		if err := errors.Join(err, node.Close()); err != nil {
			return err
		}
		in.cpu("CPU", took.ours, took.floor, 0)
		in.line("the same, the median of the turns", "", "", took.cpu, maxForward)
		in.line("wall", seconds(took.ours.wall), seconds(took.floor.wall), took.wall, 0)
		return nil
	})
}

// forwarding are the turns of one node.
type forwarding struct {
	in     *intake
	m      meter
	node   *ingest.Node
	name   string // of the node
	events int    // accepted so far
}

// ours has the node accept events, and then measures how it forwards them.
func (f *forwarding) ours(ctx context.Context) (usage, error) {
	if err := f.accept(ctx, f.in.forwards); err != nil {
		return usage{}, err
	}
	return f.forward(ctx)
}

// forward measures how the node forwards what it has accepted.
func (f *forwarding) forward(ctx context.Context) (usage, error) {
	took, err := f.m.measure(ctx, func() error { return f.node.Forward(ctx) })
	if err != nil {
		return took, err
	}
	for _, table := range logTables() {
		if err := f.holds(ctx, table, f.events); err != nil {
			return took, err
		}
	}
	return took, nil
}

// accept has the node accept so many new events.
func (f *forwarding) accept(ctx context.Context, events int) error {
	for left := events; left > 0; left -= acceptEvents {
		batch := min(left, acceptEvents)
		b := batchOf("server-of-"+f.name, f.events, batch)
		if result, err := f.node.Accept(ctx, b); err != nil || result.Accepted != batch {
			return fmt.Errorf("%d of %d events were accepted: %w", result.Accepted, batch, err)
		}
		f.events += batch
	}
	return nil
}

// bare inserts as many rows, from the engine's memory, in the order in which they
// arrived and in blocks of the same size, into tables of the same kind.
func (f *forwarding) bare(ctx context.Context) (took usage, err error) {
	if f.events == 0 { // the floor has the first turn only where ours failed
		return took, errors.New("nothing was forwarded yet")
	}
	if err := f.each(ctx,
		"CREATE TABLE bare_{table} AS {table}",
		fmt.Sprintf("CREATE TABLE staged_{table} ENGINE = Memory AS SELECT * FROM {source} ORDER BY node, offset LIMIT %d", f.in.forwards),
	); err != nil {
		return took, err
	}
	took, err = f.m.measure(ctx, func() error {
		return f.each(ctx, fmt.Sprintf("INSERT INTO bare_{table} SELECT * FROM staged_{table} "+
			"SETTINGS max_block_size = %d, min_insert_block_size_rows = %[1]d, max_insert_threads = 1", ingest.DefaultBatchRows))
	})
	if err != nil {
		return took, err
	}
	for _, table := range logTables() {
		if err := f.holds(ctx, "bare_"+table, f.in.forwards); err != nil {
			return took, err
		}
	}
	return took, f.each(ctx, "DROP TABLE staged_{table} SYNC", "DROP TABLE bare_{table} SYNC")
}

// each runs statements for each table of the log, in which {table} is the table and
// {source} its source.
func (f *forwarding) each(ctx context.Context, statements ...string) error {
	for _, table := range logTables() {
		for _, s := range statements {
			if err := f.m.conn.Conn.Exec(ctx, strings.NewReplacer("{table}", table, "{source}", sourceOf(table)).Replace(s)); err != nil {
				return err
			}
		}
	}
	return nil
}

// sourceOf is the table that has a table's rows in the order in which they arrived: the
// log lies by player.
func sourceOf(table string) string {
	if table == "event_log" {
		return "arrivals"
	}
	return table
}

// holds checks that a table has so many events of the node, each once.
func (f *forwarding) holds(ctx context.Context, table string, events int) error {
	var rows, offsets uint64
	asked := "SELECT count(), uniqExact(offset) FROM " + table + " WHERE node = $1"
	if err := f.m.conn.Conn.QueryRow(ctx, asked, f.name).Scan(&rows, &offsets); err != nil {
		return err
	}
	if n := uint64(events); rows != n || offsets != n {
		return void("%s holds %d rows of %d offsets, want %d", table, rows, offsets, n)
	}
	return nil
}
