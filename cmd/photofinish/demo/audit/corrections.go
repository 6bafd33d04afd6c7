package audit

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"photofinish/announce"
	"photofinish/rules"
)

// checkCorrections follows every change of what was decided: each is a correction
// that names what it corrects, with its compensation.
func (a *auditor) checkCorrections(stands *standing) {
	c := a.check("G7", "no award, board or reservation changes without a correction")
	corrections, changed := 0, 0
	because := map[string]int{}
	for i := range a.Entries {
		if e := &a.Entries[i]; e.Kind == rules.KindCompensation {
			because[e.Compensation.Because]++
			if _, ok := stands.byID[e.Compensation.Because]; !ok {
				c.Problem("a compensation of %s names an entry that does not exist", e.Compensation.Subject)
			}
		}
	}
	for i := range a.Entries {
		e := &a.Entries[i]
		if e.Kind == rules.KindCorrection {
			corrections++
			old, ok := stands.byID[e.Correction.Corrects]
			switch {
			case !ok || old.Cut > e.Cut:
				c.Problem("correction %s names no earlier entry", e.ID[:17])
			case needsCompensation(&old) && because[old.ID] == 0 && a.newcomer(&old):
				c.Problem("entry %d of cut %d was corrected without a compensation", old.N, old.Cut)
			}
		}
		if id := corrects(e); id != "" {
			changed++
			if !stands.ended[id] {
				c.Problem("entry %d of cut %d replaces another, and no correction names that one", e.N, e.Cut)
			}
		}
	}
	a.checkGiven(c, stands)
	c.Checked = fmt.Sprintf("%d corrections, %d entries that replace another, %d compensations", corrections, changed, total(because))
}

// corrects returns the entry that an entry says it puts right.
func corrects(e *rules.Entry) string {
	switch {
	case e.Award != nil:
		return e.Award.Corrects
	case e.Board != nil:
		return e.Board.Corrects
	case e.Allocation != nil:
		return e.Allocation.Corrects
	}
	return ""
}

// needsCompensation reports whether something was given by the entry.
func needsCompensation(e *rules.Entry) bool {
	return e.Award != nil && e.Award.State != rules.Held || e.Allocation != nil && e.Allocation.State == rules.Reserved
}

// newcomer reports whether the correction of the entry gave something to somebody
// who had nothing before. A reservation is always taken back.
func (a *auditor) newcomer(old *rules.Entry) bool {
	return old.Allocation != nil || slices.ContainsFunc(a.Entries, func(e rules.Entry) bool {
		return e.Award != nil && e.Award.Corrects == old.ID && e.Key != ""
	})
}

// checkGiven looks for what was given once and does not stand any more: a
// correction must have ended it.
func (a *auditor) checkGiven(c *Check, stands *standing) {
	now := map[string]bool{}
	for _, k := range sortedContests(stands.awards) {
		for _, e := range stands.awards[k] {
			now[e.ID] = true
		}
	}
	for _, k := range sortedContests(stands.boards) {
		now[stands.boards[k].ID] = true
	}
	for _, k := range sortedContests(stands.attempts) {
		for _, e := range stands.attempts[k] { // a set
			now[e.ID] = true
		}
	}
	refined := a.refined(c, stands)
	for i := range a.Entries {
		e := &a.Entries[i]
		decided := e.Award != nil && e.Award.State != rules.Held || e.Board != nil || e.Allocation != nil
		if decided && !now[e.ID] && !stands.ended[e.ID] && !refined[e.ID] {
			c.Problem("entry %d of cut %d (%s) stands no more, and no correction names it", e.N, e.Cut, e.Rule)
		}
	}
	// And the other way: of a single place, two who are not tied cannot both stand.
	for _, k := range sortedContests(stands.awards) {
		places := map[int]int{}
		for _, e := range stands.awards[k] {
			if places[e.Award.Place]++; e.Award.Place > 0 && places[e.Award.Place] > 1 && !e.Award.Tied {
				c.Problem("%s (%s): place %d is given twice, and is no tie", k.rule, k.scope, e.Award.Place)
			}
		}
	}
}

// refined finds awards that a later entry states anew because evidence has made the
// claim finer. Who has what place, and what was given for it, must be the same.
func (a *auditor) refined(c *Check, stands *standing) map[string]bool {
	refined := map[string]bool{}
	for i := range a.Entries {
		e := &a.Entries[i]
		if e.Award == nil || e.Award.Refines == "" {
			continue
		}
		old, ok := stands.byID[e.Award.Refines]
		if !ok || old.Award == nil || old.Cut >= e.Cut || old.Rule != e.Rule || old.Award.Place != e.Award.Place ||
			old.Award.Claim.Subject != e.Award.Claim.Subject || e.Key != "" && e.Key != old.Key {
			c.Problem("entry %d of cut %d refines an award that says something else", e.N, e.Cut)
		}
		refined[e.Award.Refines] = true
	}
	return refined
}

func total(m map[string]int) int {
	sum := 0
	for _, n := range m { // a sum: in any order
		sum += n
	}
	return sum
}

