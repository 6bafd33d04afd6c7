package settle_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/rules"
	"photofinish/rules/rulestest"
	"photofinish/settle"
)

// Whatever the history, the settlement that reads little and remembers much appends
// byte for byte what the simulation decides, which reads everything anew at each
// cut and shares no SQL with it: in one process, with a fresh one for every cut, and
// with every row of the log inserted twice.
func TestSimulation(t *testing.T) {
	const rounds = 6
	for name, w := range rulestest.Wilds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for round := range rounds {
				h := rulestest.Random(t, rand.New(rand.NewPCG(uint64(round), 7)), w)
				conn := clickhousetest.New(t)
				newWorld(t, conn)
				insertLog(t, conn, h.Log)
				if round%2 == 1 {
					insertLog(t, conn, h.Log)
				}
				settleCuts(t, conn, h, round%3 == 2)
				want := rules.Simulate(h.Log, storedSecret(t, conn), h.Cuts)
				sameLedger(t, conn, want)
				if t.Failed() {
					t.Fatalf("in round %d", round)
				}
				(&world{T: t, conn: conn}).verify()
			}
		})
	}
}

// insertLog writes rows of the merged log as an ingest node does.
func insertLog(t *testing.T, conn driver.Conn, log []rules.Record) {
	t.Helper()
	batch, err := conn.PrepareBatch(context.Background(), `INSERT INTO event_log (node, offset, server, region, id, type, at_ns, seq,
instant_ns, err_ns, player, guild, target, sku, count, attrs, content)`)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range log {
		err := batch.Append(r.Node, r.Offset, r.Server, r.Region, r.ID, r.Type, int64(r.At), r.Seq, int64(r.Instant), r.ErrNs,
			r.Player, r.Guild, r.Target, r.SKU, r.Count, r.Attrs, string(r.Content[:]))
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
		if restart || i == len(h.Cuts)-1 {
			s, err := settle.New(conn, quiet(), settle.Config{})
			if err != nil {
				t.Fatal(err)
			}
			// No node has published progress, so a run only finishes what is recorded.
			if _, err := s.Run(ctx, set, settle.Until{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// storedSecret returns what the seeds came from.
func storedSecret(t *testing.T, conn driver.Conn) string {
	t.Helper()
	rows, err := conn.Query(context.Background(), "SELECT secret FROM secrets")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	secret := ""
	for rows.Next() {
		if err := rows.Scan(&secret); err != nil {
			t.Fatal(err)
		}
	}
	return secret
}

// sameLedger compares the ledger with the entries, byte for byte.
func sameLedger(t *testing.T, conn driver.Conn, want [][]rules.Entry) {
	t.Helper()
	got := (&world{T: t, conn: conn}).ledger()
	for _, e := range slices.Concat(want...) {
		body, err := json.Marshal(&e)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			t.Fatalf("the ledger ends before\n%s", body)
		}
		if got[0] != string(body) {
			t.Fatalf("the ledger says\n%s\nthe simulation\n%s", got[0], body)
		}
		got = got[1:]
	}
	if len(got) > 0 {
		t.Fatalf("the ledger goes on: %s", got[0])
	}
}
