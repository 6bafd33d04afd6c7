package demo

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"photofinish/announce"
	"photofinish/rules"
)

// spoil is a way in which a world can be wrong, and the check that must notice.
type spoil struct {
	name  string
	spoil func(*auditor)
	check string // the beginning of its name
}

// entry returns the first entry that is wanted, to be changed.
func (a *auditor) entry(wanted func(*rules.Entry) bool) *rules.Entry {
	i := slices.IndexFunc(a.entries, func(e rules.Entry) bool { return wanted(&e) })
	e := &a.entries[i]
	// A copy of its own: the auditor of the next case reads the same ledger.
	body, _ := json.Marshal(e)
	*e = rules.Entry{}
	_ = json.Unmarshal(body, e)
	return e
}

// find returns the first event that is wanted, as one that only this auditor has.
func (a *auditor) find(wanted func(*made) bool) *made {
	i := slices.IndexFunc(a.truth, wanted)
	changed := *a.truth[i]
	a.truth = slices.Clone(a.truth)
	a.truth[i] = &changed
	return &changed
}

func (a *auditor) drop(wanted func(*rules.Entry) bool) {
	i := slices.IndexFunc(a.entries, func(e rules.Entry) bool { return wanted(&e) })
	a.entries = slices.Delete(a.entries, i, i+1)
}

func isAward(rule string) func(*rules.Entry) bool {
	return func(e *rules.Entry) bool {
		return e.Rule == rule && e.Award != nil && e.Award.State == rules.Provisional
	}
}

func isBoard(e *rules.Entry) bool { return e.Board != nil }

func isSold(rule string) func(*rules.Entry) bool {
	return func(e *rules.Entry) bool {
		return e.Rule == rule && e.Allocation != nil && e.Allocation.State == rules.Reserved
	}
}

func isSoldOut(e *rules.Entry) bool {
	return e.Rule == "celestial-mount" && e.Allocation != nil && e.Allocation.State == rules.SoldOut
}

func isCorrection(e *rules.Entry) bool { return e.Correction != nil }

func spoils() []spoil {
	ofServer := func(m *made) bool { return m.Server == "eu-1" && m.bad == "" }
	return []spoil{
		{"an acknowledged event is gone", func(a *auditor) { a.rows = a.rows[1:] }, "no acknowledged event"},
		{"an event has other content", func(a *auditor) { a.rows[5].content = "00" }, "no acknowledged event"},
		{"a good event was never taken", func(a *auditor) { a.find(ofServer).acknowledged = false }, "no acknowledged event"},
		{"a row that nobody sent", func(a *auditor) { a.rows[5].content = "00" }, "nothing is in the log"},
		{"a cut counted an event twice", func(a *auditor) {
			a.entry(func(e *rules.Entry) bool { return e.Settled != nil }).Settled.Events++
		}, "every event is taken in once"},
		{"the second content counts", func(a *auditor) {
			a.entry(func(e *rules.Entry) bool { return e.Conflict != nil }).Conflict.Counts[0]++
		}, "one ID with two"},
		{"a conflict is not seen", func(a *auditor) {
			a.drop(func(e *rules.Entry) bool { return e.Conflict != nil })
		}, "one ID with two"},
		{"somebody finished long before", func(a *auditor) {
			a.find(func(m *made) bool { return m.Target == "wyrm" && m.Player == "Ito" }).happened -= 10e9
		}, "whoever was first"},
		{"the second has it", func(a *auditor) { a.entry(isAward("dragon-guild")).Award.Claim.Subject = "Salt Herons" }, "whoever was first"},
		{"a claim is off", func(a *auditor) { a.entry(isAward("wyrm-first")).Award.Claim.Latest -= 1e9 }, "whoever was first"},
		{"nobody has it", func(a *auditor) { a.drop(isAward("rabbit-slayer")) }, "whoever was first"},
		{"an achievement that was not", func(a *auditor) {
			a.entry(isAward("rabbit-apprentice")).Award.Claim.Subject = mallory
		}, "who reached"},
		{"a score is doubled", func(a *auditor) { a.entry(isBoard).Board.Lines[0].Score = rules.Whole(1 << 40) }, "every score"},
		{"somebody is not on the board", func(a *auditor) {
			b := a.entry(isBoard).Board
			b.Lines = slices.Delete(b.Lines, 1, 2)
		}, "every score"},
		{"a board is missing", func(a *auditor) { a.drop(isBoard) }, "every score"},
		{"a seed that was not sealed", func(a *auditor) {
			a.entry(isSold("arena-ticket")).Allocation.Seed = "00"
		}, "the raffle"},
		{"the wrong player was drawn", func(a *auditor) {
			a.entry(isSold("arena-ticket")).Allocation.Player = "Zoe2"
		}, "the raffle"},
		{"an entry was changed", func(a *auditor) { a.entry(isBoard).Board.FinalAt++ }, "crashed and racing"},
		{"an entry is missing", func(a *auditor) { a.drop(isBoard) }, "crashed and racing"},
		{"a copy says something else", func(a *auditor) {
			for i := 1; i < len(a.ledger); i++ {
				if a.ledger[i-1] == a.ledger[i] {
					a.ledger[i].body += " "
					return
				}
			}
		}, "crashed and racing"},
		{"more is sold than there is", func(a *auditor) { a.entry(isSoldOut).Allocation.State = rules.Reserved }, "no more is sold"},
		{"an attempt is not answered", func(a *auditor) { a.drop(isSoldOut) }, "no more is sold"},
		{"an earlier buyer is passed over", func(a *auditor) {
			m := a.find(func(m *made) bool { return m.SKU == "celestial-mount" && m.Player == "Tam" })
			m.happened -= 100e9
		}, "no more is sold"},
		{"a correction is missing", func(a *auditor) { a.drop(isCorrection) }, "no award, board"},
		{"a correction names nothing", func(a *auditor) { a.entry(isCorrection).Correction.Corrects = strings.Repeat("0", 71) }, "no award, board"},
		{"a compensation is missing", func(a *auditor) {
			a.drop(func(e *rules.Entry) bool { return e.Compensation != nil && e.Rule == "dragon-guild" })
		}, "no award, board"},
		{"something else was printed", func(a *auditor) {
			a.Hours = slices.Clone(a.Hours)
			a.Hours[0].Report.Awards = slices.Clone(a.Hours[0].Report.Awards)
			a.Hours[0].Report.Awards[0].Subject = mallory
		}, "what was printed"},
		{"a board was not printed", func(a *auditor) {
			a.Hours = slices.Clone(a.Hours)
			a.Hours[1].Report.Leaderboards = nil
		}, "what was printed"},
		{"a bad event was taken", func(a *auditor) {
			a.find(func(m *made) bool { return m.bad != "" }).refused = false
		}, "bad events"},
		{"a good event was refused", func(a *auditor) { a.find(ofServer).refused = true }, "bad events"},
		{"no report", func(a *auditor) {
			a.Hours = []Hour{{Report: announce.Report{Cut: &announce.Cut{}}}}
		}, "hostile names"},
	}
}

