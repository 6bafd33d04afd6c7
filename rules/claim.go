package rules

import (
	"cmp"
	"slices"
)

// Claim says when a subject reached a number: at some instant from Earliest to
// Latest, by point estimate at Point.
type Claim struct {
	Subject  string   `json:"subject"`
	At       Instant  `json:"at"`       // the stamp of the deciding event, as its server gave it
	Point    Instant  `json:"point"`    // the point estimate: what the corrected stamps alone say
	Earliest Instant  `json:"earliest"` // when the number can have been reached at the earliest …
	Latest   Instant  `json:"latest"`   // … and at the latest
	Decided  Identity `json:"decided_by"`
	Region   string   `json:"region,omitempty"` // of the deciding event
	Prize    string   `json:"prize,omitempty"`
}

// UncertaintyNs returns half the distance of the ends, rounded down, nanoseconds.
func (c *Claim) UncertaintyNs() int64 { return int64(c.Latest-c.Earliest) / 2 }

// OffNs returns how far from the point estimate it may have been at most, nanoseconds.
// The interval need not lie evenly around the point: a stamp of whole seconds begins it.
func (c *Claim) OffNs() int64 { return int64(max(c.Latest-c.Point, c.Point-c.Earliest, 0)) }

// DependsBeyond reports whether the claim, and how it is placed among others, may change
// by further events of its subject that all begin after an instant. By events that begin
// after its end and the slack of the clocks (see Slack) it does not.
func (c *Claim) DependsBeyond(i, slack Instant) bool { return c.Latest+slack > i }

// compareClaims is the stated order where nothing certain separates claims: the
// point estimate, then the subject.
func compareClaims(a, b *Claim) int {
	return cmp.Or(cmp.Compare(a.Point, b.Point), cmp.Compare(a.Subject, b.Subject))
}

// Run is a claim with the events that count for its subject in a contest, from
// which it is compared with others: about 100 bytes an event.
type Run struct {
	Claim
	events   []countedEvent // in the order of compareServerOrder
	distinct bool           // an event counts when its value is first seen
	lot      string         // who draws a lot for it; "": the subject
}

// countedEvent is what the order of claims needs of an event that counts.
type countedEvent struct {
	server string
	at     Instant
	seq    uint64
	id     string
	e, l   Instant // when it can have happened at the earliest and at the latest
	amount Amount  // never 0
	value  string  // of a distinct measure
}

// compareServerOrder orders events by server, then in the server's own order, and then
// by ID, which is no evidence of time but makes the order total.
func compareServerOrder(a, b *countedEvent) int {
	return cmp.Or(cmp.Compare(a.server, b.server), cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq), cmp.Compare(a.id, b.id))
}

// beforeOnServer reports whether both are of one server, and a is before b in its own
// order: by stamp, and of one stamp by a running number that both have.
func beforeOnServer(a, b *countedEvent) bool {
	if a.server != b.server {
		return false
	}
	if a.at == b.at {
		return a.seq != 0 && b.seq != 0 && a.seq < b.seq
	}
	return a.at < b.at
}

// Run returns when the subject reached n, and from what, of records that all count
// for the rule and the subject in one scope and window, one for each identity. It
// reports false if they never reach n.
//
// The ends of the events' intervals are first made to agree with their servers' own
// order (see agree). With amounts a1, a2, … the claim lies between the instant at
// which the sum is n if every event happened as early as it can have, and the same
// as late as it can have. An event that can only have happened after the claim's end
// changes neither.
// The result does not depend on the order of records, which is left unmodified. Run
// panics if n is 0.
func (r *Rule) Run(subject string, records []Record, n Amount) (Run, bool) {
	if n.IsZero() {
		panic("rules: a claim needs a number from 1")
	}
	counted := r.counted(records)
	run := Run{Claim: Claim{Subject: subject}, distinct: r.Measure.Kind == MeasureDistinct, events: make([]countedEvent, len(counted))}
	for i, rec := range counted {
		run.events[i] = r.countedEvent(rec)
	}
	if run.total().Compare(n) < 0 {
		return Run{}, false
	}
	ends := agree(run.events)
	order := byPlace(len(run.events))
	latest := func(i int) Instant { return ends[i].l }
	run.Latest = latest(run.fills(by(order, latest), n))
	earliest := func(i int) Instant { return ends[i].e }
	run.Earliest = earliest(run.fills(by(order, earliest), n))
	point := func(i int) Instant { return min(max(counted[i].Instant, ends[i].e), ends[i].l) }
	decided := run.fills(by(order, point), n)
	run.Point = point(decided)
	if run.oneServer(ends) {
		inTime := slices.DeleteFunc(byPlace(len(counted)), func(i int) bool { return ends[i].e > run.Latest })
		decided = run.fills(inTime, n)
	}
	rec := counted[decided]
	run.At, run.Decided, run.Region, run.Prize = rec.At, rec.Identity(), rec.Region, r.Prize.For(&rec.Event)
	return run, true
}

// Tally returns what the records add up to for the rule.
func (r *Rule) Tally(records []Record) Amount {
	run := Run{distinct: r.Measure.Kind == MeasureDistinct}
	for _, rec := range r.counted(records) {
		run.events = append(run.events, r.countedEvent(rec))
	}
	return run.total()
}

