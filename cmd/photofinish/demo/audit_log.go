package demo

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"

	"photofinish/announce"
	"photofinish/rules"
)

// contentOf returns what the log must hold of an event.
func contentOf(m *made) logged {
	d := m.Digest()
	return logged{m.Identity(), hex.EncodeToString(d[:])}
}

// checkAcknowledged looks up every event that a node said it has.
func (a *auditor) checkAcknowledged() {
	c := a.check("G1", "no acknowledged event is lost")
	there := map[logged]bool{}
	for _, r := range a.rows {
		there[r] = true
	}
	acknowledged := 0
	for _, m := range a.truth {
		switch {
		case m.acknowledged:
			acknowledged++
			if !there[contentOf(m)] {
				c.problem("%s/%s was acknowledged and is not in the log", m.Server, m.ID)
			}
		case m.bad == "":
			c.problem("%s/%s is a good event and was never acknowledged", m.Server, m.ID)
		}
	}
	c.Checked = fmt.Sprintf("%s events acknowledged, each looked for in the log with its content", announce.Grouped(acknowledged))
}

// checkOrigins looks up every row of the log among what the servers sent.
func (a *auditor) checkOrigins() {
	c := a.check("G1", "nothing is in the log that nobody sent")
	sent := map[logged]bool{}
	for _, m := range a.truth {
		if m.acknowledged {
			sent[contentOf(m)] = true
		}
	}
	for _, r := range a.rows {
		if !sent[r] {
			c.problem("%s/%s is in the log, and no server sent it so", r.Server, r.ID)
		}
	}
	c.Checked = fmt.Sprintf("%s rows traced back to a server", announce.Grouped(len(a.rows)))
}

// checkCounted compares what the cuts say they took in with what happened.
func (a *auditor) checkCounted() {
	c := a.check("G2", "every event is taken in once")
	happened := len(a.truth.counting(func(*made) bool { return true }))
	taken := 0
	for i := range a.entries {
		if a.entries[i].Kind == rules.KindSettled {
			taken += int(a.entries[i].Settled.Events)
		}
	}
	if taken != happened {
		c.problem("%d events happened, the cuts took in %d", happened, taken)
	}
	c.Checked = fmt.Sprintf("%s events happened, %s rows hold them, the cuts took in %s", announce.Grouped(happened), announce.Grouped(len(a.rows)), announce.Grouped(taken))
}

// checkConflicts compares the conflicts of the ledger with those that were made.
func (a *auditor) checkConflicts() {
	c := a.check("G2", "one ID with two contents is a conflict, and the first counts")
	first := map[rules.Identity]*made{}
	want := map[rules.Identity]string{}
	for _, m := range a.truth {
		if !m.rival && m.acknowledged {
			first[m.Identity()] = m
		}
	}
	for _, m := range a.truth {
		if m.rival && m.acknowledged {
			want[m.Identity()] = contentOf(first[m.Identity()]).content
		}
	}
	found := 0
	for i := range a.entries {
		if a.entries[i].Kind != rules.KindConflict {
			continue
		}
		found++
		conflict := a.entries[i].Conflict
		if got := hex.EncodeToString(conflict.Counts[:]); want[conflict.Identity] != got {
			c.problem("%s/%s: the content %s counts, the first was %q", conflict.Server, conflict.ID, got, want[conflict.Identity])
		}
	}
	if found != len(want) {
		c.problem("%d conflicts were made, the ledger has %d", len(want), found)
	}
	c.Checked = fmt.Sprintf("%d made, %d in the ledger", len(want), found)
}

// checkRefused compares what the nodes refused with what was made to be refused.
func (a *auditor) checkRefused() {
	c := a.check("G10", "bad events are refused, and only they")
	bad := 0
	inLog := map[rules.Identity]bool{}
	for _, r := range a.rows {
		inLog[r.Identity] = true
	}
	for _, m := range a.truth {
		if m.bad != "" {
			bad++
		}
		switch {
		case m.bad != "" && !m.refused:
			c.problem("%s/%s was taken, though it is bad: %s", m.Server, m.ID, m.bad)
		case m.bad == "" && m.refused:
			c.problem("%s/%s was refused, though nothing is wrong with it", m.Server, m.ID)
		case m.bad != "" && inLog[m.Identity()]:
			c.problem("%s/%s is in the log, though it was refused", m.Server, m.ID)
		}
	}
	c.Checked = fmt.Sprintf("%d bad ones among %s", bad, announce.Grouped(len(a.truth)))
}

// checkOneLedger shows that crashes and races left one ledger: whatever was written
// more than once says the same, cuts and entries have no gaps, and every ID is the
// digest of its entry.
func (a *auditor) checkOneLedger() {
	c := a.check("G3, G4", "crashed and racing settlements leave one ledger")
	copies := 0
	for i, r := range a.ledger {
		if i == 0 || a.ledger[i-1].cut != r.cut || a.ledger[i-1].n != r.n {
			continue
		}
		copies++
		if a.ledger[i-1] != r {
			c.problem("entry %d of cut %d stands twice, and differently", r.n, r.cut)
		}
	}
	cut, n := uint64(1), uint32(0)
	for i := range a.entries {
		e := a.entries[i]
		if e.Cut != cut || e.N != n {
			c.problem("entry %d of cut %d is missing; there is entry %d of cut %d", n, cut, e.N, e.Cut)
			cut, n = e.Cut, e.N
		}
		n++
		if e.Kind == rules.KindSettled {
			if e.Settled.Entries != e.N {
				c.problem("cut %d ends after %d entries and says %d", e.Cut, e.N, e.Settled.Entries)
			}
			cut, n = cut+1, 0
		}
		if id := digestOf(e); id != e.ID {
			c.problem("entry %d of cut %d was changed: its ID does not fit its text", e.N, e.Cut)
		}
	}
	hourly := 0
	for _, cut := range a.closed { // a count
		if cut.Kind == rules.HourCut {
			hourly++
		}
	}
	if hourly != a.cfg.Hours || cut-1 != a.cuts {
		c.problem("%d cuts of hours and %d in all are settled, %d hours were played with %d cuts", hourly, cut-1, a.cfg.Hours, a.cuts)
	}
	c.Checked = fmt.Sprintf("%d cuts of %d proposed, %d entries with %d further copies that are equal",
		a.numbers, a.candidates, len(a.entries), copies)
	if a.numbers != a.cuts {
		c.problem("%d cuts are recorded, %d were settled", a.numbers, a.cuts)
	}
	if a.Faults.SettlerRaces > 0 && (copies == 0 || a.candidates == a.numbers) {
		c.problem("two settlers raced and left no trace: the race did not happen")
	}
}

func compareContests(a, b contest) int {
	return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.window.Opens, b.window.Opens), cmp.Compare(a.scope, b.scope))
}

func sortedContests[T any](m map[contest]T) []contest {
	list := make([]contest, 0, len(m))
	for k := range m { // sorted below
		list = append(list, k)
	}
	slices.SortFunc(list, compareContests)
	return list
}
