package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"photofinish/cmd/clickhouse"
	"photofinish/ingest"
)

const (
	// maxBacklog is how much memory a node with a long backlog may take beside one with a
	// short one: what a garbage collector makes of the same, and no more.
	maxBacklog = 1.25
	// shortBacklog is longer than all that a node remembers or sends at once.
	shortBacklog = 64 << 20 // bytes
)

// measureBacklog is the memory of a node that has much to forward.
func measureBacklog(ctx context.Context, in *intake) error {
	binary, err := in.photofinish(ctx)
	if err != nil {
		return err
	}
	in.section("backlog  the most memory of a node that starts with a backlog and forwards it, beside one with a short backlog")
	few := min(shortBacklog, in.behind/4) // also of a backlog that is not long
	short, err := in.peakBehind(ctx, binary, few)
	if err != nil {
		return err
	}
	long, err := in.peakBehind(ctx, binary, in.behind)
	if err != nil {
		return err
	}
	in.line(fmt.Sprintf("%s of events, beside %s", megabytes(uint64(in.behind)), megabytes(uint64(few))), megabytes(long), megabytes(short),
		float64(long)/float64(short), maxBacklog)
	return nil
}

// peakBehind spools so many bytes of events, starts a node with them, waits until the log
// has each, and returns the most memory that the node had.
func (in *intake) peakBehind(ctx context.Context, binary string, size int) (peak uint64, err error) {
	data := filepath.Join(in.dir, fmt.Sprint("behind-", size))
	defer func() { err = errors.Join(err, os.RemoveAll(data)) }()
	const name = "local" // as of a node that nobody has named
	node, err := openNode(nil, name, filepath.Join(data, "spool"))
	if err != nil {
		return 0, err
	}
	f := &forwarding{in: in, node: node, name: name}
	events := size / payloadBytes
	if err := errors.Join(f.accept(ctx, events), node.Close()); err != nil {
		return 0, err
	}
	c, err := newChild(ctx, binary, data)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	if err := c.start(ctx, "ingest"); err != nil {
		return 0, err
	}
	server, err := clickhouse.Open(ctx, clickhouse.Config{Dir: data}, slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	if err := ingest.Migrate(ctx, server.Conn()); err != nil {
		return 0, err
	}
	const forever = 24 * time.Hour
	err = c.until(ctx, forever, "the backlog is not forwarded", func() (bool, error) {
		var rows uint64
		const asked = "SELECT least((SELECT count() FROM event_log), (SELECT count() FROM arrivals), (SELECT count() FROM identities))"
		err := server.Conn().QueryRow(ctx, asked).Scan(&rows)
		return rows >= uint64(events), err
	})
	if err != nil {
		return 0, err
	}
	if peak, err = c.peak(); err != nil {
		return 0, err
	}
	for _, table := range logTables() { // offsets that are as many as the last and add up to the sum of all are all of them
		var rows, first, last, sum uint64
		err := server.Conn().QueryRow(ctx, "SELECT count(), min(offset), max(offset), sum(offset) FROM "+table).Scan(&rows, &first, &last, &sum)
		if err != nil {
			return 0, err
		}
		if n := uint64(events); rows != n || first != 1 || last != n || sum != n*(n+1)/2 {
			return 0, void("%s holds %d rows of the offsets %d to %d, want %d", table, rows, first, last, n)
		}
	}
	return peak, nil
}
