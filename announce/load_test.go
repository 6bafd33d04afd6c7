package announce_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/announce"
	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/rules"
	"photofinish/settle"
)

func TestMain(m *testing.M) { clickhousetest.Main(m) }

// record writes cuts and entries as a settler does.
func record(t testing.TB, conn driver.Conn, cuts []rules.Cut, entries []rules.Entry) {
	t.Helper()
	c, err := conn.PrepareBatch(t.Context(), "INSERT INTO cuts (number, through_ns, body)")
	if err != nil {
		t.Fatal(err)
	}
	for i := range cuts {
		if err := c.Append(cuts[i].Number, int64(cuts[i].Through), encoded(t, &cuts[i])); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Send(); err != nil {
		t.Fatal(err)
	}
	l, err := conn.PrepareBatch(t.Context(), `INSERT INTO ledger
(cut, n, kind, rule, scope, window_opens_ns, window_closes_ns, subject, key, id, body)`)
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		e := &entries[i]
		if err := l.Append(e.Cut, e.N, string(e.Kind), e.Rule, string(e.Scope), int64(e.Window.Opens), int64(e.Window.Closes), e.Subject(), e.Key, e.ID, encoded(t, e)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Send(); err != nil {
		t.Fatal(err)
	}
}

func encoded(t testing.TB, v any) string {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func tables(t testing.TB) driver.Conn {
	t.Helper()
	conn := clickhousetest.New(t)
	if err := settle.Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	return conn
}

// What is read for a selection gives the same reports as the whole ledger would,
// though two settlers finished each cut and a loser proposed another one.
func TestLoad(t *testing.T) {
	conn := tables(t)
	if _, err := announce.Load(t.Context(), conn, announce.Standing()); !errors.Is(err, announce.ErrNothingSettled) {
		t.Fatalf("nothing is settled: %v", err)
	}
	l := history(t)
	open := rules.Cut{Number: 8, Through: at("2027-01-02T00:00:00Z"), Ruleset: l.rulesets[0].Digest}
	record(t, conn, append(slices.Clone(l.cuts), open), l.entries)
	losers := slices.Clone(l.cuts)
	for i := range losers {
		losers[i].Through++
		losers[i].Nodes = []rules.NodeLine{{Node: "a loser", State: rules.NodeLive}}
	}
	record(t, conn, losers, l.entries)
	for range 2 {
		if err := conn.Exec(t.Context(), "INSERT INTO rulesets (digest, source) VALUES ({d:String}, {s:String})",
			clickhouse.Named("d", l.rulesets[0].Digest), clickhouse.Named("s", rulesFile)); err != nil {
			t.Fatal(err)
		}
	}
	selections := map[string]announce.Selection{
		"latest": announce.Latest(), "all": announce.All(), "standing": announce.Standing(),
		"2 to 3": announce.Range(2, 3), "3 to 6": announce.Range(3, 6), "5 to 5": announce.Range(5, 5),
	}
	for i := range l.cuts {
		selections[fmt.Sprint(i+1)] = announce.One(uint64(i + 1))
	}
	var ids []string
	for i := range l.rulesets[0].Rules {
		ids = append(ids, l.rulesets[0].Rules[i].ID)
	}
	slices.Sort(ids)
	for name, sel := range selections {
		got, err := announce.Load(t.Context(), conn, sel)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want, got := pages(t, build(t, l, sel)), pages(t, got); got != want {
			t.Errorf("%s: %s", name, difference(want, got))
		}
		for i := range got {
			if !slices.Equal(got[i].Rules, ids) {
				t.Errorf("%s: the rules are %v, not %v", name, got[i].Rules, ids)
			}
		}
	}
	for name, sel := range map[string]announce.Selection{"recorded": announce.One(8), "unknown": announce.One(99), "none": announce.One(0), "beyond": announce.Range(3, 8)} {
		var open *announce.NotSettledError
		if _, err := announce.Load(t.Context(), conn, sel); !errors.As(err, &open) || open.Last != 7 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := announce.Load(t.Context(), conn, announce.Range(3, 2)); err == nil {
		t.Error("a range that ends before it begins")
	}
}

// pages writes reports in every form.
func pages(t *testing.T, reports []announce.Report) string {
	t.Helper()
	var b bytes.Buffer
	page := announce.Page{Address: func(cut uint64) string { return fmt.Sprintf("/reports/%d", cut) }}
	if err := errors.Join(announce.WriteAllJSON(&b, reports), announce.WriteMarkdown(&b, reports), page.WriteHTML(&b, reports)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What is read of twice as many cuts, with a sale in each, allocates about twice as much.
func TestLoadGrowsWithTheCuts(t *testing.T) {
	selections := map[string]announce.Selection{"all": announce.All(), "latest": announce.Latest(), "standing": announce.Standing()}
	allocated := func(cuts int) map[string]float64 {
		conn := tables(t)
		l := &ledger{rulesets: history(t).rulesets}
		for i := range cuts {
			var entries []rules.Entry
			for j := range 10 {
				name := fmt.Sprintf("p%d-%d", i, j)
				entries = append(entries,
					award("moth-hunter", "world", 0, rules.Provisional, false, claim(name, "2026-11-20T07:00:00Z", time.Second, "lamp")),
					allocation("celestial-mount", name, "2026-11-20T07:00:00Z", 100000, rules.Reserved, ""))
			}
			l.settle(fmt.Sprintf("2026-11-20T08:%02d:%02dZ", i/60, i%60), rules.Settled{Events: 1}, nil, entries...)
		}
		record(t, conn, l.cuts, l.entries)
		counts := map[string]float64{}
		for name, sel := range selections {
			counts[name] = testing.AllocsPerRun(1, func() {
				reports, err := announce.Load(t.Context(), conn, sel)
				if err != nil {
					t.Fatal(err)
				}
				if r := reports[len(reports)-1]; r.Sales[0].Sold != int64(10*cuts) {
					t.Errorf("%s: %d sold", name, r.Sales[0].Sold)
				}
			})
		}
		return counts
	}
	some, twice := allocated(60), allocated(120)
	for name := range selections {
		t.Logf("%s: %.0f, then %.0f", name, some[name], twice[name])
		if twice[name] > 3*some[name] {
			t.Errorf("%s: %.0f allocations of 60 cuts, %.0f of 120", name, some[name], twice[name])
		}
	}
}

// counting counts the rows that are read of a connection.
type counting struct {
	driver.Conn
	rows int
}

type countedRows struct {
	driver.Rows
	of *counting
}

func (c *counting) Query(ctx context.Context, query string, args ...any) (driver.Rows, error) {
	rows, err := c.Conn.Query(ctx, query, args...)
	return countedRows{rows, c}, err
}

func (r countedRows) Next() bool {
	next := r.Rows.Next()
	if next {
		r.of.rows++
	}
	return next
}

// However many conflicts there are, each report has their number as of its cut and the first
// of them, and no more are read.
func TestLoadBoundsConflicts(t *testing.T) {
	conn := tables(t)
	l := &ledger{rulesets: history(t).rulesets}
	all := 0
	for cut, n := range []int{700, 0, 900, 1400} {
		var entries []rules.Entry
		for range n {
			entries = append(entries, rules.Entry{Kind: rules.KindConflict, Conflict: &rules.Conflict{Identity: rules.Identity{Server: "s", ID: fmt.Sprintf("%05d", all)}}})
			all++
		}
		entries = append(entries, award("moth-hunter", "world", 0, rules.Provisional, false, claim(fmt.Sprint(cut), "2026-11-20T07:00:00Z", 0, "lamp")))
		l.settle(fmt.Sprintf("2026-11-20T%02d:00:00Z", 8+cut), rules.Settled{Events: 1}, nil, entries...)
	}
	for range 2 { // two settlers finished each cut
		record(t, conn, l.cuts, l.entries)
	}
	for _, test := range []struct {
		name  string
		sel   announce.Selection
		total []uint64
	}{
		{"1", announce.One(1), []uint64{700}},
		{"2", announce.One(2), []uint64{700}},
		{"3", announce.One(3), []uint64{1600}},
		{"latest", announce.Latest(), []uint64{3000}},
		{"standing", announce.Standing(), []uint64{3000}},
		{"2 to 3", announce.Range(2, 3), []uint64{1600}},
		{"each", announce.Each(2, 4), []uint64{700, 1600, 3000}},
		{"all", announce.All(), []uint64{700, 700, 1600, 3000}},
	} {
		counted := counting{Conn: conn}
		reports, err := announce.Load(t.Context(), &counted, test.sel)
		if err != nil || len(reports) != len(test.total) {
			t.Fatalf("%s: %d reports, %v", test.name, len(reports), err)
		}
		for i, want := range test.total {
			r := &reports[i]
			if r.ConflictsTotal != want || uint64(len(r.Conflicts)) != min(want, 1000) {
				t.Errorf("%s, report %d: %d of %d conflicts, not of %d", test.name, i+1, len(r.Conflicts), r.ConflictsTotal, want)
			}
			for n, c := range r.Conflicts {
				if c.ID != fmt.Sprintf("%05d", n) {
					t.Fatalf("%s, report %d: conflict %d is %s", test.name, i+1, n, c.ID)
				}
			}
		}
		if want, got := pages(t, build(t, &ledger{cuts: l.cuts, entries: l.entries}, test.sel)), pages(t, reports); want != got {
			t.Errorf("%s: %s", test.name, difference(want, got))
		}
		if counted.rows > 1050 {
			t.Errorf("%s: %d rows are read", test.name, counted.rows)
		}
	}
	standing, err := announce.Load(t.Context(), conn, announce.Standing())
	if err != nil {
		t.Fatal(err)
	}
	var md, page bytes.Buffer
	if err := errors.Join(announce.WriteMarkdown(&md, standing), announce.Page{}.WriteHTML(&page, standing)); err != nil {
		t.Fatal(err)
	}
	for form, text := range map[string]string{"Markdown": md.String(), "page": page.String()} {
		if !strings.Contains(text, "and 2,900 more") || !strings.Contains(text, "3,000") || strings.Contains(text, ">00100<") {
			t.Errorf("the %s does not say how many conflicts there are more:\n%s", form, text)
		}
	}
}
