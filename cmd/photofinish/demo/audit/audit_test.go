package audit_test

import (
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"photofinish/announce"
	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/cmd/photofinish/demo"
	"photofinish/cmd/photofinish/demo/audit"
	"photofinish/rules"
)

func TestMain(m *testing.M) { clickhousetest.Main(m) }

// subject is a world with its tables, to be spoiled.
type subject struct {
	*audit.World
	*audit.Tables
}

// spoil is a way in which a world can be wrong, and the check that must notice.
type spoil struct {
	name  string
	spoil func(*subject)
	check string // the beginning of its name
}

// entry returns the first entry that is wanted, to be changed.
func (a *subject) entry(wanted func(*rules.Entry) bool) *rules.Entry {
	return a.own(slices.IndexFunc(a.Entries, func(e rules.Entry) bool { return wanted(&e) }))
}

// last returns the last entry that is wanted, to be changed: nothing ends it later.
func (a *subject) last(wanted func(*rules.Entry) bool) *rules.Entry {
	i := len(a.Entries) - 1
	for !wanted(&a.Entries[i]) {
		i--
	}
	return a.own(i)
}

// own returns an entry to be changed.
func (a *subject) own(i int) *rules.Entry {
	e := &a.Entries[i]
	// A copy of its own: the auditor of the next case reads the same ledger.
	body, _ := json.Marshal(e)
	*e = rules.Entry{}
	_ = json.Unmarshal(body, e)
	return e
}

// find returns the first event that is wanted, as one that only this auditor has.
func (a *subject) find(wanted func(*audit.Event) bool) *audit.Event {
	i := slices.IndexFunc(a.Events, wanted)
	changed := *a.Events[i]
	a.Events = slices.Clone(a.Events)
	a.Events[i] = &changed
	return &changed
}

