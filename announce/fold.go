package announce

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"photofinish/rules"
	"photofinish/rules/hour"
)

// check refuses an entry that does not have what its kind promises.
func check(e *rules.Entry) error {
	has := true
	switch e.Kind {
	case rules.KindAward:
		has = e.Award != nil
	case rules.KindBoard:
		has = e.Board != nil
	case rules.KindAllocation:
		has = e.Allocation != nil
	case rules.KindCorrection:
		has = e.Correction != nil
	case rules.KindCompensation:
		has = e.Compensation != nil
	case rules.KindCommitment:
		has = e.Commitment != nil
	case rules.KindConflict:
		has = e.Conflict != nil
	case rules.KindWaiting:
		has = e.Waiting != nil
	case rules.KindSettled:
		has = e.Settled != nil
	case rules.KindPrize: // is in the lines of its board
	}
	if !has {
		return fmt.Errorf("entry %d of cut %d is damaged: a %s that says nothing", e.N, e.Cut, e.Kind)
	}
	return nil
}

// build makes the reports within bounds from the ledger. The entries are in the
// order of (cut, n), each once. They are either the whole ledger or at least those
// of the cuts selected and what these refer to: see Load. The cuts are those of
// the entries selected; rulesets are for titles, and may be missing.
// Of conflicts the first are enough; told has how many there are, by cut, where those
// before the first cut selected count with that one.
func build(cuts []rules.Cut, entries []rules.Entry, rulesets []*rules.Ruleset, told map[uint64]uint64, b bounds) ([]Report, error) {
	f := &fold{
		bounds: b, conflicts: []Conflict{}, held: map[rules.ContestID]map[rules.Identity]*rules.Entry{},
		cutOf: map[string]uint64{}, correctedBy: map[string]string{},
		rules: rulesByID(rulesets), rulesets: map[string]map[string]*rules.Rule{},
	}
	for _, set := range rulesets {
		f.rulesets[set.Digest] = rulesByID([]*rules.Ruleset{set})
	}
	for i := range entries {
		e := &entries[i]
		f.cutOf[e.ID] = e.Cut
		if e.Kind == rules.KindCorrection && e.Correction.Policy != rules.Keep && b.perCut {
			f.correctedBy[e.Correction.Corrects] = e.ID
		}
	}
	byNumber := map[uint64]*rules.Cut{}
	for i := range cuts {
		byNumber[cuts[i].Number] = &cuts[i]
	}
	reports := []Report{}
	for i := range entries {
		e := &entries[i]
		if e.Cut > b.to {
			break
		}
		f.sell(e)
		if e.Kind == rules.KindConflict && len(f.conflicts) < maxConflicts {
			f.conflicts = append(f.conflicts, Conflict{e.Conflict.Server, e.Conflict.ID})
		}
		if e.Cut < b.from {
			continue
		}
		f.take(e)
		if e.Kind == rules.KindSettled {
			f.told += told[e.Cut]
		}
		if e.Kind != rules.KindSettled || e.Cut != b.to && !b.perCut {
			continue
		}
		cut := byNumber[e.Cut]
		if cut == nil {
			return nil, fmt.Errorf("cut %d is settled but not recorded: restore the table cuts", e.Cut)
		}
		reports = append(reports, f.finish(cut))
	}
	return reports, nil
}

// rulesByID returns the rules of all rulesets; of two that have one ID, the later.
func rulesByID(rulesets []*rules.Ruleset) map[string]*rules.Rule {
	byID := map[string]*rules.Rule{}
	for _, set := range rulesets {
		for i := range set.Rules {
			byID[set.Rules[i].ID] = &set.Rules[i]
		}
	}
	return byID
}

// contestOf returns the contest that an entry is about.
func contestOf(e *rules.Entry) rules.ContestID { return contestID(e.Rule, string(e.Scope), e.Window) }

func contestID(rule, scope string, window rules.Window) rules.ContestID {
	return rules.ContestID{Rule: rule, Scope: rules.Scope(scope), Window: window}
}

// placed names an award: its contest, place and subject.
type placed struct {
	rules.ContestID
	place   int
	subject string
}

// fold collects the entries of a report.
type fold struct {
	bounds
	held        map[rules.ContestID]map[rules.Identity]*rules.Entry // of limited sales: who holds a unit, over all cuts
	cutOf       map[string]uint64
	correctedBy map[string]string
	rules       map[string]*rules.Rule
	rulesets    map[string]map[string]*rules.Rule // the rules of each ruleset alone, by its digest
	conflicts   []Conflict                        // the first of all cuts
	told        uint64                            // conflicts of all cuts

	part // of the report that is being collected
}

// part is what one report is made of.
type part struct {
	report  Report
	started bool
	awards  map[placed]*rules.Entry
	boards  map[rules.ContestID]*rules.Entry
	touched map[rules.ContestID]map[rules.Identity]*rules.Entry
}

