package settle

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"photofinish/rules"
	"photofinish/rules/rulefile"
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
	First    rules.Instant  `json:"first"` // of its events
	Last     rules.Instant  `json:"last"`
	Claim    *rules.Claim   `json:"claim"`    // null: the number was not reached
	Deciding *DecidingEvent `json:"deciding"` // the event that made it full
	Entries  []rules.Entry  `json:"entries"`  // what the ledger says about the subject, in order
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
	records, copies, err := s.evidence.Subject(ctx, r, cut, subject)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("%w: no event before %s counts for rule %s and %s %q", ErrUnknown, cut.Through, rule, r.Subject, subject)
	}
	ledger, err := s.ledger.OfRule(ctx, rule)
	if err != nil {
		return nil, err
	}
	ledger = slices.DeleteFunc(ledger, func(e rules.Entry) bool { return !names(&e, subject) })
	x := &Explanation{Rule: rule, Description: rulefile.Describe(r), Subject: subject, Cut: cut.Number, Through: cut.Through}
	for _, c := range contestsOf(r, records) {
		counting := slices.DeleteFunc(slices.Clone(records), func(rec rules.Record) bool {
			of, ok := r.ContestOf(&rec)
			return !ok || of != c
		})
		x.Contests = append(x.Contests, explainContest(c, subject, counting, copies, ledger))
	}
	return x, nil
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

func explainContest(c rules.Contest, subject string, records []rules.Record, copies map[rules.Identity]int, ledger []rules.Entry) Case {
	x := Case{Scope: c.Scope, Window: c.Window, Events: len(records), Tally: c.Rule.Tally(records), Needed: c.Rule.Threshold}
	x.First, x.Last = records[0].Instant, records[0].Instant
	for i := range records {
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
	x.Entries = []rules.Entry{}
	for _, e := range ledger {
		if e.Scope == c.Scope && e.Window == c.Window {
			x.Entries = append(x.Entries, e)
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