func (a *subject) drop(wanted func(*rules.Entry) bool) {
	i := slices.IndexFunc(a.Entries, func(e rules.Entry) bool { return wanted(&e) })
	a.Entries = slices.Delete(a.Entries, i, i+1)
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
	ofServer := func(m *audit.Event) bool { return m.Server == "eu-1" && m.Bad == "" }
	return []spoil{
		{"an acknowledged event is gone", func(a *subject) { a.Rows = a.Rows[1:] }, "no acknowledged event"},
		{"an event has other content", func(a *subject) { a.Rows[5].Content = "00" }, "no acknowledged event"},
		{"a good event was never taken", func(a *subject) { a.find(ofServer).Acknowledged = false }, "no acknowledged event"},
		{"a row that nobody sent", func(a *subject) { a.Rows[5].Content = "00" }, "nothing is in the log"},
		{"a row that was never sent", func(a *subject) { a.find(ofServer).Sent = false }, "nothing is in the log"},
		{"a node took an event twice", func(a *subject) {
			again := a.Rows[5]
			again.Offset += 1000
			a.Rows = append(a.Rows, again)
		}, "however often"},
		{"the network was a good one", func(a *subject) {
			a.Faults.AnswersLost, a.Faults.RequestsCut, a.Faults.RequestsLate = 0, 0, 0
		}, "however often"},
		{"what had no answer was not sent again", func(a *subject) { a.Faults.Retries = 3 }, "however often"},
		{"a cut counted an event twice", func(a *subject) {
			a.entry(func(e *rules.Entry) bool { return e.Settled != nil }).Settled.Events++
		}, "every event is taken in once"},
		{"the second content counts", func(a *subject) {
			a.entry(func(e *rules.Entry) bool { return e.Conflict != nil }).Conflict.Counts[0]++
		}, "one ID with two"},
		{"a conflict is not seen", func(a *subject) {
			a.drop(func(e *rules.Entry) bool { return e.Conflict != nil })
		}, "one ID with two"},
		{"somebody finished long before", func(a *subject) {
			a.find(func(m *audit.Event) bool { return m.Target == "wyrm" && m.Player == "Ito" }).Happened -= 10e9
		}, "whoever was first"},
		{"the second has it", func(a *subject) { a.last(isAward("dragon-guild")).Award.Claim.Subject = "Salt Herons" }, "whoever was first"},
		{"a claim is off", func(a *subject) { a.entry(isAward("wyrm-first")).Award.Claim.Latest -= 1e9 }, "whoever was first"},
		{"it is held for ever", func(a *subject) { a.last(isAward("rabbit-slayer")).Award.State = rules.Held }, "whoever was first"},
		{"nobody has it", func(a *subject) { a.drop(isAward("rabbit-slayer")) }, "whoever was first"},
		{"an achievement that was not", func(a *subject) {
			a.entry(isAward("rabbit-apprentice")).Award.Claim.Subject = "Mallory"
		}, "who reached"},
		{"a score is doubled", func(a *subject) { a.entry(isBoard).Board.Lines[0].Score = rules.Whole(1 << 40) }, "every score"},
		{"somebody is not on the board", func(a *subject) {
			b := a.entry(isBoard).Board
			b.Lines = slices.Delete(b.Lines, 1, 2)
		}, "every score"},
		{"a board is missing", func(a *subject) { a.drop(isBoard) }, "every score"},
		{"a seed that was not sealed", func(a *subject) {
			a.entry(isSold("arena-ticket")).Allocation.Seed = "00"
		}, "the raffle"},
		{"the wrong player was drawn", func(a *subject) {
			a.entry(isSold("arena-ticket")).Allocation.Player = "Zoe2"
		}, "the raffle"},
		{"an entry was changed", func(a *subject) { a.entry(isBoard).Board.FinalAt++ }, "crashed and racing"},
		{"an entry is missing", func(a *subject) { a.drop(isBoard) }, "crashed and racing"},
		{"a copy says something else", func(a *subject) {
			for i := 1; i < len(a.Copies); i++ {
				if a.Copies[i-1] == a.Copies[i] {
					a.Copies[i].Body += " "
					return
				}
			}
		}, "crashed and racing"},
		{"more is sold than there is", func(a *subject) { a.entry(isSoldOut).Allocation.State = rules.Reserved }, "no more is sold"},
		{"an attempt is not answered", func(a *subject) { a.drop(isSoldOut) }, "no more is sold"},
		{"an earlier buyer is passed over", func(a *subject) {
			m := a.find(func(m *audit.Event) bool { return m.SKU == "celestial-mount" && m.Player == "Tam" })
			m.Happened -= 100e9
		}, "no more is sold"},
		{"a correction is missing", func(a *subject) { a.drop(isCorrection) }, "no award, board"},
		{"a correction names nothing", func(a *subject) { a.entry(isCorrection).Correction.Corrects = strings.Repeat("0", 71) }, "no award, board"},
		{"a compensation is missing", func(a *subject) {
			a.drop(func(e *rules.Entry) bool { return e.Compensation != nil && e.Rule == "dragon-guild" })
		}, "no award, board"},
		{"something else was printed", func(a *subject) {
			a.Reports[0].Awards = slices.Clone(a.Reports[0].Awards)
			a.Reports[0].Awards[0].Subject = "Mallory"
		}, "what was printed"},
		{"a board was not printed", func(a *subject) {
			a.Reports[1].Leaderboards = nil
		}, "what was printed"},
		{"a bad event was taken", func(a *subject) {
			a.find(func(m *audit.Event) bool { return m.Bad != "" }).Refused = false
		}, "bad events"},
		{"a good event was refused", func(a *subject) { a.find(ofServer).Refused = true }, "bad events"},
		{"no report", func(a *subject) {
			a.Reports = []announce.Report{{Cut: &announce.Cut{}}}
		}, "hostile names"},
	}
}

// The audit notices everything that can be wrong with a world: a check that cannot
// fail would be worse than none.
func TestAuditNotices(t *testing.T) {
	conn := clickhousetest.New(t)
	w, err := demo.New(conn, slog.New(slog.DiscardHandler), demo.Config{Seed: 1, Hours: 6, Dir: t.TempDir()})
	if err == nil {
		err = w.Play(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	clean, err := audit.Read(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range spoils() {
		t.Run(strings.ReplaceAll(s.name, " ", "-"), func(t *testing.T) {
			world, tables := w.Truth(), *clean
			tables.Rows, tables.Copies, tables.Entries = slices.Clone(clean.Rows), slices.Clone(clean.Copies), slices.Clone(clean.Entries)
			s.spoil(&subject{world, &tables})
			result, err := audit.Compare(world, &tables)
			if err != nil {
				t.Fatal(err)
			}
			failed := map[string]bool{}
			for _, c := range result.Checks {
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
