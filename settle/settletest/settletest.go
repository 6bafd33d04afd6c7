// Package settletest holds a settlement against the simulation, history by history: for
// the tests of package settle, and for cmd/bench, which runs many more.
package settletest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
	"photofinish/rules/hour"
	"photofinish/rules/rulestest"
	"photofinish/settle"
	"photofinish/settle/ledger"
	"photofinish/settle/verify"
)

// Secret is where the seeds of draws come from.
const Secret = "known"

// Way is how a history is settled.
type Way struct {
	Twice   bool // every row of the log is inserted twice
	Restart bool // fresh settlers go on, after power cuts
	Fresh   bool // a fresh settler for each cut, of a store in which nothing is lost
}

// WayOf returns the way of a round: they take turns.
func WayOf(round int) Way {
	return Way{Twice: round%2 == 1, Restart: round%3 == 2, Fresh: round%3 == 1}
}

// Check settles a history in a database with the empty tables of ingest and settle, and
// reports the first difference: the ledger must be byte for byte what the simulation
// decides, and verify must find it right.
func Check(ctx context.Context, conn driver.Conn, h rulestest.History, way Way) error {
	inserts := 1
	if way.Twice {
		inserts = 2
	}
	for range inserts {
		if err := InsertLog(ctx, conn, h.Log); err != nil {
			return fmt.Errorf("insert the log: %w", err)
		}
	}
	if err := conn.Exec(ctx, "INSERT INTO secrets (secret) VALUES ('"+Secret+"')"); err != nil {
		return fmt.Errorf("insert the secret: %w", err)
	}
	want := Simulate(h)
	if err := settleCuts(ctx, conn, h, way); err != nil {
		return err
	}
	if err := sameLedger(ctx, conn, want); err != nil {
		return err
	}
	v, err := verify.Run(ctx, conn, verify.Config{})
	switch {
	case err != nil:
		return fmt.Errorf("verify: %w", err)
	case len(v.Mismatches) > 0:
		return fmt.Errorf("verify: %s", v.Mismatches[0])
	case v.Cuts != len(h.Cuts):
		return fmt.Errorf("verify replayed %d of %d cuts", v.Cuts, len(h.Cuts))
	}
	return nil
}

// Simulate decides the history, and has each cut name the one before.
func Simulate(h rulestest.History) [][]rules.Entry {
	s := rules.NewSimulation(Secret)
	var all [][]rules.Entry
	for i := range h.Cuts {
		h.Cuts[i].Cut.ClosedAt = rules.Instant(i) * rules.Instant(40*time.Second) // see cutPower
		if i > 0 {
			before := all[i-1]
			h.Cuts[i].Cut.Previous = before[len(before)-1].ID
		}
		all = append(all, s.Settle(h.Log, &h.Cuts[i].Cut, h.Cuts[i].Ruleset))
	}
	return all
}

// InsertLog writes rows of the merged log into all its tables, as an ingest node does.
func InsertLog(ctx context.Context, conn driver.Conn, log []rules.Record) error {
	const columns = ` (node, offset, server, region, id, type, at_ns, seq, instant_ns, earliest_ns, latest_ns, backdated,
player, guild, target, sku, count, attrs, content)`
	var events, identities [][]any
	for _, r := range log {
		content := string(r.Content[:])
		events = append(events, []any{
			r.Node, r.Offset, r.Server, r.Region, r.ID, r.Type, int64(r.At), r.Seq, int64(r.Instant), int64(r.Earliest), int64(r.Latest),
			r.Backdated, r.Player, r.Guild, r.Target, r.SKU, r.Count, r.Attrs, content,
		})
		identities = append(identities, []any{
			r.Server, r.ID, content, r.Node, r.Offset, int64(r.Instant), int64(r.Earliest), int64(r.Latest), r.Player,
		})
	}
	return errors.Join(
		insert(ctx, conn, "INSERT INTO event_log"+columns, events...),
		insert(ctx, conn, "INSERT INTO arrivals"+columns, events...),
		insert(ctx, conn, "INSERT INTO identities (server, id, content, node, offset, instant_ns, earliest_ns, latest_ns, player)", identities...))
}

