package settle_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/rules"
	"photofinish/rules/rulefile"
	"photofinish/settle"
)

const explainedRules = `version: 1
rules:
  - {id: two, kind: world_first, when: {type: kill, target: rabbit}, threshold: 2, prize: {item: carrot}}
  - {id: one-fox, kind: world_first, when: {type: kill, target: fox}, threshold: 1}
  - {id: any, kind: achievement, when: {type: kill}, threshold: 1}
  - {id: most, kind: leaderboard, when: {type: kill, target: rabbit}, window: {every: day}, top: 2}
  - {id: mount, kind: sale, sku: mount, stock: 2, price: {amount: 0, currency: USD}}
`

const explainedLog = `{"id":"a1","type":"kill","at":"2026-03-01T10:00:00Z","player":"ana","target":"rabbit"}
{"id":"a2","type":"kill","at":"2026-03-01T10:00:05Z","player":"ana","target":"rabbit"}
{"id":"a3","type":"kill","at":"2026-03-01T12:00:00Z","player":"ana","target":"rabbit"}
{"id":"b1","type":"kill","at":"2026-03-01T10:00:01Z","player":"bo","target":"rabbit"}
{"id":"b2","type":"kill","at":"2026-03-01T10:00:07.5Z","player":"bo","target":"rabbit"}
{"id":"c1","type":"kill","at":"2026-03-01T10:00:02Z","player":"cy","target":"rabbit"}
{"id":"f1","type":"kill","at":"2026-03-01T11:00:00Z","player":"ana","target":"fox"}
{"id":"p1","type":"purchase","at":"2026-03-01T13:00:00Z","player":"ana","sku":"mount"}
{"id":"p2","type":"purchase","at":"2026-03-01T13:00:01Z","player":"bo","sku":"mount"}
{"id":"p3","type":"purchase","at":"2026-03-01T13:00:02Z","player":"cy","sku":"mount"}
`

// Who did not win is told who did and by how much, or how much was missing; and where an
// event of theirs came with other content, that it did, whom that names, and which counts.
func TestExplainWhoDidNotWin(t *testing.T) {
	w := newWorld(t, clickhousetest.New(t))
	set, err := rulefile.Parse("rules.yaml", []byte(explainedRules))
	if err != nil {
		t.Fatal(err)
	}
	w.set = set
	dir := t.TempDir()
	for i, text := range []string{explainedLog, `{"id":"f1","type":"kill","at":"2026-03-01T11:00:00Z","player":"bo","target":"fox"}` + "\n"} {
		path := filepath.Join(dir, fmt.Sprintf("%d.ndjson", i))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w.importLogs("n", path)
	}
	through, err := rules.ParseInstant("2026-03-02T00:00:00Z")
	if err != nil {
		t.Fatal(err)
	}
	w.run(settle.Config{}, through)
	s, err := settle.New(w.conn, quiet(), settle.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		rule, subject string
		events        int
		winners       string // place subject ahead certain
		conflicts     string // id counts players
	}{
		{"two", "ana", 3, "", ""},
		{"two", "bo", 2, "1 ana 2500000000 true", ""},
		{"two", "cy", 1, "1 ana - false", ""},
		{"one-fox", "ana", 1, "", "f1 true [ana bo]"},
		{"one-fox", "bo", 0, "1 ana - false", "f1 false [ana bo]"},
		{"any", "bo", 2, "", "f1 false [ana bo]"},
		{"most", "ana", 3, "", ""},
		{"most", "bo", 2, "1 ana - false", ""},
		{"most", "cy", 1, "1 ana - false, 2 bo - false", ""},
		{"mount", "bo", 1, "", ""},
		{"mount", "cy", 1, "0 ana 2000000000 true, 0 bo 1000000000 true", ""},
	} {
		x, err := s.Explain(t.Context(), test.rule, test.subject)
		if err != nil || len(x.Contests) != 1 {
			t.Errorf("%s, %s: %+v, %v", test.rule, test.subject, x, err)
			continue
		}
		c := x.Contests[0]
		var winners, conflicts []string
		for _, w := range c.Winners {
			ahead := "-"
			if w.AheadNs != nil {
				ahead = fmt.Sprint(*w.AheadNs)
			}
			winners = append(winners, fmt.Sprint(w.Place, " ", w.Subject, " ", ahead, " ", w.Certain))
		}
		for _, d := range c.Conflicts {
			conflicts = append(conflicts, fmt.Sprint(d.ID, " ", d.Counts, " ", d.Players))
		}
		if got := strings.Join(winners, ", "); got != test.winners || c.Events != test.events {
			t.Errorf("%s, %s: of %d events, instead won %q, not %q", test.rule, test.subject, c.Events, got, test.winners)
		}
		if got := strings.Join(conflicts, ", "); got != test.conflicts || c.Conflicts == nil {
			t.Errorf("%s, %s: the conflicts are %q, not %q", test.rule, test.subject, got, test.conflicts)
		}
	}
	if _, err := s.Explain(t.Context(), "two", "nobody"); !errors.Is(err, settle.ErrUnknown) {
		t.Errorf("of nobody: %v", err)
	}
}
