package rulefile_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"photofinish/rules"
	"photofinish/rules/rulefile"
)

var update = flag.Bool("update", false, "write what the tests found into their files; review the difference")

// Every file of testdata/rulesets is a rules file with what must come of it: the
// errors, in order and with their places, or the explanation of each rule.
func TestRulesetFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/rulesets/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no ruleset files: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			source := archive.Files[0].Data
			got := txtar.File{Name: "errors"}
			ruleset, err := rulefile.Parse("rules.yaml", source)
			if err != nil {
				got.Data = []byte(err.Error() + "\n")
			} else {
				got = txtar.File{Name: "explain", Data: []byte(explain(ruleset))}
			}
			if *update {
				archive.Files = []txtar.File{archive.Files[0], got}
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(archive.Files) != 2 {
				t.Fatalf("%s has %d parts, want 2; run with -update", path, len(archive.Files))
			}
			want := archive.Files[1]
			if got.Name != want.Name || string(got.Data) != string(want.Data) {
				t.Errorf("got %s:\n%s\nwant %s:\n%s", got.Name, got.Data, want.Name, want.Data)
			}
		})
	}
}

func explain(ruleset *rules.Ruleset) string {
	var b strings.Builder
	for i := range ruleset.Rules {
		r := &ruleset.Rules[i]
		fmt.Fprintf(&b, "%s\n  %s\n  %s\n", r.ID, rulefile.Describe(r), rulefile.Needs(r))
	}
	return b.String()
}

// The sample rules that ship with the program parse.
func TestSampleRulesets(t *testing.T) {
	for _, path := range []string{"counter-strike.yaml", "rabbits.yaml"} {
		source, err := os.ReadFile(filepath.Join("..", "..", "configs", path))
		if err != nil {
			t.Fatal(err)
		}
		ruleset, err := rulefile.Parse(path, source)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		checkInvariants(t, ruleset)
	}
}

