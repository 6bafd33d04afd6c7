package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/cmd/clickhouse"
	"photofinish/ingest"
	"photofinish/rules"
	plan "photofinish/rules/hour"
	"photofinish/rules/rulefile"
	"photofinish/settle"
	"photofinish/settle/cost"
	"photofinish/settle/verify"
)

// The slice's own day, and the hour in it at which what is new begins.
func day() rules.Instant {
	return rules.Instant(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC).UnixNano())
}

func noon() rules.Instant { return day() + 12*hour }

// scene is a database of its own with a log that is made up and what is settled of it.
type scene struct {
	meter
	server    *clickhouse.Server
	told      uint64 // rows of the log
	published uint64 // by each node
	set       *rules.Ruleset
	settler   *settle.Settler
	lapped    bool  // settlers that start from now on take laps
	laps      []lap // of the last cut
}

// lap is what was used by a settlement since it took a step or began, up to a step.
type lap struct {
	settle.Step
	usage
}

// newScene makes an empty database of that name in the engine of a data folder.
func newScene(ctx context.Context, dir, name string) (*scene, error) {
	server, err := clickhouse.Open(ctx, clickhouse.Config{Dir: dir, Database: name}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	s := &scene{meter: meter{cost.Wrap(server.Conn())}, server: server}
	for _, migrate := range []func(context.Context, driver.Conn) error{ingest.Migrate, settle.Migrate} {
		if err := migrate(ctx, server.Conn()); err != nil {
			return nil, errors.Join(err, server.Close())
		}
	}
	var rows uint64
	if err := s.conn.Conn.QueryRow(ctx, "SELECT count() FROM arrivals").Scan(&rows); err != nil || rows > 0 {
		return nil, errors.Join(fmt.Errorf("the database %s is not empty: give another folder", name), err, server.Close())
	}
	return s, nil
}

// drop ends the scene and takes its database away.
func (s *scene) drop(ctx context.Context) error {
	var name string
	err := s.conn.QueryRow(ctx, "SELECT currentDatabase()").Scan(&name)
	if err == nil {
		err = s.exec(context.WithoutCancel(ctx), "DROP DATABASE "+name+" SYNC")
	}
	return errors.Join(err, s.server.Close())
}

// exec runs a statement that is no part of a settlement, and so is not metered.
func (s *scene) exec(ctx context.Context, statement string) error {
	return s.conn.Conn.Exec(ctx, statement)
}

// rule sets the rules and takes a new settler, as a process that starts does.
func (s *scene) rule(ctx context.Context, rule ...string) error {
	source := "version: 1\nrules:\n"
	for _, r := range rule {
		source += "  - " + r + "\n"
	}
	var err error
	if s.set, err = rulefile.Parse("bench.yaml", []byte(source)); err != nil {
		return err
	}
	return s.restart(ctx)
}

// restart takes a new settler, as a process that starts does.
func (s *scene) restart(ctx context.Context) (err error) {
	cfg := settle.Config{Hour: plan.Config{Period: 876000 * time.Hour}} // one cut for each run
	if s.lapped {
		cfg.Stop = func(step settle.Step) error {
			u, err := s.read(ctx)
			s.laps = append(s.laps, lap{step, u})
			return err
		}
	}
	s.settler, err = settle.New(s.conn, slog.New(slog.DiscardHandler), cfg)
	return err
}

// settle settles what is before an instant in one cut and returns what that took.
func (s *scene) settle(ctx context.Context, through rules.Instant) (usage, error) {
	begin, err := s.read(ctx)
	if err != nil {
		return usage{}, err
	}
	s.laps = nil
	result, err := s.settler.Run(ctx, s.set, plan.Now{Mode: plan.Through, T: through})
	if err != nil {
		return usage{}, err
	}
	end, err := s.read(ctx)
	if err != nil {
		return usage{}, err
	}
	if result.Cuts != 1 {
		return usage{}, fmt.Errorf("a run through %s settled %d cuts, want 1", through, result.Cuts)
	}
	previous := begin
	for i := range s.laps {
		now := s.laps[i].usage
		s.laps[i].usage, previous = now.minus(previous), now
	}
	return end.minus(begin), nil
}

// lap returns what the last cut used up to a step, since it took another.
func (s *scene) lap(after, step settle.Step) usage {
	var total usage
	counts := false
	for _, l := range s.laps {
		if counts {
			total = total.plus(l.usage)
		}
		counts = counts && l.Step != step || l.Step == after
	}
	return total
}

// merge has every table of the scene in as few parts as it can be.
func (s *scene) merge(ctx context.Context) error {
	for _, table := range []string{
		"event_log", "arrivals", "identities", "progress", "cuts", "rulesets", "ledger", "touches", "tallies", "claims", "conflicts", "clocks", "numbers",
	} {
		if err := s.exec(ctx, "OPTIMIZE TABLE "+table+" FINAL"); err != nil {
			return fmt.Errorf("merge the parts of %s: %w", table, err)
		}
	}
	return nil
}

// rest waits until the engine merges nothing more, and has it merge nothing until
// [scene.wake].
func (s *scene) rest(ctx context.Context) error {
	for quiet := 0; quiet < 3; {
		var merges uint64
		if err := s.conn.Conn.QueryRow(ctx, "SELECT count() FROM system.merges").Scan(&merges); err != nil {
			return err
		}
		if quiet++; merges > 0 {
			quiet = 0
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return s.exec(ctx, "SYSTEM STOP MERGES")
}

// wake lets the engine merge again.
func (s *scene) wake(ctx context.Context) error { return s.exec(ctx, "SYSTEM START MERGES") }

// floor measures a statement that reads what a settlement cannot do without: the median
// of some runs, by CPU.
func (s *scene) floor(ctx context.Context, statement string) (usage, error) {
	var runs []usage
	for range 5 {
		u, err := s.measure(ctx, func() error { return s.conn.Exec(ctx, statement+"\nFORMAT Null") })
		if err != nil {
			return usage{}, err
		}
		runs = append(runs, u)
	}
	return median(runs), nil
}

// verify voids the figures if a replay finds a difference.
func (s *scene) verify(ctx context.Context) error {
	v, err := verify.Run(ctx, s.conn.Conn, verify.Config{})
	if err != nil {
		return err
	}
	if len(v.Mismatches) > 0 {
		return void("%s", v.Mismatches[0])
	}
	return nil
}

// void says that what was settled is wrong, so that no figure is worth anything.
func void(format string, args ...any) error {
	return fmt.Errorf("the figures are void: "+format, args...)
}