// counted returns the records that add something, in the order of compareServerOrder.
func (r *Rule) counted(records []Record) []*Record {
	counted := make([]*Record, 0, len(records))
	for i := range records {
		if amount, _ := r.Amount(&records[i].Event); !amount.IsZero() {
			counted = append(counted, &records[i])
		}
	}
	slices.SortFunc(counted, comparePosition)
	return counted
}

// comparePosition orders records as compareServerOrder orders what is made of them.
func comparePosition(a, b *Record) int {
	return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(a.At, b.At), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.ID, b.ID))
}

func (r *Rule) countedEvent(rec *Record) countedEvent {
	amount, _ := r.Amount(&rec.Event)
	ev := countedEvent{server: rec.Server, at: rec.At, seq: rec.Seq, id: rec.ID, e: rec.Earliest, l: rec.Latest, amount: amount}
	if r.Measure.Kind == MeasureDistinct {
		ev.value = rec.Field(r.Measure.Key)
	}
	return ev
}

// total returns what the events add up to.
func (run *Run) total() Amount {
	sum := Amount{}
	seen := map[string]bool{}
	for i := range run.events {
		sum = sum.Add(run.adds(i, seen))
	}
	return sum
}

// adds returns what an event adds after those that filled seen.
func (run *Run) adds(i int, seen map[string]bool) Amount {
	ev := &run.events[i]
	if run.distinct {
		if seen[ev.value] {
			return Amount{}
		}
		seen[ev.value] = true
	}
	return ev.amount
}

// by sorts the events' indexes by an instant, then by compareServerOrder, and returns
// them. Where they are sorted by another end of the intervals, little is left to do.
func by(order []int, when func(int) Instant) []int {
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(when(a), when(b)), cmp.Compare(a, b)) })
	return order
}

func byPlace(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

// fills returns the event with which the sum, taken in that order, first comes to n.
func (run *Run) fills(order []int, n Amount) int {
	sum := Amount{}
	seen := map[string]bool{}
	for _, i := range order {
		if sum = sum.Add(run.adds(i, seen)); sum.Compare(n) >= 0 {
			return i
		}
	}
	panic("rules: the records do not reach the number")
}

// oneServer reports whether everything that can have happened by the end of the
// claim is of one server, whose own order then says which event decided.
func (run *Run) oneServer(ends []span) bool {
	server := ""
	for i := range run.events {
		if ends[i].e > run.Latest {
			continue
		}
		if s := run.events[i].server; server == "" {
			server = s
		} else if s != server {
			return false
		}
	}
	return true
}

// span is an interval with both its ends.
type span struct{ e, l Instant }

// agree returns the ends of events, which are in the order of compareServerOrder, made to
// agree with their servers' own order: along it the earliest never falls, and no
// latest is after a later event's. Where estimates contradict the order the two
// ends change places; both still never fall, so that the servers' order and the
// intervals together stay a strict partial order.
func agree(events []countedEvent) []span {
	ends := make([]span, len(events))
	agreeInto(ends, len(events), func(i int) *countedEvent { return &events[i] })
	return ends
}

func agreeInto(ends []span, n int, event func(int) *countedEvent) {
	for start := 0; start < n; {
		end := start + 1
		for end < n && event(end).server == event(start).server {
			end++
		}
		raise(ends, start, end, event)
		lower(ends, start, end, event)
		start = end
	}
	for i := range n {
		if s := ends[i]; s.e > s.l {
			ends[i] = span{s.l, s.e}
		}
	}
}

// raise sets each earliest of one server's events to the greatest of its own and those
// of the events that the server puts before it. The server puts an event without a
// running number neither before nor after others of its stamp.
func raise(ends []span, start, end int, event func(int) *countedEvent) {
	before := -Never // the greatest of earlier stamps
	for i := start; i < end; {
		numbered, all := before, before // of smaller numbers; of the whole stamp
		for j := i; ; {
			k, greatest := j, -Never // of one number
			for ; k < end && event(k).at == event(i).at && event(k).seq == event(j).seq; k++ {
				ends[k].e = max(event(k).e, numbered)
				greatest = max(greatest, event(k).e)
			}
			all = max(all, greatest)
			if event(j).seq != 0 {
				numbered = max(numbered, greatest)
			}
			if j = k; j >= end || event(j).at != event(i).at {
				i, before = j, all
				break
			}
		}
	}
}

// lower sets each latest to the least of its own and those of the events that the
// server puts after it.
func lower(ends []span, start, end int, event func(int) *countedEvent) {
	after := Never // the least of later stamps
	for i := end - 1; i >= start; {
		numbered, all := after, after
		for j := i; ; {
			own := numbered
			if event(j).seq == 0 {
				own = after
			}
			k, least := j, Never
			for ; k >= start && event(k).at == event(i).at && event(k).seq == event(j).seq; k-- {
				ends[k].l = min(event(k).l, own)
				least = min(least, event(k).l)
			}
			all, numbered = min(all, least), min(numbered, least)
			if j = k; j < start || event(j).at != event(i).at {
				i, after = j, all
				break
			}
		}
	}
}

// Alone returns the run without its events, for a claim that is never compared with
// another: it takes no memory for them.
func (run Run) Alone() Run { return Run{Claim: run.Claim} }