// A value without quotes is taken as written: attrs.headshot: true matches "true".
func TestScalarsAreTheirText(t *testing.T) {
	ruleset, err := rulefile.Parse("", []byte(`
version: 1
rules:
  - id: a
    kind: achievement
    threshold: 1
    when: {attrs.a: true, attrs.b: 5, attrs.c: 1.50, attrs.d: [010, yes, 0x1F], attrs.e: "", attrs.f: {not: [No, .inf]}}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []rules.Condition{
		{Key: "attrs.a", AnyOf: []string{"true"}},
		{Key: "attrs.b", AnyOf: []string{"5"}},
		{Key: "attrs.c", AnyOf: []string{"1.50"}},
		{Key: "attrs.d", AnyOf: []string{"010", "0x1F", "yes"}},
		{Key: "attrs.e", AnyOf: []string{""}},
		{Key: "attrs.f", Not: []string{".inf", "No"}},
	}
	if got := ruleset.Rules[0].When; !reflect.DeepEqual(got, want) {
		t.Errorf("when = %+v, want %+v", got, want)
	}
	event := rules.Event{Player: "p", Attrs: map[string]string{"a": "true", "b": "5", "c": "1.50", "d": "yes", "f": "Yes"}}
	if !ruleset.Rules[0].Match(&event) {
		t.Error("the event that says the same texts does not match")
	}
}

// What a file leaves out is filled in, and fields of other kinds stay zero.
func TestDefaults(t *testing.T) {
	ruleset, err := rulefile.Parse("", []byte(`
version: 1
rules:
  - {id: first, kind: world_first, threshold: 1}
  - {id: each, kind: achievement, threshold: 1}
  - {id: board, kind: leaderboard, window: {every: day}}
  - {id: sale, kind: sale, sku: mount, price: {amount: 0, currency: USD}, when: {region: eu}}
`))
	if err != nil {
		t.Fatal(err)
	}
	base := rules.Rule{
		Subject: rules.SubjectPlayer, Scope: rules.ScopeWorld, Measure: rules.Measure{Kind: rules.MeasureCount},
		Hold: rules.DefaultHold, Correct: rules.DefaultCorrect, OnCorrection: rules.DuplicateAward, Trust: rules.TrustPerson,
	}
	first, each, board, sale := base, base, base, base
	first.ID, first.Kind, first.Threshold, first.Places, first.Tie = "first", rules.WorldFirst, 1, 1, rules.TieShare
	each.ID, each.Kind, each.Threshold = "each", rules.Achievement, 1
	board.ID, board.Kind, board.Window = "board", rules.Leaderboard, rules.WindowSpec{Every: rules.Day}
	board.Top, board.Order, board.Ranks = rules.DefaultTop, rules.OrderDesc, rules.RanksUnique
	sale.ID, sale.Kind, sale.SKU, sale.Item, sale.OnCorrection = "sale", rules.Sale, "mount", "mount", rules.Transfer
	sale.Price = rules.Money{Currency: "USD"}
	sale.When = []rules.Condition{
		{Key: "region", AnyOf: []string{"eu"}}, {Key: "sku", AnyOf: []string{"mount"}}, {Key: "type", AnyOf: []string{"purchase"}},
	}
	sale.Hold, sale.Tie = 0, rules.TieEarliest
	sale.Queue, sale.ChargeWithin, sale.OnLateCharge, sale.Buyers = rules.QueueArrival, 15*60*1e9, rules.LateRefund, rules.BuyersInitials
	for i, want := range []rules.Rule{first, each, board, sale} {
		if got := ruleset.Rules[i]; !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

// The limits of the whole file, from both sides.
func TestFileLimits(t *testing.T) {
	const head = "version: 1\nrules:\n"
	var many strings.Builder
	for i := range rulefile.MaxRules {
		fmt.Fprintf(&many, "  - {id: r%d, kind: achievement, threshold: 1}\n", i)
	}
	full := head + many.String()
	mapping := head + "  - {id: a, kind: achievement, threshold: 1, prize: {by_attr: class, items: {%s}}}\n"
	for _, test := range []struct{ name, source, want string }{
		{"most rules", full, ""},
		{"a rule too many", full + "  - {id: more, kind: achievement, threshold: 1}\n", `3:3: rules: must have at most 1000 rules, has 1001`},
		{"most bytes", full + strings.Repeat("#", rulefile.MaxBytes-len(full)), ""},
		{"a byte too many", full + strings.Repeat("#", rulefile.MaxBytes-len(full)+1), "1:1: a rules file may have 1048576 bytes, this one has 1048577"},
		{"empty", "", "1:1: the file is empty: a rules file has version and rules"},
		{"a comment", "# to do\n", "1:1: the file is empty: a rules file has version and rules"},
		{"not UTF-8", "version: 1\nrulés: \xff", "2:8: is not UTF-8 text"},
		{"control character", "version: 1\x00", "1:11: has a control character"},
		{"byte order mark", "\ufeffversion: 1", "1:1: has a byte order mark; save the file as UTF-8 without it"},
		{"old line ends", "version: 1\rrules:", "1:11: has a carriage return inside a line"},
		{"deep brackets", strings.Repeat("[", 100_000), "1:21: is nested too deeply, or one mapping or list has over 2000 entries, or the file over 5000 keys"},
		{"deep dashes", strings.Repeat("- ", 100_000), "1:21: is nested too deeply, or one mapping or list has over 2000 entries, or the file over 5000 keys"},
		{"deep lines", "a:\n" + strings.Repeat(" ", 100) + "b: 1", "2:101: is nested too deeply, or one mapping or list has over 2000 entries, or the file over 5000 keys"},
		{"deep, but not too deep", "version: 1\nrules: " + strings.Repeat("[", 20) + strings.Repeat("]", 20), `rule 1: must be a mapping with id, kind and so on, is a list`},
		{"wide", strings.Repeat("a: 1\n", 2001), "2001:2: is nested too deeply, or one mapping or list has over 2000 entries, or the file over 5000 keys"},
		{"a second document after the first's end", "version: 1\n...\nversion: 1\n", "3:1: a rules file is one YAML document; here begins another"},
		// These took the YAML reader minutes.
		{"many documents", strings.Repeat("--- a\n", 100_000), "2:1: a rules file is one YAML document; here begins another"},
		{"many texts", strings.Repeat("\"a\" ", 100_000), "1:5: is not YAML: value is not allowed in this context"},
		{"many keys without values", strings.Repeat("? a\n", 100_000), "2001:1: is nested too deeply, or one mapping or list has over 2000 entries, or the file over 5000 keys"},
		{"most keys", keys(5000), ""},
		{"a key too many", keys(5001), "is nested too deeply, or one mapping or list has over 2000 entries, or the file over 5000 keys"},
		{"many items", fmt.Sprintf(mapping, wide(500)), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := rulefile.Parse("", []byte(test.source))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.want && (test.want == "" || !strings.HasSuffix(got, test.want)) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// keys returns a rules file of so many keys.
func keys(n int) string {
	var b strings.Builder
	b.WriteString("version: 1\nrules:\n")
	for i := 0; n > 4000; i++ { // 1003 keys at a time
		fmt.Fprintf(&b, "  - {id: r%d, kind: achievement, threshold: 1, prize: {by_attr: class, items: {%s}}}\n", i, wide(994))
		n -= 1000
	}
	fmt.Fprintf(&b, "  - {id: rest, kind: achievement, threshold: 1, prize: {by_attr: class, items: {%s}}}\n", wide(n-8))
	return b.String()
}

func wide(n int) string {
	entries := make([]string, n)
	for i := range entries {
		entries[i] = fmt.Sprintf("class%d: item", i)
	}
	return strings.Join(entries, ", ")
}

// What makes an award final as soon as it is given, and what a sale does not do yet, is
// said, and refuses nothing.
func TestWarnings(t *testing.T) {
	ruleset, err := rulefile.Parse("", []byte(`
version: 1
rules:
  - {id: short, kind: world_first, threshold: 1, hold: 6h, correct: 7h1m59s}
  - {id: enough, kind: world_first, threshold: 1, hold: 6h, correct: 7h2m}
  - {id: never, kind: leaderboard, window: {every: day}, hold: 0, correct: 0}
  - {id: monotone, kind: achievement, threshold: 1, hold: 6h, correct: 62m}
  - {id: hasty, kind: achievement, threshold: 1, hold: 6h, correct: 61m}
  - {id: free, kind: sale, sku: a, price: {amount: 0, currency: USD}}
  - {id: paid, kind: sale, sku: b, price: {amount: 1, currency: USD}}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`rule "short": correct (7h1m59s) is less than hold (6h) + 1h2m, the time to the next settlement: what is decided may be final as soon as it is given`,
		`rule "never": correct (0s) is less than hold (0s) + 1h2m, the time to the next settlement: what is decided may be final as soon as it is given`,
		`rule "hasty": correct (1h1m) is less than 1h2m, the time to the next settlement: what is decided may be final as soon as it is given`,
		`rule "free": nothing is delivered yet: an attempt that gets a unit is recorded as reserved`,
		`rule "paid": nothing is charged or delivered yet: an attempt that gets a unit is recorded as reserved; charge_within, on_late_charge and substitute do nothing`,
	}
	if got := rulefile.Warnings(ruleset); !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// Windows line ends change the digest, since it is of the bytes, but no rule.
func TestLineEnds(t *testing.T) {
	const source = "version: 1\nrules:\n  - id: a\n    kind: achievement\n    title: A title\n    threshold: 5\n"
	unix, err := rulefile.Parse("", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	windows, err := rulefile.Parse("", []byte(strings.ReplaceAll(source, "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(unix.Rules, windows.Rules) || unix.Digest == windows.Digest {
		t.Errorf("got %+v and %+v", unix, windows)
	}
}

// The error carries each problem in parts, for those who do not read its text.
func TestError(t *testing.T) {
	_, err := rulefile.Parse("slayers.yaml", []byte(
		"version: 1\nrules:\n  - id: rabbit-slayer\n    kind: world_first\n    threshold: ten\n"))
	var refused *rulefile.Error
	if !errors.As(err, &refused) {
		t.Fatalf("got %v, want a *rulefile.Error", err)
	}
	want := []rulefile.Problem{{Line: 5, Column: 16, Rule: "rabbit-slayer", Field: "threshold", Message: `must be a whole number from 1, is "ten"`}}
	if !reflect.DeepEqual(refused.Problems, want) {
		t.Errorf("got %+v, want %+v", refused.Problems, want)
	}
	if got, want := err.Error(), `slayers.yaml:5:16: rule "rabbit-slayer": threshold: must be a whole number from 1, is "ten"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