// sell follows who holds a unit of a limited sale.
func (f *fold) sell(e *rules.Entry) {
	if e.Kind != rules.KindAllocation || e.Allocation.Stock == 0 {
		return
	}
	if e.Allocation.State != rules.Reserved {
		delete(f.held[contestOf(e)], e.Allocation.Attempt)
		return
	}
	put(f.held, contestOf(e), e.Allocation.Attempt, e)
}

func put(m map[rules.ContestID]map[rules.Identity]*rules.Entry, c rules.ContestID, id rules.Identity, e *rules.Entry) {
	if m[c] == nil {
		m[c] = map[rules.Identity]*rules.Entry{}
	}
	m[c][id] = e
}

// take adds an entry of the cuts that the report covers.
func (f *fold) take(e *rules.Entry) {
	if !f.started {
		f.part = part{
			started: true, awards: map[placed]*rules.Entry{}, boards: map[rules.ContestID]*rules.Entry{},
			touched: map[rules.ContestID]map[rules.Identity]*rules.Entry{},
			report:  Empty(),
		}
		f.report.Cut = &Cut{From: e.Cut}
	}
	c, r := contestOf(e), &f.report
	switch e.Kind {
	case rules.KindAward:
		f.awards[placed{c, e.Award.Place, e.Award.Claim.Subject}] = e
	case rules.KindBoard:
		f.boards[c] = e
	case rules.KindAllocation:
		put(f.touched, c, e.Allocation.Attempt, e)
	case rules.KindCorrection:
		r.Corrections = append(r.Corrections, correctionOf(e))
		if e.Correction.Policy != rules.Keep {
			f.withdraw(e)
		}
	case rules.KindCompensation:
		x := e.Compensation
		r.Compensations = append(r.Compensations, Compensation{
			Kind: x.Kind, Rule: e.Rule, Scope: string(e.Scope), Subject: x.Subject, Because: x.Because,
			Item: Text(x.Item), Takes: x.Takes, Window: e.Window, Outcome: e.ID,
		})
	case rules.KindCommitment:
		for i, digest := range e.Commitment.Digests {
			r.Commitments = append(r.Commitments, Commitment{e.Rule, string(e.Scope), e.Window, i + 1, digest})
		}
	case rules.KindWaiting:
		r.wait(e)
	case rules.KindSettled:
		r.Cut.Events += e.Settled.Events
		r.Cut.Late += e.Settled.Late
		r.Cut.TooLate += e.Settled.TooLate
		r.Cut.Refused, r.Cut.Behind = orNone(e.Settled.Refused), orNone(e.Settled.Behind)
		r.lack(e.Settled)
	case rules.KindConflict: // every report has the first of all cuts, and their number
	case rules.KindPrize: // is in the lines of its board
	}
}

// wait adds what waits in a contest, of an achievement for a subject, in the place of what
// waited there before.
func (r *Report) wait(e *rules.Entry) {
	r.Waiting = slices.DeleteFunc(r.Waiting, func(w Waiting) bool {
		return contestID(w.Rule, w.Scope, w.Window) == contestOf(e) && string(w.Subject) == e.Waiting.Subject
	})
	if len(e.Waiting.Changes) == 0 {
		return
	}
	w := Waiting{Rule: e.Rule, Scope: string(e.Scope), Window: e.Window, Subject: Text(e.Waiting.Subject), Reason: e.Waiting.Reason, Outcome: e.ID, FinalAt: e.Waiting.FinalAt}
	for _, c := range e.Waiting.Changes {
		w.Changes = append(w.Changes, Change{c.Place, orNone(c.Gains), orNone(c.Keeps), orNone(c.Loses), Text(c.Item)})
	}
	r.Waiting = append(r.Waiting, w)
}

// lack says what numbers the log lacks, in the place of what a cut before lacked.
func (r *Report) lack(s *rules.Settled) {
	r.Lacks, r.MoreLack = []Lack{}, s.MoreLack
	for _, l := range s.Lacks {
		if !l.Sparse {
			r.Lacks = append(r.Lacks, Lack{l.Server, orNone(l.Gaps), l.Older})
		}
	}
}

func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// withdraw takes the award or board that a correction ends out of the report.
func (f *fold) withdraw(e *rules.Entry) {
	k := placed{contestOf(e), e.Correction.Place, e.Correction.Subject}
	if a, ok := f.awards[k]; ok && a.ID == e.Correction.Corrects {
		delete(f.awards, k)
	}
	if b, ok := f.boards[k.ContestID]; ok && b.ID == e.Correction.Corrects {
		delete(f.boards, k.ContestID)
	}
}

