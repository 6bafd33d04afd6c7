package verify_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/ingest"
	"photofinish/rules"
	"photofinish/rules/rulestest"
	"photofinish/settle/evidence"
	"photofinish/settle/ledger"
	"photofinish/settle/verify"
)

func TestMain(m *testing.M) { clickhousetest.Main(m) }

const secret = "known"

// tables are those that verify reads as true or checks.
var tables = []string{"cuts", "rulesets", "secrets", "ledger", "event_log"}

// world is a database into which tests write a log and what a settlement says of it,
// by plain inserts: no settler is needed.
type world struct {
	testing.TB
	conn driver.Conn
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t, clickhousetest.New(t)}
	for _, migrate := range []func(context.Context, driver.Conn) error{ingest.Migrate, ledger.Migrate, evidence.Migrate} {
		if err := migrate(w.Context(), w.conn); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) exec(statements ...string) {
	w.Helper()
	for _, statement := range statements {
		if err := w.conn.Exec(w.Context(), statement); err != nil {
			w.Fatal(statement, err)
		}
	}
}

func (w *world) clear() {
	w.Helper()
	for _, table := range tables {
		w.exec("TRUNCATE TABLE " + table)
	}
}

// write records the history and what the simulation decides of it.
func (w *world) write(h rulestest.History) [][]rules.Entry {
	w.Helper()
	w.exec("INSERT INTO secrets (secret) VALUES ('" + secret + "')")
	w.insertLog(h.Log)
	store := ledger.New(w.conn)
	decided := simulate(h)
	for i := range h.Cuts {
		cut, set := &h.Cuts[i].Cut, h.Cuts[i].Ruleset
		if err := store.KeepRuleset(w.Context(), set); err != nil {
			w.Fatal(err)
		}
		if _, err := store.Propose(w.Context(), cut); err != nil {
			w.Fatal(err)
		}
		if err := store.Append(w.Context(), cut.Number, decided[i]); err != nil {
			w.Fatal(err)
		}
	}
	return decided
}

// simulate decides the history, and has each cut name the one before.
func simulate(h rulestest.History) [][]rules.Entry {
	s := rules.NewSimulation(secret)
	var all [][]rules.Entry
	for i := range h.Cuts {
		if i > 0 {
			h.Cuts[i].Cut.Previous = all[i-1][len(all[i-1])-1].ID
		}
		all = append(all, s.Settle(h.Log, &h.Cuts[i].Cut, h.Cuts[i].Ruleset))
	}
	return all
}

func (w *world) insertLog(log []rules.Record) {
	w.Helper()
	batch, err := w.conn.PrepareBatch(w.Context(), `INSERT INTO event_log (node, offset, server, region, id, type, at_ns, seq, instant_ns,
earliest_ns, latest_ns, backdated, player, guild, target, sku, count, price_minor, currency, attrs, content)`)
	if err != nil {
		w.Fatal(err)
	}
	for _, r := range log {
		err := batch.Append(r.Node, r.Offset, r.Server, r.Region, r.ID, r.Type, int64(r.At), r.Seq, int64(r.Instant), int64(r.Earliest), int64(r.Latest),
			r.Backdated, r.Player, r.Guild, r.Target, r.SKU, r.Count, r.Price.Amount, r.Price.Currency, r.Attrs, string(r.Content[:]))
		if err != nil {
			w.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		w.Fatal(err)
	}
}

func (w *world) verify(cfg verify.Config) verify.Verification {
	w.Helper()
	v, err := verify.Run(w.Context(), w.conn, cfg)
	if err != nil {
		w.Fatal(err)
	}
	return v
}

// random returns the history of a seed.
func random(t testing.TB, seed int, wild rulestest.Wildness) rulestest.History {
	return rulestest.Random(t, rand.New(rand.NewPCG(uint64(seed), 11)), wild)
}

// rich returns the first history of the random ones that has entries of all kinds in
// at least three cuts.
func rich(t testing.TB) rulestest.History {
	t.Helper()
	want := []rules.EntryKind{
		rules.KindConflict, rules.KindAward, rules.KindBoard, rules.KindPrize, rules.KindAllocation,
		rules.KindCorrection, rules.KindCompensation, rules.KindCommitment,
	}
	for seed := range 10_000 {
		h := random(t, seed, rulestest.Wilds()["copies"])
		if len(h.Cuts) < 3 {
			continue
		}
		var kinds []rules.EntryKind
		for _, entries := range simulate(h) {
			for i := range entries {
				kinds = append(kinds, entries[i].Kind)
			}
		}
		if !slices.ContainsFunc(want, func(k rules.EntryKind) bool { return !slices.Contains(kinds, k) }) {
			return h
		}
	}
	t.Fatal("no history has entries of all kinds")
	return rulestest.History{}
}

// text is a value as the ledger writes it.
func text(t testing.TB, value any) string {
	t.Helper()
	body, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func named(name string, value any) driver.NamedValue { return clickhouse.Named(name, value) }
