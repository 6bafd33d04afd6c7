package announce_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"photofinish/announce"
	"photofinish/rules"
	"photofinish/rules/rulefile"
)

// forms writes reports in every form that the public gets.
func forms(t *testing.T, reports []announce.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := announce.WriteAllJSON(&b, reports); err != nil {
		t.Fatal(err)
	}
	for i := range reports {
		if err := (announce.Page{}).WriteHTML(&b, reports[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := announce.WriteMarkdown(&b, reports); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// In public, buyers are initials, who was told no is not there, and no digest is there
// that names could be tried on. Everything else is as it was, in the report that it was
// made from too.
func TestPublic(t *testing.T) {
	l := history(t)
	for _, selection := range []announce.Selection{announce.Standing(), announce.All()} {
		whole := build(t, l, selection)
		before := encoded(t, whole)
		var public []announce.Report
		for i := range whole {
			public = append(public, announce.Public(&whole[i]))
		}
		if encoded(t, whole) != before {
			t.Error("the report was changed")
		}
		text := forms(t, public)
		for i := range l.entries {
			e := &l.entries[i]
			sale := e.Allocation != nil || e.Rule == "celestial-mount"
			if (e.Correction != nil || e.Compensation != nil || e.Allocation != nil) && sale && strings.Contains(text, e.ID) {
				t.Errorf("the digest of entry %d of cut %d is there", e.N, e.Cut)
			}
		}
		for _, name := range []string{"Flo", `"Ed"`, ">Ed<"} {
			if strings.Contains(text, name) {
				t.Errorf("%s was told no, and is named", name)
			}
		}
		for i := range public {
			for _, s := range public[i].Sales {
				for _, a := range s.Attempts {
					if len(a.Player) > 2 || !strings.HasSuffix(a.Player, ".") || a.ID != "" || a.Server != "" || a.State != rules.Reserved {
						t.Errorf("an attempt of %s is shown as %+v", s.Rule, a)
					}
				}
			}
			if a, b := encoded(t, public[i].Awards), encoded(t, whole[i].Awards); a != b {
				t.Error("the awards are not as they were")
			}
			if len(public[i].Corrections) != len(whole[i].Corrections) || len(public[i].Compensations) != len(whole[i].Compensations) {
				t.Error("corrections or compensations are missing")
			}
		}
	}
	// A rule that cannot be read any more may have been a sale.
	l.rulesets = nil
	whole := build(t, l, announce.One(3))
	public := announce.Public(&whole[0])
	for _, c := range public.Corrections {
		if c.Subject != "" || c.Outcome != "" {
			t.Errorf("of an unknown rule: %+v", c)
		}
	}
}

// Who runs the nodes is not told of in public, and of what was sent twice how often it was
// alone: the identity may be a purchase's.
func TestPublicTellsNoNodesNorConflicts(t *testing.T) {
	l := history(t)
	told := false
	for _, selection := range []announce.Selection{announce.Standing(), announce.All()} {
		whole := build(t, l, selection)
		for i := range whole {
			whole[i].Cut.Behind = []rules.Tally{{Name: "node-of-the-cellar", Count: 7}}
			public := announce.Public(&whole[i])
			if text := forms(t, []announce.Report{public}); strings.Contains(text, "cellar") || len(whole[i].Cut.Behind) != 1 {
				t.Errorf("a node is named, or missing in the report itself:\n%s", text)
			}
			if len(public.Conflicts) > 0 || public.ConflictsTotal != uint64(len(whole[i].Conflicts)) {
				t.Errorf("of %d conflicts public are %v and the number %d", len(whole[i].Conflicts), public.Conflicts, public.ConflictsTotal)
			}
			if public.ConflictsTotal == 0 {
				continue
			}
			told = true
			text := forms(t, []announce.Report{public})
			if !strings.Contains(text, "Conflicts</h2>") || !strings.Contains(text, "## Conflicts") || strings.Count(text, "not public") != 2 {
				t.Errorf("the conflicts are not told of:\n%s", text)
			}
		}
	}
	if !told {
		t.Error("the history has no conflict")
	}
}

// A rule may name its buyers to everybody, or to nobody; who was told no is not named either
// way, and the counts stay.
func TestBuyers(t *testing.T) {
	for buyers, want := range map[string]int{rules.BuyersPublic: 3, rules.BuyersHidden: 0} {
		l := history(t)
		for _, set := range l.rulesets {
			set.Rule("celestial-mount").Buyers = buyers
		}
		whole := build(t, l, announce.Standing())
		public := announce.Public(&whole[0])
		text := forms(t, []announce.Report{public})
		i := slices.IndexFunc(public.Sales, func(s announce.Sale) bool { return s.Rule == "celestial-mount" })
		if n := len(public.Sales[i].Attempts); n != want || public.Sales[i].Sold != whole[0].Sales[i].Sold {
			t.Errorf("buyers: %s shows %d attempts and %d sold", buyers, n, public.Sales[i].Sold)
		}
		for _, a := range public.Sales[i].Attempts {
			if a.ID != "" || a.Server != "" || a.Outcome != "" || !slices.Contains([]string{"Ana", "Bo", "Di"}, a.Player) {
				t.Errorf("buyers: %s shows %+v", buyers, a)
			}
		}
		for _, name := range []string{"Flo", `"Ed"`, ">Ed<"} {
			if strings.Contains(text, name) {
				t.Errorf("buyers: %s names %s, who was told no", buyers, name)
			}
		}
		if buyers == rules.BuyersHidden {
			for _, c := range public.Corrections {
				if c.Rule == "celestial-mount" && len(c.Gains)+len(c.Keeps) > 0 || strings.Contains(text, ">D.<") {
					t.Errorf("buyers: hidden tells of %+v", c)
				}
			}
		}
	}
}

// Initials of names as they occur, and of what is hardly a name.
func TestInitials(t *testing.T) {
	for name, want := range map[string]string{
		"Kyle": "K.", "Ana Maria Lopez": "A. M.", "STEAM_1:0:1234": "S.", "BOT:Kyle": "B.", "  zoë  müller ": "z. m.",
		"<b>fox": "b.", "\u202e!!": "?", "": "?", "玉 犬": "玉. 犬.", "__ x": "x.", "42": "4.",
	} {
		if got := announce.Initials(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// Each gives one report for each of the cuts that it names.
func TestEach(t *testing.T) {
	l := history(t)
	all, some := build(t, l, announce.All()), build(t, l, announce.Each(2, 3))
	if len(some) != 2 || encoded(t, some) != encoded(t, all[1:3]) {
		t.Error("the reports of cuts 2 and 3 are not those of all")
	}
}

// A settlement is shown by the rules that it was settled by, whichever settlements it is read
// with: who bought under a rule that hides buyers stays hidden when a later one does not.
func TestPublicIsByTheRulesOfTheCut(t *testing.T) {
	l := history(t)
	hidden, err := rulefile.Parse("rules.yaml", []byte(strings.ReplaceAll(rulesFile, "    sku: arrows\n", "    sku: arrows\n    buyers: hidden\n")))
	if err != nil {
		t.Fatal(err)
	}
	open, err := rulefile.Parse("rules.yaml", []byte(strings.ReplaceAll(rulesFile, "    sku: arrows\n", "    sku: arrows\n    buyers: public\n")))
	if err != nil {
		t.Fatal(err)
	}
	l.rulesets = []*rules.Ruleset{hidden, open}
	for i := range l.cuts {
		l.cuts[i].Ruleset = open.Digest
	}
	l.cuts[0].Ruleset = hidden.Digest
	alone, together := build(t, l, announce.One(1)), build(t, l, announce.Each(1, 2))
	for name, r := range map[string]*announce.Report{"alone": &alone[0], "with a later one": &together[0]} {
		public := announce.Public(r)
		if n := len(public.Sales[0].Attempts); public.Sales[0].Rule != "arrows" || n != 0 {
			t.Errorf("%s, %d buyers of a sale that hides them are shown: %+v", name, n, public.Sales[0])
		}
	}
	if later := announce.Public(&together[1]); len(later.Sales[0].Attempts) == 0 {
		t.Errorf("the later one shows no buyers: %+v", later.Sales[0])
	}
}
