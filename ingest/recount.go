package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/ingest/spool"
)

// ForwardIdle does for the nodes whose spools lie in dir what they do when they run, where
// no process holds them: what is not in the log yet is forwarded, and what was counted
// before the engine was restarted is counted again, as Recount does. Whoever settles in a
// data folder calls it before.
func ForwardIdle(ctx context.Context, conn driver.Conn, log *slog.Logger, dir string, now func() time.Time) error {
	return eachSpool(conn, log, dir, now, func(n *Node) error { return n.catchUp(ctx) })
}

// Recount counts in the log what the nodes whose spools lie in dir have sent, sends again
// what is missing, and publishes their last word anew under the engine's present life, with
// the time and the watermarks that it had: no settlement reads it before. It does so where
// the engine was restarted since, and where no process holds the spool: a node that runs
// counts by itself. Else it opens no spool, so it may be called before every settlement.
func Recount(ctx context.Context, conn driver.Conn, log *slog.Logger, dir string, now func() time.Time) error {
	return eachSpool(conn, log, dir, now, func(n *Node) error {
		said, err := n.word(ctx, n.cfg.Node)
		if err != nil || said.published == 0 {
			return err
		}
		tokens, err := n.lives(ctx)
		if err != nil || slices.Contains(tokens, said.life) {
			return err
		}
		return n.catchUp(ctx)
	})
}

// eachSpool calls work with the node of each spool in dir, which is not open.
func eachSpool(conn driver.Conn, log *slog.Logger, dir string, now func() time.Time, work func(*Node) error) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("look for spools: %w", err)
	}
	for _, e := range entries {
		n, err := New(conn, log, Config{Node: e.Name(), Dir: dir}, now)
		if err != nil || !e.IsDir() {
			continue // no spool of a node
		}
		switch err := work(n); {
		case errors.Is(err, spool.ErrVersion), errors.Is(err, ErrSpoolForeign):
			// A person must act, and nobody's hour waits for that: the node lags, as any other.
			log.Error("the spool of an idle node is left alone", "node", e.Name(), "err", err)
		case err != nil:
			return fmt.Errorf("catch up with the spool of node %s: %w", e.Name(), err)
		}
	}
	return nil
}

// catchUp takes the spool, unless another process has it, forwards what the log lacks, and
// gives it back.
func (n *Node) catchUp(ctx context.Context) (err error) {
	if err := n.Open(); errors.Is(err, spool.ErrLocked) {
		return nil
	} else if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	said, err := n.word(ctx, n.cfg.Node)
	if err != nil {
		return err
	}
	n.mu.Lock()
	last := n.spool.Last()
	n.mu.Unlock()
	if last > said.offset {
		return n.Forward(ctx)
	}
	tokens, err := n.lives(ctx)
	if err != nil || said.published == 0 || slices.Contains(tokens, said.life) {
		return err
	}
	return n.countAnew(ctx)
}

// countAnew counts what the node's last word speaks of and says it again.
func (n *Node) countAnew(ctx context.Context) error {
	n.forwarding.Lock()
	defer n.forwarding.Unlock()
	// Another process may have spoken before the spool was taken.
	n.mu.Lock()
	s := n.spool
	n.mu.Unlock()
	said, err := n.begin(ctx, s)
	if err != nil {
		return err
	}
	if err := n.recount(ctx, s, &said); err != nil {
		return err
	}
	return n.publish(ctx, &said)
}