func insert(ctx context.Context, conn driver.Conn, statement string, rows ...[]any) error {
	batch, err := conn.PrepareBatch(ctx, statement)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := batch.Append(row...); err != nil {
			return errors.Join(err, batch.Abort())
		}
	}
	return batch.Send()
}

// settleCuts records the cuts of the history and has settlers finish them.
func settleCuts(ctx context.Context, conn driver.Conn, h rulestest.History, way Way) error {
	var s *settle.Settler
	if err := conn.Exec(ctx, "SYSTEM STOP MERGES tallies"); err != nil {
		return err
	}
	restored := 0
	for i := range h.Cuts {
		cut, set := h.Cuts[i].Cut, h.Cuts[i].Ruleset
		store := ledger.New(conn)
		if err := store.KeepRuleset(ctx, set); err != nil {
			return err
		}
		if _, err := store.Propose(ctx, &cut); err != nil {
			return err
		}
		if s == nil || way.Fresh || way.Restart && (i%2 == 0 || len(h.Cuts)%2 == 0) {
			var cfg settle.Config
			if way.Fresh {
				cfg.Store = intact{}
			} else if err := cutPower(ctx, conn, max(restored, i-2)); err != nil {
				return fmt.Errorf("cut the power: %w", err)
			}
			restored = i
			var err error
			if s, err = settle.New(conn, slog.New(slog.DiscardHandler), cfg); err != nil {
				return err
			}
		}
		// No node has published progress, so a run only finishes what is recorded.
		if _, err := s.Run(ctx, set, hour.Now{T: cut.AsOf}); err != nil {
			return err
		}
	}
	return nil
}

// intact is a store that was stopped in peace.
type intact struct{}

func (intact) Intact() bool    { return true }
func (intact) Restored() error { return nil }

// cutPower takes what a power cut may have taken: all touches, and about half of what
// the cuts after a number wrote beside the ledger. Those are the cuts after the last
// start, which made good what was lost before, and at most two, since what was written
// more than 30 seconds earlier is safe. Nothing must have been merged.
func cutPower(ctx context.Context, conn driver.Conn, after int) error {
	statements := []string{"TRUNCATE TABLE touches"}
	for _, t := range []struct{ table, row string }{{"tallies", "rule, subject, value"}, {"claims", "rule, subject"}, {"conflicts", "player, id"}, {"numbers", "server"}} {
		statements = append(statements,
			"CREATE TABLE left_over AS "+t.table,
			fmt.Sprintf("INSERT INTO left_over SELECT * FROM %s WHERE cut <= %d OR cityHash64(%s, cut) %% 2 = 0 SETTINGS optimize_on_insert = 0", t.table, after, t.row),
			"DROP TABLE "+t.table,
			"RENAME TABLE left_over TO "+t.table,
			"SYSTEM STOP MERGES "+t.table)
	}
	for _, statement := range statements {
		if err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// sameLedger compares the ledger with the entries, byte for byte.
func sameLedger(ctx context.Context, conn driver.Conn, want [][]rules.Entry) error {
	got, err := bodies(ctx, conn)
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	for _, entries := range want {
		for _, e := range entries {
			body, err := json.Marshal(&e)
			if err != nil {
				return err
			}
			if len(got) == 0 {
				return fmt.Errorf("the ledger ends before\n%s", body)
			}
			if got[0] != string(body) {
				return fmt.Errorf("the ledger says\n%s\nthe simulation\n%s", got[0], body)
			}
			got = got[1:]
		}
	}
	if len(got) > 0 {
		return fmt.Errorf("the ledger goes on: %s", got[0])
	}
	return nil
}

// bodies returns every entry as it stands in the table, copies removed.
func bodies(ctx context.Context, conn driver.Conn) (all []string, err error) {
	rows, err := conn.Query(ctx, "SELECT DISTINCT cut, n, body FROM ledger ORDER BY cut, n, body")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var cut uint64
		var n uint32
		var body string
		if err := rows.Scan(&cut, &n, &body); err != nil {
			return nil, err
		}
		all = append(all, body)
	}
	return all, rows.Err()
}