// checkPrinted compares the reports that were printed with the ledger, both ways.
func (a *auditor) checkPrinted() {
	c := a.check("G8", "what was printed is in the ledger, and all of the ledger was printed")
	told := map[string]string{} // by entry, what the report said
	for i := range a.Reports {
		for id, text := range spoken(&a.Reports[i]) {
			told[id] = text
		}
	}
	printed := 0
	for i := range a.Entries {
		e := &a.Entries[i]
		want, public := meant(e)
		if !public {
			continue
		}
		printed++
		switch got, ok := told[e.ID]; {
		case !ok:
			c.Problem("entry %d of cut %d (%s) was not printed", e.N, e.Cut, e.Kind)
		case got != want:
			c.Problem("entry %d of cut %d was printed as %q, the ledger says %q", e.N, e.Cut, got, want)
		}
		delete(told, e.ID)
	}
	for id, text := range told { // problems aside, the order does not show
		c.Problem("%q was printed and entry %s is not in the ledger", text, id)
	}
	if a.StandingErr != nil {
		c.Problem("the report of everything cannot be made: %v", a.StandingErr)
	} else {
		a.checkStanding(c, &a.Standing[0])
	}
	c.Checked = fmt.Sprintf("%d entries in %d reports, and what they come to", printed, len(a.Reports))
}

// checkStanding compares the project's report of what stands with the audit's.
func (a *auditor) checkStanding(c *Check, report *announce.Report) {
	stands := a.fold()
	want := map[string]bool{}
	for _, k := range sortedContests(stands.awards) {
		for _, e := range stands.awards[k] {
			want[e.ID] = true
		}
	}
	for _, k := range sortedContests(stands.boards) {
		want[stands.boards[k].ID] = true
	}
	got := 0
	see := func(outcome string) {
		got++
		if !want[outcome] {
			c.Problem("the final report shows %s, which does not stand", outcome)
		}
	}
	for i := range report.Awards {
		see(report.Awards[i].Outcome)
	}
	for i := range report.Leaderboards {
		see(report.Leaderboards[i].Outcome)
	}
	if got != len(want) {
		c.Problem("the final report shows %d awards and boards, %d stand", got, len(want))
	}
}

// spoken returns what a report says of each entry.
func spoken(r *announce.Report) map[string]string {
	told := map[string]string{}
	for i := range r.Awards {
		x := &r.Awards[i]
		state := x.State
		if state == rules.Final {
			state = rules.Provisional // final is seen from a later cut and not written
		}
		told[x.Outcome] = fmt.Sprintf("%s %s: place %d %s at %s, %s", x.Rule, x.Scope, x.Place, x.Subject, x.At, state)
	}
	for i := range r.Leaderboards {
		text := r.Leaderboards[i].Rule
		for _, l := range r.Leaderboards[i].Standings {
			text += fmt.Sprintf(" %d %s %s", l.Place, l.Subject, l.Score)
		}
		told[r.Leaderboards[i].Outcome] = text
	}
	for i := range r.Sales {
		for _, x := range r.Sales[i].Attempts {
			told[x.Outcome] = fmt.Sprintf("%s: %s/%s %s %s", r.Sales[i].Rule, x.Server, x.ID, x.Player, x.State)
		}
	}
	for i := range r.Corrections {
		told[r.Corrections[i].Outcome] = r.Corrections[i].Corrects + " " + r.Corrections[i].Policy
	}
	for i := range r.Compensations {
		x := &r.Compensations[i]
		told[x.Outcome] = fmt.Sprintf("%s %s %s takes %t", x.Kind, x.Subject, x.Because, x.Takes)
	}
	return told
}

// meant returns what a report must say of an entry; it reports false for kinds that
// reports show without naming the entry.
func meant(e *rules.Entry) (string, bool) {
	switch e.Kind {
	case rules.KindAward:
		x := e.Award
		return fmt.Sprintf("%s %s: place %d %s at %s, %s", e.Rule, e.Scope, x.Place, x.Claim.Subject, x.Claim.At, x.State), true
	case rules.KindBoard:
		text := e.Rule
		for _, l := range e.Board.Lines {
			text += fmt.Sprintf(" %d %s %s", l.Place, l.Subject, l.Score)
		}
		return text, true
	case rules.KindAllocation:
		x := e.Allocation
		return fmt.Sprintf("%s: %s/%s %s %s", e.Rule, x.Attempt.Server, x.Attempt.ID, x.Player, x.State), true
	case rules.KindCorrection:
		return e.Correction.Corrects + " " + e.Correction.Policy, true
	case rules.KindCompensation:
		x := e.Compensation
		return fmt.Sprintf("%s %s %s takes %t", x.Kind, x.Subject, x.Because, x.Takes), true
	}
	return "", false
}

// checkNames looks at the reports as a page and as Markdown: a name must stay one.
func (a *auditor) checkNames() error {
	c := a.check("G10", "hostile names stay names, on pages and in chats")
	var page, text bytes.Buffer
	if err := (announce.Page{}).WriteHTML(&page, a.Reports); err != nil {
		return err
	}
	if err := announce.WriteMarkdown(&text, a.Reports); err != nil {
		return err
	}
	if strings.Contains(strings.ToLower(page.String()), "<script") {
		c.Problem("the page has a script in it")
	}
	if strings.Contains(text.String(), "@everyone") {
		c.Problem("the Markdown calls everyone")
	}
	shown := 0
	for _, escaped := range []struct{ in, name string }{
		{page.String(), "&lt;script&gt;alert(1)"}, {text.String(), "@\u200beveryone"},
	} {
		shown += strings.Count(escaped.in, escaped.name)
	}
	if !strings.Contains(page.String(), "&lt;script&gt;alert(1)") {
		c.Problem("the page does not show the player who is called like a script")
	}
	c.Checked = fmt.Sprintf("shown %d times as they are, %s bytes of page and Markdown searched", shown, announce.Grouped(page.Len()+text.Len()))
	return nil
}
