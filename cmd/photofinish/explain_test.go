package main

import (
	"bytes"
	"strings"
	"testing"

	"photofinish/rules"
	"photofinish/settle"
)

// Whoever did not win reads who did, by how much, and what of theirs was in conflict.
func TestExplainText(t *testing.T) {
	at := func(text string) rules.Instant {
		i, err := rules.ParseInstant(text)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	ahead, after, same := int64(2_500_000_000), int64(-1_000_000), int64(0)
	score := rules.Whole(12)
	noon := at("2026-03-01T12:00:00Z")
	for _, test := range []struct {
		c    settle.Case
		want string
	}{
		{
			settle.Case{Needed: 100, Tally: rules.Whole(97), Winners: []settle.Winner{{Place: 1, Subject: "ana", Point: noon, Outcome: "sha256:1"}}},
			"place 1 went to ana at 2026-03-01T12:00:00Z, having all 100, against 97; outcome sha256:1",
		},
		{
			settle.Case{Winners: []settle.Winner{{Place: 1, Subject: "ana", Point: noon, AheadNs: &ahead, Certain: true, Outcome: "sha256:1"}}},
			"place 1 went to ana at 2026-03-01T12:00:00Z, 2.5s before; outcome sha256:1",
		},
		{
			settle.Case{Winners: []settle.Winner{{Place: 2, Subject: "ana", Point: noon, AheadNs: &after, State: rules.Held, Outcome: "sha256:1"}}},
			"place 2 is held for ana at 2026-03-01T12:00:00Z, 1ms after; their intervals overlap; outcome sha256:1",
		},
		{
			settle.Case{Winners: []settle.Winner{{Subject: "a\x1bna", Point: noon, AheadNs: &same, Outcome: "sha256:1"}}},
			`a unit went to "a\x1bna" at 2026-03-01T12:00:00Z, the same instant; their intervals overlap; outcome sha256:1`,
		},
		{
			settle.Case{Tally: rules.Whole(9), Winners: []settle.Winner{{Place: 1, Subject: "ana", Score: &score, Point: noon, Outcome: "sha256:1"}}},
			"place 1 went to ana at 2026-03-01T12:00:00Z, with 12 against 9; outcome sha256:1",
		},
		{
			settle.Case{Conflicts: []settle.Dispute{{Identity: rules.Identity{Server: "eu-1", ID: "e1"}, Players: []string{"ana", "bo"}}}},
			"no event counts\n  conflict: event e1 of server eu-1 came with more than one content, naming ana and bo; the one for this subject does not count",
		},
		{
			settle.Case{Conflicts: []settle.Dispute{{Identity: rules.Identity{Server: "eu-1", ID: "e1"}, Counts: true, Players: []string{"ana"}}}},
			"conflict: event e1 of server eu-1 came with more than one content, naming ana; the one for this subject counts",
		},
	} {
		var out bytes.Buffer
		a := &app{stdout: &out}
		a.printCase(&test.c)
		if !strings.Contains(out.String(), "  "+test.want+"\n") {
			t.Errorf("it says\n%swithout\n%s", &out, test.want)
		}
	}
}

// When something was reached reads as in reports: a whole second is that second, not one
// before and after.
func TestReachedText(t *testing.T) {
	const noon, s = rules.Instant(1_772_366_400e9), rules.Instant(1e9)
	for _, test := range []struct {
		earliest, point, latest rules.Instant
		want                    string
	}{
		{noon, noon, noon + s - 1, "within the second of 2026-03-01T12:00:00Z"},
		{noon, noon, noon, "at 2026-03-01T12:00:00Z"},
		{noon - 12e6, noon, noon + 12e6, "at 2026-03-01T12:00:00Z ± 12ms"},
		{noon - s, noon, noon + 2*s, "between 2026-03-01T11:59:59Z and 2026-03-01T12:00:02Z, likeliest at 2026-03-01T12:00:00Z"},
		{noon, noon + 1, noon + s, "between 2026-03-01T12:00:00Z and 2026-03-01T12:00:01Z, likeliest at 2026-03-01T12:00:00.000000001Z"},
	} {
		if got := reachedText(&rules.Claim{Point: test.point, Earliest: test.earliest, Latest: test.latest}); got != test.want {
			t.Errorf("%q, not %q", got, test.want)
		}
	}
}
