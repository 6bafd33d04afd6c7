package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/rules"
	"photofinish/rules/rulefile"
	"photofinish/settle/ledger"
)

func TestMain(m *testing.M) { clickhousetest.Main(m) }

func open(t *testing.T) (driver.Conn, *ledger.Store) {
	t.Helper()
	conn := clickhousetest.New(t)
	if err := ledger.Migrate(context.Background(), conn); err != nil {
		t.Fatal(err)
	}
	return conn, ledger.New(conn)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func cut(number uint64, through rules.Instant) *rules.Cut {
	return &rules.Cut{Number: number, Kind: rules.HourCut, Through: through, AsOf: through, Nodes: []rules.NodeLine{{Node: "a", Offset: 10 * number}}}
}

func settled(number uint64, previous string) []rules.Entry {
	c := cut(number, rules.Instant(100*number))
	conflict := rules.Entry{Kind: rules.KindConflict, Conflict: &rules.Conflict{Identity: rules.Identity{Server: "s", ID: fmt.Sprint(number)}}}
	return rules.Seal(number, []rules.Entry{conflict}, rules.Settled{Previous: previous, Record: c.Digest()})
}

// The first candidate is the cut, whatever comes later and however parts are merged.
func TestFirstCandidateIsTheCut(t *testing.T) {
	ctx := context.Background()
	conn, s := open(t)
	for i := range 5 {
		got, err := s.Propose(ctx, cut(1, rules.Instant(100+i)))
		must(t, err)
		if got.Through != 100 {
			t.Fatalf("candidate %d made the cut %d", i, got.Through)
		}
	}
	must(t, conn.Exec(ctx, "OPTIMIZE TABLE cuts FINAL"))
	cuts, err := s.Cuts(ctx, 1, 9)
	must(t, err)
	if len(cuts) != 1 || cuts[0].Through != 100 {
		t.Fatalf("after a merge the cuts are %v", cuts)
	}
}

// A cut that is missing between others is named.
func TestMissingCut(t *testing.T) {
	ctx := context.Background()
	_, s := open(t)
	for _, n := range []uint64{1, 3} {
		if _, err := s.Propose(ctx, cut(n, rules.Instant(100*n))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Cuts(ctx, 1, 3); err == nil || !strings.Contains(err.Error(), "cut 2 is missing") {
		t.Fatalf("the error is %v", err)
	}
}

// Entries that are appended twice stand once; others for the same cut are an error that
// names both, and stop whoever comes next.
func TestAppend(t *testing.T) {
	ctx := context.Background()
	conn, s := open(t)
	entries := settled(1, "")
	_, err := s.Propose(ctx, cut(1, 100))
	must(t, err)
	for range 2 {
		must(t, s.Append(ctx, 1, entries))
	}
	got, err := s.Entries(ctx, 1)
	must(t, err)
	if len(got) != 2 || got[0].ID != entries[0].ID || got[1].ID != entries[1].ID {
		t.Fatalf("the ledger holds %v", got)
	}
	last, err := s.Last(ctx)
	must(t, err)
	if last.Cut.Number != 1 || last.ID != entries[1].ID || last.Next != nil {
		t.Fatalf("the last cut is %+v", last)
	}
	others := settled(1, "another")
	var mismatch *ledger.MismatchError
	if err := s.Append(ctx, 1, others); !errors.As(err, &mismatch) || mismatch.Cut != 1 {
		t.Fatalf("appending other entries gives %v", err)
	}
	if _, err := ledger.New(conn).Last(ctx); !errors.As(err, &mismatch) {
		t.Fatalf("a ledger in two versions gives %v", err)
	}
}

// A cut that is recorded and not settled comes next.
func TestNext(t *testing.T) {
	ctx := context.Background()
	_, s := open(t)
	if last, err := s.Last(ctx); err != nil || last.Cut.Number != 0 || last.Next != nil {
		t.Fatalf("an empty ledger: %+v, %v", last, err)
	}
	for n := range uint64(2) {
		if _, err := s.Propose(ctx, cut(n+1, rules.Instant(100*(n+1)))); err != nil {
			t.Fatal(err)
		}
		last, err := s.Last(ctx)
		must(t, err)
		if last.Cut.Number != n || last.Next == nil || last.Next.Number != n+1 {
			t.Fatalf("after cut %d is recorded: %+v", n+1, last)
		}
		must(t, s.Append(ctx, n+1, settled(n+1, last.ID)))
	}
}

// The first secret is used for ever, whatever others propose.
func TestSecret(t *testing.T) {
	ctx := context.Background()
	conn, s := open(t)
	for i := range 3 {
		got, err := s.Secret(ctx, func() (string, error) { return fmt.Sprint("secret ", i), nil })
		if err != nil || got != "secret 0" {
			t.Fatalf("the secret is %q, %v", got, err)
		}
	}
	must(t, conn.Exec(ctx, "INSERT INTO secrets VALUES ('a later one')"))
	must(t, conn.Exec(ctx, "OPTIMIZE TABLE secrets FINAL"))
	if got, err := s.Secret(ctx, nil); err != nil || got != "secret 0" {
		t.Fatalf("after a race the secret is %q, %v", got, err)
	}
}

// A ruleset is kept once, and one that was changed is not used.
func TestRuleset(t *testing.T) {
	ctx := context.Background()
	conn, s := open(t)
	source := "version: 1\nrules:\n  - {id: a, kind: achievement, when: {type: kill}, threshold: 1, prize: {item: hat}}\n"
	set, err := rulefile.Parse("a.yaml", []byte(source))
	must(t, err)
	for range 2 {
		must(t, s.KeepRuleset(ctx, set))
	}
	var n uint64
	must(t, conn.QueryRow(ctx, "SELECT count() FROM rulesets").Scan(&n))
	got, err := s.Ruleset(ctx, set.Digest)
	if err != nil || n != 1 || got.Digest != set.Digest {
		t.Fatalf("%d rulesets are kept, %v, %v", n, got, err)
	}
	if _, err := s.Ruleset(ctx, "none"); err == nil || !strings.Contains(err.Error(), "is not recorded") {
		t.Fatalf("a ruleset that nobody kept gives %v", err)
	}
	must(t, conn.Exec(ctx, "TRUNCATE TABLE rulesets"))
	must(t, conn.Exec(ctx, "INSERT INTO rulesets VALUES ('"+set.Digest+"', 'version: 1\nrules: []\n')"))
	if _, err := s.Ruleset(ctx, set.Digest); err == nil {
		t.Fatal("a changed ruleset is used")
	}
}

// The first cut that holds a row is found by both its bounds, and what lies in a line's
// lost rows is in none.
func TestCutOf(t *testing.T) {
	ctx := context.Background()
	conn, s := open(t)
	for n := range uint64(4) {
		if _, err := s.Propose(ctx, cut(n+1, rules.Instant(100*(n+1)))); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		offset  uint64
		instant rules.Instant
		want    uint64
	}{{1, 5, 1}, {10, 99, 1}, {10, 100, 2}, {11, 5, 2}, {40, 5, 4}, {1, 399, 4}} {
		got, err := s.CutOf(ctx, "a", test.offset, test.instant)
		if err != nil || got != test.want {
			t.Errorf("offset %d at %d is in cut %d, %v, not %d", test.offset, test.instant, got, err, test.want)
		}
	}
	if got, err := s.CutOf(ctx, "a", 41, 5); err == nil {
		t.Errorf("a row beyond every cut is in cut %d", got)
	}
	// What is recorded later is learnt when it is asked for.
	body, err := json.Marshal(cut(5, 500))
	must(t, err)
	must(t, conn.Exec(ctx, "INSERT INTO cuts (number, through_ns, body) VALUES (5, 500, '"+string(body)+"')"))
	if got, err := s.CutOf(ctx, "a", 41, 5); err != nil || got != 5 {
		t.Errorf("offset 41 is in cut %d, %v, not 5", got, err)
	}
}

// What is announced, paid or decided from must outlive a power cut.
func TestEverythingIsWrittenForGood(t *testing.T) {
	conn, _ := open(t)
	rows, err := conn.Query(context.Background(), "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'")
	must(t, err)
	defer rows.Close()
	n := 0
	for rows.Next() {
		var name, create string
		must(t, rows.Scan(&name, &create))
		n++
		for _, setting := range []string{"fsync_after_insert = 1", "fsync_part_directory = 1", "min_rows_to_fsync_after_merge = 1", "min_compressed_bytes_to_fsync_after_merge = 1"} {
			if !strings.Contains(create, setting) {
				t.Errorf("table %s has no %s", name, setting)
			}
		}
	}
	must(t, rows.Err())
	if n != 4 {
		t.Errorf("%d tables were looked at", n)
	}
}
