package settle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"photofinish/rules"
	"photofinish/rules/rulefile"
	"photofinish/settle/evidence"
)

// ErrUnknown says that there is nothing to explain: no such rule, or no evidence.
var ErrUnknown = errors.New("nothing is known")

// Explanation is the evidence about a subject under one rule, as of the last
// settled cut.
type Explanation struct {
	Rule        string        `json:"rule"`
	Description string        `json:"description"`
	Subject     string        `json:"subject"`
	Cut         uint64        `json:"cut"`
	Through     rules.Instant `json:"through"`
	Contests    []Case        `json:"contests"` // the latest window first
}

// Case is the evidence about a subject in one contest.
type Case struct {
	Scope    rules.Scope    `json:"scope"`
	Window   rules.Window   `json:"window"`
	Events   int            `json:"events"` // identities that count
	Copies   int            `json:"copies"` // further rows of these in the log
	Tally    rules.Amount   `json:"tally"`  // what they add up to
	Needed   int64          `json:"needed,omitempty"`
	First    rules.Instant  `json:"first,omitzero"` // of its events
	Last     rules.Instant  `json:"last,omitzero"`
	Claim    *rules.Claim   `json:"claim"`    // null: the number was not reached
	Deciding *DecidingEvent `json:"deciding"` // the event that made it full
	Entries  []rules.Entry  `json:"entries"`  // what the ledger says about the subject, in order
	// Winners are who has what the subject has not, if there is such a thing to have once
	// only: of a first each place, of a board its first line and its last, of a sale the
	// first and the last attempt that got a unit. Empty where the subject has a place, is the
	// first of the board or has a unit.
	Winners []Winner `json:"winners"`
	// Conflicts are the events of the subject that came with other content, too.
	Conflicts []Dispute `json:"conflicts"`
}

// Winner is who has what the subject of a case has not, as the ledger has it.
type Winner struct {
	Place    int              `json:"place,omitempty"` // from 1; 0: of a sale
	Subject  string           `json:"subject"`
	Score    *rules.Amount    `json:"score,omitempty"` // of a board
	Point    rules.Instant    `json:"point"`           // when it was reached by the corrected clocks; of a sale, asked for
	Earliest rules.Instant    `json:"earliest"`
	Latest   rules.Instant    `json:"latest"`
	State    rules.AwardState `json:"state,omitempty"`
	Outcome  string           `json:"outcome"`
	// AheadNs is by how much the winner was before the subject, by the corrected clocks; it
	// is negative where the subject was before. Null: the subject did not come so far, or it
	// is not time that decides.
	AheadNs *int64 `json:"ahead_ns"`
	Certain bool   `json:"certain"` // the intervals of the two do not meet
}

// Dispute is an event that came with other content, too.
type Dispute struct {
	rules.Identity
	Counts  bool     `json:"counts"`  // the content that names the subject is the one that counts
	Players []string `json:"players"` // whom the contents name, sorted
}

// DecidingEvent is an event and where it lies.
type DecidingEvent struct {
	rules.Identity
	At        rules.Instant     `json:"at"` // the stamp, as the server gave it
	Earliest  rules.Instant     `json:"earliest"`
	Latest    rules.Instant     `json:"latest"`
	ErrNs     int64             `json:"uncertainty_ns"` // half the distance of the two, rounded down
	Backdated bool              `json:"backdated,omitempty"`
	Seq       uint64            `json:"seq,string"`
	Target    string            `json:"target,omitempty"`
	SKU       string            `json:"sku,omitempty"`
	Attrs     map[string]string `json:"attrs,omitempty"`
	Node      string            `json:"node"`
	Offset    uint64            `json:"offset,string"`
	Content   rules.Content     `json:"content"`
}

