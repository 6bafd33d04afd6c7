package announce_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"photofinish/announce"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not as it was; look at the difference, then run with -update\n%s", path, difference(string(want), string(got)))
	}
}

// difference shows the first line that differs.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return "want: " + w[i] + "\ngot:  " + g[i]
		}
	}
	return "one ends before the other"
}

func build(t testing.TB, l *ledger, sel announce.Selection) []announce.Report {
	t.Helper()
	reports, err := announce.Build(l.cuts, l.entries, l.rulesets, sel)
	if err != nil {
		t.Fatal(err)
	}
	return reports
}

// Every form of a report stays as it is, byte for byte, until somebody means to
// change it.
func TestGolden(t *testing.T) {
	l := history(t)
	for _, c := range []struct {
		name string
		sel  announce.Selection
	}{
		{"held", announce.One(1)},
		{"given", announce.One(2)},
		{"corrected", announce.One(3)},
		{"empty", announce.One(4)},
		{"nasty", announce.One(5)},
		{"range", announce.Range(1, 3)},
		{"standing", announce.Standing()},
		{"all", announce.All()},
	} {
		t.Run(c.name, func(t *testing.T) {
			reports := build(t, l, c.sel)
			var md, page, doc bytes.Buffer
			if err := announce.WriteMarkdown(&md, reports); err != nil {
				t.Fatal(err)
			}
			golden(t, c.name+".md", md.Bytes())
			if err := (announce.Page{}).WriteHTML(&page, reports); err != nil {
				t.Fatal(err)
			}
			golden(t, c.name+".html", page.Bytes())
			write := func() error { return announce.WriteJSON(&doc, &reports[0]) }
			if len(reports) > 1 {
				write = func() error { return announce.WriteAllJSON(&doc, reports) }
			}
			if err := write(); err != nil {
				t.Fatal(err)
			}
			golden(t, c.name+".json", doc.Bytes())
			for _, p := range announce.Pictures(&reports[0]) {
				if !strings.Contains(md.String(), "("+p.Name+")") {
					t.Errorf("the Markdown does not refer to %s", p.Name)
				}
				golden(t, p.Name, p.SVG)
			}
		})
	}
}

// On a screen as narrow as a phone's every table is shown as lines that wrap: none is wider
// than the screen, the index of many reports included.
func TestTablesWrap(t *testing.T) {
	var b bytes.Buffer
	if err := (announce.Page{}).WriteHTML(&b, build(t, history(t), announce.All())); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	tables := strings.Count(page, "<table")
	if wrap := strings.Count(page, `<table class="rows`); tables < 4 || wrap != tables || !strings.Contains(page, `<table class="rows index">`) {
		t.Errorf("%d of %d tables wrap", wrap, tables)
	}
	_, narrow, _ := strings.Cut(page, "@media (max-width:56rem){")
	if narrow, _, _ = strings.Cut(narrow, "\n}\n"); !strings.Contains(narrow, "table.rows tr{display:flex;flex-wrap:wrap") {
		t.Errorf("on a narrow screen rows are %s", narrow)
	}
}
