package announce_test

import (
	"bytes"
	"strings"
	"testing"

	"photofinish/announce"
	"photofinish/rules"
)

// What waits for a person is in the reports of the cuts that say so, each until the ledger
// says something else of it, and nowhere in what the public gets.
func TestWaiting(t *testing.T) {
	l := history(t)
	change := func(gains string, place int) rules.Change {
		return rules.Change{Place: place, Gains: []string{gains}, Loses: []string{"Ana"}}
	}
	final := at("2026-12-30T09:30:00Z")
	waiting := func(rule, subject string, changes ...rules.Change) rules.Entry {
		w := rules.Waiting{Subject: subject, Changes: changes, Reason: "why"}
		if len(changes) > 0 {
			w.FinalAt = final
		}
		return rules.Entry{Kind: rules.KindWaiting, Rule: rule, Scope: "world", Waiting: &w}
	}
	first := len(l.cuts) + 1
	doubted := award("moth-hunter", "world", 0, rules.Provisional, false, claim("Mo", "2026-12-30T07:00:00Z", 0, "lantern"))
	doubted.Award.Trust = rules.TrustBackdated
	l.settle("2026-12-30T08:00:00Z", rules.Settled{}, nil, doubted, waiting("rabbit-slayer", "", change("Zed", 1)),
		waiting("moth-hunter", "Mo", rules.Change{Keeps: []string{"Mo"}, Item: "torch"}))
	l.settle("2026-12-30T09:00:00Z", rules.Settled{}, nil, waiting("rabbit-slayer", "", change("Zoe", 2)), waiting("moth-hunter", "Mo"))
	reports := build(t, l, announce.All())
	var text bytes.Buffer
	if err := announce.WriteMarkdown(&text, reports[first-1:first]); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{", until 2026-12-30 09:30:00", ", by backdated events", "**Zed** would gain, **Ana** would lose place 1", "**Mo** would keep it with torch"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report of cut %d lacks %q:\n%s", first, want, text.String())
		}
	}
	if said := encoded(t, reports[first-1:first]); !strings.Contains(said, `"place":1,"gains":["Zed"],"keeps":[],"loses":["Ana"]`) {
		t.Errorf("the JSON lacks what waits: %s", said)
	}
	standing := build(t, l, announce.Standing())
	if w := standing[0].Waiting; len(w) != 1 || w[0].Changes[0].Gains[0] != "Zoe" {
		t.Errorf("of all cuts what stands waits once: %+v", w)
	}
	l.settle("2026-12-30T10:00:00Z", rules.Settled{}, nil)
	if w := build(t, l, announce.Standing())[0].Waiting; len(w) != 0 {
		t.Errorf("what is final waits still: %+v", w)
	}
	var public []announce.Report
	for i := range reports {
		public = append(public, announce.Public(&reports[i]))
	}
	for _, name := range []string{"Zed", "Zoe", "torch", rules.TrustBackdated} {
		if strings.Contains(forms(t, public), name) {
			t.Errorf("the public reads of %s", name)
		}
	}
}
