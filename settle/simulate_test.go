package settle_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/rules"
	"photofinish/rules/hour"
	"photofinish/rules/rulestest"
	"photofinish/settle"
)

// Whatever the history, the settlement that reads little appends byte for byte what the
// simulation decides, which reads everything anew at each cut and shares no SQL with
// it: in one process, with a fresh one for every cut, and with every row of the log
// inserted twice. PHOTOFINISH_HISTORIES asks for more rounds of each kind of history,
// PHOTOFINISH_FIRST_HISTORY for those from a number on.
func TestSimulation(t *testing.T) {
	rounds, first := 3, 0
	if n, err := strconv.Atoi(os.Getenv("PHOTOFINISH_HISTORIES")); err == nil {
		rounds = n
	}
	if n, err := strconv.Atoi(os.Getenv("PHOTOFINISH_FIRST_HISTORY")); err == nil {
		first = n
	}
	for name, w := range rulestest.Wilds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for round := first; round < first+rounds; round++ {
				h := rulestest.Random(t, rand.New(rand.NewPCG(uint64(round), 7)), w)
				conn := clickhousetest.New(t)
				newWorld(t, conn)
				insertLog(t, conn, h.Log)
				if round%2 == 1 {
					insertLog(t, conn, h.Log)
				}
				if err := conn.Exec(context.Background(), "INSERT INTO secrets (secret) VALUES ('known')"); err != nil {
					t.Fatal(err)
				}
				want := simulate(h, "known")
				settleCuts(t, conn, h, round%3 == 2)
				if err := sameLedger(t, conn, want); err != nil {
					t.Fatalf("in round %d %v", round, err)
				}
				if (&world{T: t, conn: conn}).verify(); t.Failed() {
					t.Fatalf("in round %d", round)
				}
			}
		})
	}
}

// simulate decides the history, and has each cut name the one before.
func simulate(h rulestest.History, secret string) [][]rules.Entry {
	s := rules.NewSimulation(secret)
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

// insertLog writes rows of the merged log into all its tables, as an ingest node does.
func insertLog(t *testing.T, conn driver.Conn, log []rules.Record) {
	t.Helper()
	const columns = ` (node, offset, server, region, id, type, at_ns, seq, instant_ns, earliest_ns, latest_ns, backdated,
player, guild, target, sku, count, attrs, content)`
	for _, table := range []string{"event_log", "arrivals"} {
		batch, err := conn.PrepareBatch(context.Background(), "INSERT INTO "+table+columns)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range log {
			err := batch.Append(r.Node, r.Offset, r.Server, r.Region, r.ID, r.Type, int64(r.At), r.Seq, int64(r.Instant), int64(r.Earliest), int64(r.Latest),
				r.Backdated, r.Player, r.Guild, r.Target, r.SKU, r.Count, r.Attrs, string(r.Content[:]))
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := batch.Send(); err != nil {
			t.Fatal(err)
		}
	}
	batch, err := conn.PrepareBatch(context.Background(), "INSERT INTO identities (server, id, content, node, offset, instant_ns, earliest_ns, latest_ns, player)")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range log {
		err := batch.Append(r.Server, r.ID, string(r.Content[:]), r.Node, r.Offset, int64(r.Instant), int64(r.Earliest), int64(r.Latest), r.Player)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
}

// settleCuts records the cuts of the history and has settlers finish them: one for
// all, or one for each as if every run had died after its cut.
func settleCuts(t *testing.T, conn driver.Conn, h rulestest.History, restart bool) {
	t.Helper()
	ctx := context.Background()
	var s *settle.Settler
	execAll(t, conn, "SYSTEM STOP MERGES tallies")
	restored := 0
	for i := range h.Cuts {
		cut, set := h.Cuts[i].Cut, h.Cuts[i].Ruleset
		body, err := json.Marshal(&cut)
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range []struct {
			sql    string
			values []any
		}{
			{"INSERT INTO rulesets (digest, source)", []any{set.Digest, string(set.Source)}},
			{"INSERT INTO cuts (number, through_ns, body)", []any{cut.Number, int64(cut.Through), string(body)}},
		} {
			batch, err := conn.PrepareBatch(ctx, statement.sql)
			if err != nil {
				t.Fatal(err)
			}
			if err := batch.Append(statement.values...); err != nil {
				t.Fatal(err)
			}
			if err := batch.Send(); err != nil {
				t.Fatal(err)
			}
		}
		if s == nil || restart && (i%2 == 0 || len(h.Cuts)%2 == 0) {
			cutPower(t, conn, max(restored, i-2))
			restored = i
			if s, err = settle.New(conn, quiet(), settle.Config{}); err != nil {
				t.Fatal(err)
			}
		}
		// No node has published progress, so a run only finishes what is recorded.
		if _, err := s.Run(ctx, set, hour.Now{T: cut.AsOf}); err != nil {
			t.Fatal(err)
		}
	}
}

// cutPower takes what a power cut may have taken: all touches, and about half of what
// the cuts after a number wrote beside the ledger. Those are the cuts after the last
// start, which made good what was lost before, and at most two, since what was written
// more than 30 seconds earlier is safe. Nothing must have been merged.
func cutPower(t *testing.T, conn driver.Conn, after int) {
	t.Helper()
	execAll(t, conn, "TRUNCATE TABLE touches")
	for table, row := range map[string]string{"tallies": "rule, subject, value", "claims": "rule, subject", "conflicts": "player, id"} {
		execAll(t, conn,
			"CREATE TABLE left_over AS "+table,
			fmt.Sprintf("INSERT INTO left_over SELECT * FROM %s WHERE cut <= %d OR cityHash64(%s, cut) %% 2 = 0 SETTINGS optimize_on_insert = 0", table, after, row),
			"DROP TABLE "+table,
			"RENAME TABLE left_over TO "+table,
			"SYSTEM STOP MERGES "+table)
	}
}

func execAll(t *testing.T, conn driver.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if err := conn.Exec(context.Background(), s); err != nil {
			t.Fatal(err)
		}
	}
}

// sameLedger compares the ledger with the entries, byte for byte.
func sameLedger(t *testing.T, conn driver.Conn, want [][]rules.Entry) error {
	t.Helper()
	got := (&world{T: t, conn: conn}).ledger()
	for _, entries := range want {
		for _, e := range entries {
			body, err := json.Marshal(&e)
			if err != nil {
				t.Fatal(err)
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