// finish returns the report as of the cut and begins the next.
func (f *fold) finish(cut *rules.Cut) Report {
	r := f.report
	c := r.Cut
	c.Number, c.Kind, c.Through, c.AsOf = cut.Number, cut.Kind, cut.Through, cut.AsOf
	c.Complete, c.Effects, c.Ruleset, c.Lagging = cut.Complete, cut.Effects, cut.Ruleset, []Lag{}
	for _, l := range hour.Lagging(cut, 0) {
		c.Lagging = append(c.Lagging, Lag{l.Node, l.Region, l.Server, l.Since, l.Until})
	}
	r.Waiting = slices.DeleteFunc(r.Waiting, func(w Waiting) bool { return w.FinalAt != 0 && w.FinalAt <= cut.AsOf })
	r.Conflicts, r.ConflictsTotal = slices.Clip(f.conflicts), f.told
	r.cutOf, r.rules = f.cutOf, f.rules
	if f.perCut { // by its own rules alone, whichever reports it is read with
		r.rules = f.rulesets[cut.Ruleset]
	}
	r.Rules = slices.Sorted(maps.Keys(r.rules))
	r.Awards = slices.Grow(r.Awards, len(f.awards))
	for _, k := range slices.SortedFunc(maps.Keys(f.awards), func(a, b placed) int {
		return cmp.Or(a.Compare(b.ContestID), cmp.Compare(a.place, b.place), cmp.Compare(a.subject, b.subject))
	}) {
		r.Awards = append(r.Awards, f.award(f.awards[k], cut))
	}
	for _, c := range slices.SortedFunc(maps.Keys(f.boards), rules.ContestID.Compare) {
		r.Leaderboards = append(r.Leaderboards, f.board(f.boards[c], cut))
	}
	for _, c := range slices.SortedFunc(maps.Keys(f.touched), rules.ContestID.Compare) {
		r.Sales = append(r.Sales, saleOf(c, f.touched[c], f.held[c]))
	}
	f.part = part{}
	return r
}

// state returns how sure an outcome is once the cut is settled.
func state(s rules.AwardState, finalAt rules.Instant, cut *rules.Cut) rules.AwardState {
	if s != rules.Held && finalAt <= cut.AsOf {
		return rules.Final
	}
	return s
}

func (f *fold) award(e *rules.Entry, cut *rules.Cut) Award {
	a := e.Award
	shown := Award{
		Rule: e.Rule, Scope: string(e.Scope), Window: e.Window, Place: a.Place, Subject: a.Claim.Subject,
		At: a.Claim.At, Earliest: a.Claim.Earliest, Latest: a.Claim.Latest, UncertaintyNs: a.Claim.UncertaintyNs(), Tied: a.Tied,
		Until: a.Until, WaitsFor: a.WaitsFor, Refines: Text(a.Refines), Trust: a.Trust,
		State: state(a.State, a.FinalAt, cut), Outcome: e.ID, Corrects: Text(a.Corrects), Prize: Text(a.Claim.Prize),
		RunnersUp: []RunnerUp{}, CorrectedBy: Text(f.correctedBy[e.ID]), FinalAt: a.FinalAt, Seed: a.Seed, claim: a.Claim,
	}
	for _, c := range a.RunnersUp {
		shown.RunnersUp = append(shown.RunnersUp, RunnerUp{c.Subject, c.At, c.Earliest, c.Latest, c.UncertaintyNs(), c})
	}
	return shown
}

func (f *fold) board(e *rules.Entry, cut *rules.Cut) Leaderboard {
	b := Leaderboard{
		Rule: e.Rule, Scope: string(e.Scope), Window: e.Window, Lacking: e.Board.Lacking, Refines: Text(e.Board.Refines), State: state(rules.Provisional, e.Board.FinalAt, cut),
		Outcome: e.ID, Corrects: Text(e.Board.Corrects), Standings: []Line{},
		CorrectedBy: Text(f.correctedBy[e.ID]), FinalAt: e.Board.FinalAt,
	}
	for _, l := range e.Board.Lines {
		b.Standings = append(b.Standings, Line{
			Place: l.Place, Subject: l.Subject, Score: l.Score, Reached: l.Reached, Earliest: l.Earliest, Latest: l.Latest,
			UncertaintyNs: int64(l.Latest-l.Earliest) / 2, Tied: l.Tied, Prize: Text(l.Prize),
		})
	}
	return b
}

func correctionOf(e *rules.Entry) Correction {
	c := e.Correction
	return Correction{
		Rule: e.Rule, Scope: string(e.Scope), Window: e.Window, Corrects: c.Corrects, Place: c.Place, Subject: Text(c.Subject),
		Found: Text(c.Found), Gains: orNone(c.Gains), Keeps: orNone(c.Keeps), Loses: orNone(c.Loses), Denied: orNone(c.Denied), Policy: c.Policy, Reason: c.Reason, Outcome: e.ID,
	}
}
