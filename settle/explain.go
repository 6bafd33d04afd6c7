package settle

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"

	"photofinish/rules"
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
	Scope    string         `json:"scope"`
	Window   rules.Window   `json:"window"`
	Events   int            `json:"events"` // identities that count
	Copies   int            `json:"copies"` // further rows of these in the log
	Tally    int64          `json:"tally"`  // what they add up to
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
	At      rules.Instant     `json:"at"`
	ErrNs   int64             `json:"uncertainty_ns"`
	Seq     uint64            `json:"seq,string"`
	Target  string            `json:"target,omitempty"`
	SKU     string            `json:"sku,omitempty"`
	Attrs   map[string]string `json:"attrs,omitempty"`
	Node    string            `json:"node"`
	Offset  uint64            `json:"offset,string"`
	Content rules.Content     `json:"content"`
}

// Explain returns the evidence about a subject, read anew from the log as the last
// settled cut bounds it. The error is ErrUnknown if there is none.
func (s *Settler) Explain(ctx context.Context, rule, subject string) (*Explanation, error) {
	st, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	if st.set == nil {
		return nil, fmt.Errorf("%w: nothing is settled yet; run settle first", ErrUnknown)
	}
	r := st.set.Rule(rule)
	if r == nil {
		return nil, fmt.Errorf("%w: the ruleset has no rule %q", ErrUnknown, rule)
	}
	cut := st.told()
	records, copies, err := s.evidenceOf(ctx, cut, r, subject, st.conflicts)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("%w: no event before %s counts for rule %s and %s %q", ErrUnknown, cut.Through, rule, r.Subject, subject)
	}
	ledger, err := s.entriesOf(ctx, rule, subject)
	if err != nil {
		return nil, err
	}
	x := &Explanation{Rule: rule, Description: r.Describe(), Subject: subject, Cut: cut.Number, Through: cut.Through}
	for _, key := range contestsOf(r, records) {
		c := rules.Contest{Rule: r, Scope: key.scope, Window: key.window}
		counting := slices.DeleteFunc(slices.Clone(records), func(rec rules.Record) bool {
			return !c.Window.Contains(rec.Instant) || r.ScopeOf(&rec.Event) != c.Scope
		})
		x.Contests = append(x.Contests, explainContest(c, subject, counting, copies, ledger))
	}
	return x, nil
}

// evidenceOf returns all records that count for the rule and subject, in any
// window, and how many further rows each identity has.
func (s *Settler) evidenceOf(ctx context.Context, cut *rules.Cut, r *rules.Rule, subject string, conflicts map[rules.Identity]rules.Content) ([]rules.Record, map[rules.Identity]int, error) {
	q := &query{}
	rows, err := s.store.conn.Query(ctx, "SELECT "+recordColumns+"\nFROM event_log\nWHERE "+q.within(cut)+" AND "+q.matches(r)+
		" AND "+r.Subject+" = "+q.text(subject)+"\nORDER BY server, id, err_ns, node, offset", q.args...)
	if err != nil {
		return nil, nil, fmt.Errorf("read the events of %s: %w", subject, err)
	}
	defer rows.Close()
	var records []rules.Record
	copies := map[rules.Identity]int{}
	for rows.Next() {
		rec, err := scanRecord(rows)
		if err != nil {
			return nil, nil, fmt.Errorf("read the events of %s: %w", subject, err)
		}
		records = append(records, rec)
		copies[rec.Identity()]++
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("read the events of %s: %w", subject, err)
	}
	return slices.DeleteFunc(rules.Unique(records, conflicts), func(rec rules.Record) bool { return !r.Match(&rec.Event) }), copies, nil
}

// contestsOf returns the contests that the records count in, the latest first.
func contestsOf(r *rules.Rule, records []rules.Record) []contestKey {
	var keys []contestKey
	for i := range records {
		if w, ok := r.Window.At(records[i].Instant); ok {
			keys = append(keys, contestKey{r.ID, r.ScopeOf(&records[i].Event), w})
		}
	}
	slices.SortFunc(keys, func(a, b contestKey) int { return contestKey.compare(b, a) })
	return slices.Compact(keys)
}

func explainContest(c rules.Contest, subject string, records []rules.Record, copies map[rules.Identity]int, ledger []rules.Entry) Case {
	x := Case{Scope: c.Scope, Window: c.Window, Events: len(records), Tally: c.Rule.Tally(records), Needed: c.Rule.Threshold}
	x.First, x.Last = records[0].Instant, records[0].Instant
	for i := range records {
		x.First, x.Last = min(x.First, records[i].Instant), max(x.Last, records[i].Instant)
		x.Copies += copies[records[i].Identity()] - 1
	}
	n := c.Rule.Threshold
	if c.Rule.Kind == rules.Leaderboard {
		n = x.Tally
	}
	if n > 0 {
		if claim, ok := c.Rule.Claim(subject, records, n); ok {
			x.Claim = &claim
			i := slices.IndexFunc(records, func(rec rules.Record) bool { return rec.Identity() == claim.Decided })
			rec := &records[i]
			x.Deciding = &DecidingEvent{
				Identity: rec.Identity(), At: rec.Instant, ErrNs: rec.ErrNs, Seq: rec.Seq, Target: rec.Target, SKU: rec.SKU,
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

// entriesOf returns the entries of a rule that name the subject, in order.
func (s *Settler) entriesOf(ctx context.Context, rule, subject string) ([]rules.Entry, error) {
	entries, err := s.store.queryEntries(ctx, `SELECT body
FROM ledger
WHERE rule = {rule:String}
ORDER BY cut, n
LIMIT 1 BY cut, n`, clickhouse.Named("rule", rule))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(entries, func(e rules.Entry) bool { return !names(&e, subject) }), nil
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