// The audit notices everything that can be wrong with a world: a check that cannot
// fail would be worse than none.
func TestAuditNotices(t *testing.T) {
	w, _ := play(t, 1, 6)
	clean, err := readTables(t.Context(), w.conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range spoils() {
		t.Run(strings.ReplaceAll(s.name, " ", "-"), func(t *testing.T) {
			world, tables := *w, *clean
			tables.rows, tables.ledger, tables.entries = slices.Clone(clean.rows), slices.Clone(clean.ledger), slices.Clone(clean.entries)
			s.spoil(&auditor{World: &world, tables: &tables})
			audit, err := world.compare(&tables)
			if err != nil {
				t.Fatal(err)
			}
			failed := map[string]bool{}
			for _, c := range audit.Checks {
				if !c.OK && strings.HasPrefix(c.Name, s.check) {
					return
				}
				failed[c.Name] = failed[c.Name] || !c.OK
			}
			maps.DeleteFunc(failed, func(_ string, f bool) bool { return !f })
			t.Errorf("%q did not fail; these did: %q", s.check, slices.Sorted(maps.Keys(failed)))
		})
	}
}

// The same seed tells the same story, and the first one tells all of it.
func TestStory(t *testing.T) {
	first, text := play(t, 1, 6)
	second, again := play(t, 1, 6)
	if text != again {
		t.Fatalf("the same seed gave two stories:\n%s\n%s", text, again)
	}
	if first.Faults != second.Faults {
		t.Fatalf("the same seed gave two kinds of trouble: %+v, %+v", first.Faults, second.Faults)
	}
	text = strings.Join(strings.Fields(text), " ")
	for _, want := range []string{
		"PHOTO FINISH First to slay 1,000 rabbits: Ana at", "and Bo at", "so they share it",
		"held First to slay 1,000 rabbits: Ana", "held First guild to slay 50 dragons: Iron Wolves",
		"awarded First guild to slay 50 dragons: Iron Wolves", "gets it too",
		"it named Iron Wolves, and Jade Lotus was first", "Jade Lotus gets dragon-banner",
		"SOLD OUT", "Three celestial mounts: 3 of 3 reserved", "new board", "CONFLICT", "<script>alert(1)</script> gets ribbon",
		"not heard of: asia, asia-1, asia-2, asia-3", "not heard of: us", "(region eu): Dara at", "sealed",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the story lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(again)
	}
}
