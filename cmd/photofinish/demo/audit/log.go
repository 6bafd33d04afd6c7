package audit

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"

	"photofinish/announce"
	"photofinish/rules"
)

// contentOf returns what the log must hold of an event.
func contentOf(m *Event) Said {
	d := m.Digest()
	return Said{m.Identity(), hex.EncodeToString(d[:])}
}

// checkAcknowledged looks up every event that a node said it has.
func (a *auditor) checkAcknowledged() {
	c := a.check("G1", "no acknowledged event is lost")
	there := map[Said]bool{}
	for _, r := range a.Rows {
		there[r.Said] = true
	}
	acknowledged := 0
	for _, m := range a.truth {
		switch {
		case m.Acknowledged:
			acknowledged++
			if !there[contentOf(m)] {
				c.Problem("%s/%s was acknowledged and is not in the log", m.Server, m.ID)
			}
		case m.Bad == "":
			c.Problem("%s/%s is a good event and was never acknowledged", m.Server, m.ID)
		}
	}
	c.Checked = fmt.Sprintf("%s events acknowledged, each looked for in the log with its content", announce.Grouped(acknowledged))
}

// checkOrigins looks up every row of the log among what the servers sent.
func (a *auditor) checkOrigins() {
	c := a.check("G1", "nothing is in the log that nobody sent")
	sent := map[Said]bool{}
	for _, m := range a.truth {
		if m.Sent {
			sent[contentOf(m)] = true
		}
	}
	for _, r := range a.Rows {
		if !sent[r.Said] {
			c.Problem("%s/%s is in the log, and no server sent it so", r.Server, r.ID)
		}
	}
	c.Checked = fmt.Sprintf("%s rows traced back to a server", announce.Grouped(len(a.Rows)))
}

// checkOnce shows that a node which got a request again, or late, found in it what it had:
// that it gave each event one place. What a server sent to two nodes has one at each, as
// neither can know of the other in time; the cuts take it in once, see checkCounted.
func (a *auditor) checkOnce() {
	c := a.check("G2", "however often a request came, its node has each event once")
	type at struct {
		Said
		node string
	}
	places := map[at]uint64{}
	twice := 0
	for _, r := range a.Rows {
		k := at{r.Said, r.Node}
		first, known := places[k]
		if known && first != r.Offset {
			twice++
			c.Problem("%s/%s stands at the places %d and %d of node %s", r.Server, r.ID, first, r.Offset, r.Node)
			continue
		}
		places[k] = r.Offset
	}
	f := &a.Faults
	c.Checked = fmt.Sprintf("%s requests over HTTP: %d answers lost, %d requests cut, %d late; %d sent again, %d events counted twice",
		announce.Grouped(f.Requests), f.AnswersLost, f.RequestsCut, f.RequestsLate, f.Retries, twice)
	lost := f.AnswersLost + f.RequestsCut + f.RequestsLate
	if lost == 0 {
		c.Problem("the network lost nothing: it was not as bad as it is to be")
	}
	if f.Retries < lost {
		c.Problem("%d requests were sent again, and %d had no answer", f.Retries, lost)
	}
}

// checkCounted compares what the cuts say they took in with what happened.
func (a *auditor) checkCounted() {
	c := a.check("G2", "every event is taken in once")
	happened := len(a.truth.counting(func(*Event) bool { return true }))
	taken := 0
	for i := range a.Entries {
		if a.Entries[i].Kind == rules.KindSettled {
			taken += int(a.Entries[i].Settled.Events)
		}
	}
	if taken != happened {
		c.Problem("%d events happened, the cuts took in %d", happened, taken)
	}
	c.Checked = fmt.Sprintf("%s events happened, %s rows hold them, the cuts took in %s", announce.Grouped(happened), announce.Grouped(len(a.Rows)), announce.Grouped(taken))
}