// Explain returns the evidence about a subject, read anew from the log as the last
// settled cut bounds it. The error is ErrUnknown if there is none.
func (s *Settler) Explain(ctx context.Context, rule, subject string) (*Explanation, error) {
	last, err := s.ledger.Last(ctx)
	if err != nil {
		return nil, err
	}
	if last.Cut.Number == 0 {
		return nil, fmt.Errorf("%w: nothing is settled yet; run settle first", ErrUnknown)
	}
	set, err := s.ledger.Ruleset(ctx, last.Cut.Ruleset)
	if err != nil {
		return nil, err
	}
	r := set.Rule(rule)
	if r == nil {
		return nil, fmt.Errorf("%w: the ruleset has no rule %q", ErrUnknown, rule)
	}
	cut := &last.Cut
	of, err := s.evidence.Subject(ctx, r, cut, subject)
	if err != nil {
		return nil, err
	}
	if len(of.Records)+len(of.Rivals) == 0 {
		return nil, fmt.Errorf("%w: no event before %s counts for rule %s and %s %q", ErrUnknown, cut.Through, rule, r.Subject, subject)
	}
	ledger, err := s.ledger.OfRule(ctx, rule)
	if err != nil {
		return nil, err
	}
	conflicts, err := s.conflictsOf(ctx, of)
	if err != nil {
		return nil, err
	}
	x := &Explanation{Rule: rule, Description: rulefile.Describe(r), Subject: subject, Cut: cut.Number, Through: cut.Through}
	for _, c := range contestsOf(r, slices.Concat(of.Records, of.Rivals)) {
		within := func(all []rules.Record) []rules.Record {
			return slices.DeleteFunc(slices.Clone(all), func(rec rules.Record) bool {
				of, ok := r.ContestOf(&rec)
				return !ok || of != c
			})
		}
		entries := slices.DeleteFunc(slices.Clone(ledger), func(e rules.Entry) bool { return e.Scope != c.Scope || e.Window != c.Window })
		y := explainContest(c, subject, within(of.Records), of.Copies)
		y.Winners = winners(c.Rule, &y, subject, entries)
		y.Entries = slices.DeleteFunc(entries, func(e rules.Entry) bool { return !names(&e, subject) })
		y.dispute(within(of.Records), true, conflicts)
		y.dispute(within(of.Rivals), false, conflicts)
		x.Contests = append(x.Contests, y)
	}
	return x, nil
}

// conflictsOf returns whom the contents of the subject's conflicts name, as the ledger told it.
func (s *Settler) conflictsOf(ctx context.Context, of *evidence.OfSubject) (map[rules.Identity][]string, error) {
	players := map[rules.Identity][]string{}
	if len(of.Conflicts) == 0 {
		return players, nil
	}
	for _, c := range of.Conflicts {
		players[c.Identity] = []string{}
	}
	told, err := s.ledger.Conflicts(ctx, 1)
	if err != nil {
		return nil, err
	}
	for _, e := range told {
		if _, asked := players[e.Conflict.Identity]; asked {
			players[e.Conflict.Identity] = e.Conflict.Players
		}
	}
	return players, nil
}

// dispute adds the conflicts among events of the subject.
func (x *Case) dispute(records []rules.Record, counts bool, conflicts map[rules.Identity][]string) {
	for i := range records {
		if players, ok := conflicts[records[i].Identity()]; ok {
			x.Conflicts = append(x.Conflicts, Dispute{records[i].Identity(), counts, players})
		}
	}
}

// winners returns who has what the subject has not, from the entries of the contest.
func winners(r *rules.Rule, x *Case, subject string, entries []rules.Entry) []Winner {
	var standing rules.Standing
	for _, e := range entries {
		standing.Apply(e)
	}
	won := []Winner{}
	switch r.Kind {
	case rules.WorldFirst:
		awards := standing.Awards()
		if slices.ContainsFunc(awards, func(e rules.Entry) bool { return e.Award.Claim.Subject == subject }) {
			return won
		}
		for i := range awards {
			a := awards[i].Award
			w := Winner{Place: a.Place, Subject: a.Claim.Subject, Point: a.Claim.Point, Earliest: a.Claim.Earliest, Latest: a.Claim.Latest, State: a.State, Outcome: awards[i].ID}
			if x.Claim != nil {
				w.against(x.Claim.Point, x.Claim.Earliest, x.Claim.Latest)
			}
			won = append(won, w)
		}
	case rules.Leaderboard:
		e := standing.Board()
		if e == nil || len(e.Board.Lines) == 0 || e.Board.Lines[0].Subject == subject {
			return won
		}
		for _, l := range ends(e.Board.Lines) {
			w := Winner{Place: l.Place, Subject: l.Subject, Score: &l.Score, Point: l.Reached, Earliest: l.Earliest, Latest: l.Latest, Outcome: e.ID}
			if x.Claim != nil && l.Score == x.Tally {
				w.against(x.Claim.Point, x.Claim.Earliest, x.Claim.Latest)
			}
			if l.Subject != subject {
				won = append(won, w)
			}
		}
	case rules.Sale:
		won = append(won, buyers(standing.Allocations(), subject)...)
	case rules.Achievement: // nobody's takes anybody's
	}
	return won
}

