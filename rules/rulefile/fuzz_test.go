package rulefile_test

import (
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

// Whatever the bytes, parsing ends without a panic, twice with the same result: a
// ruleset that has every invariant, or problems in file order with their places.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/rulesets/*.txtar")
	for _, path := range files {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(archive.Files[0].Data)
	}
	samples, _ := filepath.Glob("../../configs/*.yaml")
	for _, path := range samples {
		source, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		before := slices.Clone(source)
		first, err := rulefile.Parse("f", source)
		second, again := rulefile.Parse("f", source)
		if !reflect.DeepEqual(first, second) || fmt.Sprint(err) != fmt.Sprint(again) {
			t.Fatalf("two results:\n%+v %v\n%+v %v", first, err, second, again)
		}
		if !slices.Equal(source, before) {
			t.Fatal("the source was changed")
		}
		if err == nil {
			checkInvariants(t, first)
			return
		}
		refused, ok := err.(*rulefile.Error) //nolint:errorlint // the documented type itself
		if !ok || len(refused.Problems) == 0 || first != nil {
			t.Fatalf("got %+v, %v", first, err)
		}
		for i, p := range refused.Problems {
			if p.Line < 1 || p.Column < 1 || p.Message == "" || strings.Contains(p.String(), "\n") {
				t.Errorf("problem %+v", p)
			}
			if i > 0 && p.Line < refused.Problems[i-1].Line {
				t.Errorf("problem %+v comes after %+v", p, refused.Problems[i-1])
			}
		}
	})
}

// checkInvariants checks what every accepted ruleset promises to those who use it.
func checkInvariants(t *testing.T, s *rules.Ruleset) {
	t.Helper()
	if len(s.Rules) == 0 || len(s.Digest) != len("sha256:")+64 {
		t.Errorf("digest %q, %d rules", s.Digest, len(s.Rules))
	}
	for i := range s.Rules {
		r := &s.Rules[i]
		must := func(holds bool, what string) {
			t.Helper()
			if !holds {
				t.Errorf("rule %q: not %s: %+v", r.ID, what, r)
			}
		}
		one := func(word string, words ...string) bool { return slices.Contains(words, word) }
		must(s.Rule(r.ID) == r, "the only rule of its id")
		must(r.Hold >= 0 && r.Correct >= 0, "waiting from 0")
		must(one(r.Scope, "world", "region", "server"), "in a scope")
		must(one(r.Subject, "player", "guild") && (r.Kind != rules.Sale || r.Subject == "player"), "of a subject")
		must(one(string(r.Measure.Kind), "count", "sum", "distinct") && (r.Measure.Key == "") == (r.Measure.Kind == rules.MeasureCount), "measured")
		must(one(r.OnCorrection, "transfer", "keep") || r.Kind != rules.Sale && r.OnCorrection == "duplicate_award", "corrected")
		must(slices.IsSortedFunc(r.When, func(a, b rules.Condition) int { return strings.Compare(a.Key, b.Key) }), "sorted by key")
		for j, c := range r.When {
			must(j == 0 || r.When[j-1].Key != c.Key, "one condition for each key")
			must(slices.IsSorted(c.AnyOf) && slices.IsSorted(c.Not), "sorted values")
			must(len(c.AnyOf)+len(c.Not) > 0 || c.Gte != nil || c.Lte != nil, "a condition that asks something")
		}
		w := r.Window
		set := 0
		for _, is := range []bool{w.Every != "", w.Schedule != nil, !w.Fixed.Forever()} {
			if is {
				set++
			}
		}
		must(set <= 1 && (w.Cron != "") == (w.Schedule != nil), "one window")
		must(w.Fixed.Forever() || w.Fixed.Opens < w.Fixed.Closes, "a window that opens first")
		_, in := w.At(rules.MinInstant)
		must(in || w.Schedule != nil || !w.Fixed.Forever(), "a window that can be asked")
		must(rulefile.Describe(r) != "" && rulefile.Needs(r) != "", "explained")
		switch r.Kind {
		case rules.WorldFirst:
			must(r.Threshold >= 1 && r.Places >= 1 && one(r.Tie, "share", "earliest", "draw"), "a world_first")
		case rules.Achievement:
			must(r.Threshold >= 1 && r.Places == 0 && r.Tie == "", "an achievement")
		case rules.Leaderboard:
			must(set == 1 && r.Top >= 1 && one(r.Order, "asc", "desc") && one(r.Ranks, "unique", "shared"), "a leaderboard")
			for j, p := range r.Prizes {
				must(1 <= p.From && p.From <= p.To && p.To <= r.Top && p.Item != "", "prizes of the board's places")
				must(j == 0 || r.Prizes[j-1].To < p.From, "prizes apart")
			}
		case rules.Sale:
			must(r.SKU != "" && r.Item != "" && r.Stock >= 0 && r.PerPlayer >= 0 && r.Price.Amount >= 0 && len(r.Price.Currency) >= 3, "a sale")
			must((r.OnLateCharge == "substitute") == (r.Substitute != ""), "a substitute if and only if one is given")
			must(one(r.Tie, "earliest", "draw"), "told apart")
			must(r.Queue != "lottery" || set == 1 && r.Window.Fixed.Closes != rules.MaxInstant, "a lottery that is drawn")
			must(r.ChargeWithin > 0 && one(r.Queue, "arrival", "lottery"), "a queue")
			must(r.Match(&rules.Event{Type: "purchase", SKU: r.SKU, Player: "p"}) || len(r.When) > 2, "of its own purchases")
			must(!r.Match(&rules.Event{Type: "purchase", SKU: r.SKU + "x", Player: "p"}), "of no other purchases")
		default:
			t.Errorf("rule %q: kind %q", r.ID, r.Kind)
		}
	}
}
