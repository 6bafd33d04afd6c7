package settle_test

import (
	"context"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/rules"
	"photofinish/rules/hour"
	"photofinish/rules/rulestest"
	"photofinish/settle"
	"photofinish/settle/settletest"
)

// A settler that reads progress and log from the tables, as they are at each run, makes
// the cuts that the plan makes from the same in memory, and decides the same.
// PFTEST_HISTORIES and PFTEST_FIRST_HISTORY ask for more rounds.
func TestRuns(t *testing.T) {
	rounds, first := 2, 0
	if testing.Short() {
		rounds = 1
	}
	if n, err := strconv.Atoi(os.Getenv("PFTEST_HISTORIES")); err == nil {
		rounds = n
	}
	if n, err := strconv.Atoi(os.Getenv("PFTEST_FIRST_HISTORY")); err == nil {
		first = n
	}
	wilds := rulestest.Wilds()
	maps.DeleteFunc(wilds, func(_ string, w rulestest.Wildness) bool { return !w.Nodes })
	for name, wild := range wilds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for round := first; round < first+rounds; round++ {
				h := rulestest.Random(t, rand.New(rand.NewPCG(uint64(round), 13)), wild)
				w := newWorld(t, clickhousetest.New(t))
				w.insert("secrets (secret)", []any{settletest.Secret})
				var s *settle.Settler
				for i := range h.Runs {
					if s == nil || round%2 == 1 {
						var err error
						if s, err = settle.New(w.conn, quiet(), settle.Config{Hour: rulestest.Rhythm()}); err != nil {
							t.Fatal(err)
						}
					}
					w.asOf(&h.Runs[i])
					result, err := s.Run(context.Background(), h.Runs[i].Ruleset, h.Runs[i].Now)
					if err != nil || result.Cuts != h.Runs[i].Cuts {
						t.Fatalf("in round %d, run %d made %d cuts of %d: %v", round, i+1, result.Cuts, h.Runs[i].Cuts, err)
					}
				}
				w.sameCuts(h.Cuts)
				w.sameDecisions(settletest.Simulate(h))
				if w.verify(); t.Failed() {
					t.Fatalf("in round %d", round)
				}
			}
		})
	}
}

// asOf puts into the tables what is there at a run.
func (w *world) asOf(r *rulestest.Run) {
	w.Helper()
	for _, table := range []string{"event_log", "arrivals", "identities", "progress", "retirements"} {
		if err := w.conn.Exec(context.Background(), "TRUNCATE TABLE "+table); err != nil {
			w.Fatal(err)
		}
	}
	if err := settletest.InsertLog(context.Background(), w.conn, r.Log); err != nil {
		w.Fatal(err)
	}
	var words, retired [][]any
	for i := range r.Rows {
		words = append(words, wordOf(&r.Rows[i]))
	}
	for _, r := range r.Retired {
		retired = append(retired, []any{r.Node, r.Offset})
	}
	w.insert("progress (node, published, at_ns, offset, watermark_ns, regions, silent, lost, void, life)", words...)
	w.insert("retirements (node, offset)", retired...)
}

func wordOf(r *hour.Row) []any {
	regions, silent, lost, void := [][]any{}, [][]any{}, [][]any{}, [][]any{}
	for _, m := range r.Regions {
		regions = append(regions, []any{m.Region, int64(m.Watermark)})
	}
	for _, s := range r.Silent {
		silent = append(silent, []any{s.Server, int64(s.Watermark), int64(s.Since)})
	}
	for _, s := range r.Lost {
		lost = append(lost, []any{s.First, s.Last})
	}
	for _, s := range r.Void {
		void = append(void, []any{s.First, s.Last})
	}
	return []any{r.Node, r.Published, int64(r.At), r.Offset, int64(r.Watermark), regions, silent, lost, void, ""}
}

// insert writes rows as one block.
func (w *world) insert(into string, rows ...[]any) {
	w.Helper()
	if len(rows) == 0 {
		return
	}
	batch, err := w.conn.PrepareBatch(context.Background(), "INSERT INTO "+into)
	if err != nil {
		w.Fatal(err)
	}
	for _, r := range rows {
		if err := batch.Append(r...); err != nil {
			w.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		w.Fatal(err)
	}
}

// sameCuts compares the recorded cuts, but for what is another in each database: the
// store's clock, and the entry before, which holds a digest of a record with that clock.
func (w *world) sameCuts(want []rules.SimulatedCut) {
	w.Helper()
	var got []string
	err := w.each("SELECT DISTINCT number, body FROM cuts ORDER BY number", func(rows driver.Rows) error {
		var number uint64
		var body string
		err := rows.Scan(&number, &body)
		got = append(got, body)
		return err
	})
	if err != nil || len(got) != len(want) {
		w.Fatalf("%d cuts of %d: %v", len(got), len(want), err)
	}
	for i := range want {
		var cut rules.Cut
		if err := json.Unmarshal([]byte(got[i]), &cut); err != nil {
			w.Fatal(err)
		}
		expected := want[i].Cut
		expected.ClosedAt, expected.Previous = cut.ClosedAt, cut.Previous
		if cut.Digest() != expected.Digest() {
			w.Fatalf("cut %d is\n%+v\nand should be\n%+v", i+1, cut, expected)
		}
	}
}

// sameDecisions compares the ledger with the entries, but for what is another in each
// database.
func (w *world) sameDecisions(want [][]rules.Entry) {
	w.Helper()
	got := w.decisions()
	for _, e := range slices.Concat(want...) {
		if e.Settled != nil {
			e.ID, e.Settled.Previous, e.Settled.Record = "", "", ""
		}
		body, err := json.Marshal(&e)
		if err != nil {
			w.Fatal(err)
		}
		if len(got) == 0 || got[0] != string(body) {
			w.Fatalf("the ledger goes on with\n%q\nthe simulation with\n%s", got[:min(1, len(got))], body)
		}
		got = got[1:]
	}
	if len(got) > 0 {
		w.Fatalf("the ledger goes on: %s", got[0])
	}
}

func (w *world) each(statement string, scan func(driver.Rows) error) error {
	rows, err := w.conn.Query(context.Background(), statement)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
