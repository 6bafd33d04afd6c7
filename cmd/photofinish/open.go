package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"photofinish/cmd/clickhouse"
	"photofinish/ingest"
	"photofinish/rules"
	"photofinish/rules/rulefile"
	"photofinish/settle"
)

// open opens ClickHouse.
func (a *app) open(ctx context.Context) (*clickhouse.Server, error) {
	return clickhouse.Open(ctx, a.store(), a.log)
}

// store says where ClickHouse is.
func (a *app) store() clickhouse.Config {
	return clickhouse.Config{
		Addr: strings.Join(a.clickhouseAddrs, ","), User: a.clickhouseUser, Password: a.clickhousePassword, Secure: a.clickhouseSecure,
		Database: a.clickhouseDatabase, Dir: a.data, Library: a.clickhouseLibrary, Progress: a.stderr,
	}
}

// migrate makes the tables that are not there yet.
func migrate(ctx context.Context, server *clickhouse.Server) error {
	if err := ingest.Migrate(ctx, server.Conn()); err != nil {
		return err
	}
	return settle.Migrate(ctx, server.Conn())
}

// withStore opens ClickHouse, makes sure that the tables are there, and runs work.
func (a *app) withStore(ctx context.Context, work func(*clickhouse.Server) error) (err error) {
	server, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	if err := migrate(ctx, server); err != nil {
		return err
	}
	return work(server)
}

// withLog is as withStore, for work that settles: what the local nodes that do not run have
// in their spools is forwarded, and counted again if the engine was restarted since.
func (a *app) withLog(ctx context.Context, work func(*clickhouse.Server) error) error {
	return a.withStore(ctx, func(server *clickhouse.Server) error {
		if err := ingest.ForwardIdle(ctx, server.Conn(), a.log, a.spoolDir(), time.Now); err != nil {
			return err
		}
		return work(server)
	})
}

// needData refuses to read a data folder that is not there, which is more often a
// wrong --data than an empty world.
func (a *app) needData() error {
	if len(a.clickhouseAddrs) > 0 {
		return nil
	}
	if _, err := os.Stat(a.data); errors.Is(err, os.ErrNotExist) {
		return usagef("there is no data folder %s: import something first, or name another with --data", a.data)
	}
	return nil
}

// spoolDir is the folder of all nodes' spools.
func (a *app) spoolDir() string { return filepath.Join(a.data, "spool") }

func readRuleset(path string) (*rules.Ruleset, error) {
	if path == "" {
		return nil, usagef("name a rules file with --rules; configs/ has samples")
	}
	source, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, usagef("read the rules: %w", err)
	}
	return rulefile.Parse(path, source)
}

// parseTime reads an instant from an option.
func parseTime(option, text string) (rules.Instant, error) {
	if text == "" {
		return 0, nil
	}
	i, err := rules.ParseInstant(text)
	if err != nil {
		return 0, usagef("--%s: %w", option, err)
	}
	return i, nil
}

// isTerminal reports whether progress is welcome on the file.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progressLine shows how far long work is, on one line of a terminal, at most ten
// times a second. Elsewhere it is silent.
type progressLine struct {
	app  *app
	on   bool
	last time.Time
}

func (a *app) progress() *progressLine { return &progressLine{app: a, on: isTerminal(a.stderr)} }

func (p *progressLine) show(format string, args ...any) {
	if !p.on || time.Since(p.last) < 100*time.Millisecond {
		return
	}
	p.last = time.Now()
	fmt.Fprintf(p.app.stderr, "\r\x1b[K"+format, args...)
}

// done clears the line.
func (p *progressLine) done() {
	if p.on {
		fmt.Fprint(p.app.stderr, "\r\x1b[K")
	}
}