// checkConflicts compares the conflicts of the ledger with those that were made.
func (a *auditor) checkConflicts() {
	c := a.check("G2", "one ID with two contents is a conflict, and the first counts")
	first := map[rules.Identity]*Event{}
	want := map[rules.Identity]string{}
	for _, m := range a.truth {
		if !m.Rival && m.Acknowledged {
			first[m.Identity()] = m
		}
	}
	for _, m := range a.truth {
		if m.Rival && m.Acknowledged {
			want[m.Identity()] = contentOf(first[m.Identity()]).Content
		}
	}
	found := 0
	for i := range a.Entries {
		if a.Entries[i].Kind != rules.KindConflict {
			continue
		}
		found++
		conflict := a.Entries[i].Conflict
		if got := hex.EncodeToString(conflict.Counts[:]); want[conflict.Identity] != got {
			c.Problem("%s/%s: the content %s counts, the first was %q", conflict.Server, conflict.ID, got, want[conflict.Identity])
		}
	}
	if found != len(want) {
		c.Problem("%d conflicts were made, the ledger has %d", len(want), found)
	}
	c.Checked = fmt.Sprintf("%d made, %d in the ledger", len(want), found)
}

// checkRefused compares what the nodes refused with what was made to be refused.
func (a *auditor) checkRefused() {
	c := a.check("G10", "bad events are refused, and only they")
	bad := 0
	inLog := map[rules.Identity]bool{}
	for _, r := range a.Rows {
		inLog[r.Identity] = true
	}
	for _, m := range a.truth {
		if m.Bad != "" {
			bad++
		}
		switch {
		case m.Bad != "" && !m.Refused:
			c.Problem("%s/%s was taken, though it is bad: %s", m.Server, m.ID, m.Bad)
		case m.Bad == "" && m.Refused:
			c.Problem("%s/%s was refused, though nothing is wrong with it", m.Server, m.ID)
		case m.Bad != "" && inLog[m.Identity()]:
			c.Problem("%s/%s is in the log, though it was refused", m.Server, m.ID)
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
	for i, r := range a.Copies {
		if i == 0 || a.Copies[i-1].Cut != r.Cut || a.Copies[i-1].N != r.N {
			continue
		}
		copies++
		if a.Copies[i-1] != r {
			c.Problem("entry %d of cut %d stands twice, and differently", r.N, r.Cut)
		}
	}
	cut, n := uint64(1), uint32(0)
	for i := range a.Entries {
		e := a.Entries[i]
		if e.Cut != cut || e.N != n {
			c.Problem("entry %d of cut %d is missing; there is entry %d of cut %d", n, cut, e.N, e.Cut)
			cut, n = e.Cut, e.N
		}
		n++
		if e.Kind == rules.KindSettled {
			if e.Settled.Entries != e.N {
				c.Problem("cut %d ends after %d entries and says %d", e.Cut, e.N, e.Settled.Entries)
			}
			cut, n = cut+1, 0
		}
		if id := digestOf(e); id != e.ID {
			c.Problem("entry %d of cut %d was changed: its ID does not fit its text", e.N, e.Cut)
		}
	}
	hourly := 0
	for _, cut := range a.Recorded { // a count
		if cut.Kind == rules.HourCut {
			hourly++
		}
	}
	if hourly != a.Hours || cut-1 != a.Cuts {
		c.Problem("%d cuts of hours and %d in all are settled, %d hours were played with %d cuts", hourly, cut-1, a.Hours, a.Cuts)
	}
	c.Checked = fmt.Sprintf("%d cuts of %d proposed, %d entries with %d further copies that are equal",
		a.Numbers, a.Proposed, len(a.Entries), copies)
	if a.Numbers != a.Cuts {
		c.Problem("%d cuts are recorded, %d were settled", a.Numbers, a.Cuts)
	}
	if a.Faults.SettlerRaces > 0 && (copies == 0 || a.Proposed == a.Numbers) {
		c.Problem("two settlers raced and left no trace: the race did not happen")
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