// buyers returns the first and the last of those who got a unit of a limited sale, before
// the first attempt of the subject, which got none.
func buyers(attempts []rules.Entry, subject string) []Winner {
	var mine *rules.Allocation
	var served []rules.Entry
	for i := range attempts {
		a := attempts[i].Allocation
		switch {
		case a.Stock == 0, a.Player == subject && a.State == rules.Reserved:
			return nil
		case a.Player == subject && (mine == nil || a.Instant < mine.Instant):
			mine = a
		case a.State == rules.Reserved:
			served = append(served, attempts[i])
		}
	}
	slices.SortFunc(served, func(a, b rules.Entry) int {
		return cmp.Or(cmp.Compare(a.Allocation.Instant, b.Allocation.Instant), a.Allocation.Attempt.Compare(b.Allocation.Attempt))
	})
	var won []Winner
	for _, e := range ends(served) {
		a := e.Allocation
		w := Winner{Subject: a.Player, Point: a.Instant, Earliest: a.Earliest, Latest: a.Latest, Outcome: e.ID}
		if mine != nil {
			w.against(mine.Instant, mine.Earliest, mine.Latest)
		}
		won = append(won, w)
	}
	return won
}

// ends returns the first and the last of a list, once if they are one.
func ends[T any](list []T) []T {
	if len(list) <= 2 {
		return list
	}
	return []T{list[0], list[len(list)-1]}
}

// against says how the winner stands to the subject's own instant.
func (w *Winner) against(point, earliest, latest rules.Instant) {
	ahead := int64(point - w.Point)
	w.AheadNs, w.Certain = &ahead, w.Latest < earliest || latest < w.Earliest
}

// contestsOf returns the contests that the records count in, the latest first.
func contestsOf(r *rules.Rule, records []rules.Record) []rules.Contest {
	var contests []rules.Contest
	for i := range records {
		if c, ok := r.ContestOf(&records[i]); ok {
			contests = append(contests, c)
		}
	}
	slices.SortFunc(contests, func(a, b rules.Contest) int { return b.Compare(a) })
	return slices.Compact(contests)
}

func explainContest(c rules.Contest, subject string, records []rules.Record, copies map[rules.Identity]int) Case {
	x := Case{Scope: c.Scope, Window: c.Window, Events: len(records), Tally: c.Rule.Tally(records), Needed: c.Rule.Threshold, Conflicts: []Dispute{}}
	for i := range records {
		if i == 0 {
			x.First, x.Last = records[i].Instant, records[i].Instant
		}
		x.First, x.Last = min(x.First, records[i].Instant), max(x.Last, records[i].Instant)
		x.Copies += copies[records[i].Identity()] - 1
	}
	n := rules.Whole(c.Rule.Threshold)
	if c.Rule.Kind == rules.Leaderboard {
		n = x.Tally
	}
	if !n.IsZero() {
		if run, ok := c.Rule.Run(subject, records, n); ok {
			x.Claim = &run.Claim
			i := slices.IndexFunc(records, func(rec rules.Record) bool { return rec.Identity() == run.Decided })
			rec := &records[i]
			x.Deciding = &DecidingEvent{
				Identity: rec.Identity(), At: rec.At, Earliest: rec.Earliest, Latest: rec.Latest, ErrNs: int64(rec.Latest-rec.Earliest) / 2,
				Backdated: rec.Backdated, Seq: rec.Seq, Target: rec.Target, SKU: rec.SKU,
				Attrs: rec.Attrs, Node: rec.Node, Offset: rec.Offset, Content: rec.Content,
			}
		}
	}
	return x
}

// names reports whether the entry is about the subject.
func names(e *rules.Entry, subject string) bool {
	switch e.Kind {
	case rules.KindAward:
		return e.Award.Claim.Subject == subject
	case rules.KindBoard:
		return slices.ContainsFunc(e.Board.Lines, func(l rules.Line) bool { return l.Subject == subject })
	case rules.KindPrize:
		return e.Prize.Subject == subject
	case rules.KindAllocation:
		return e.Allocation.Player == subject
	case rules.KindCorrection:
		return e.Correction.Subject == subject || e.Correction.Found == subject
	case rules.KindCompensation:
		return e.Compensation.Subject == subject
	}
	return false
}
