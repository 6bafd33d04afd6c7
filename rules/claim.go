package rules

import (
	"cmp"
	"math"
	"slices"
)

// Claim says when a subject reached a number: at some instant from Earliest to
// Latest, most likely At. Where one server saw every event up to it, Server names
// that server and the claim can be compared with others of that server exactly, by
// ServerAt and Seq; otherwise Server is empty.
type Claim struct {
	Subject  string   `json:"subject"`
	At       Instant  `json:"at"`
	Earliest Instant  `json:"earliest"`
	Latest   Instant  `json:"latest"`
	Server   string   `json:"server,omitempty"`
	ServerAt Instant  `json:"server_at,omitempty"`
	Seq      uint64   `json:"seq,string,omitempty"`
	Decided  Identity `json:"decided_by"` // the event that made the number full
	Prize    string   `json:"prize,omitempty"`
}

// UncertaintyNs returns how far from At the claim can be, nanoseconds.
func (c *Claim) UncertaintyNs() int64 {
	return int64(max(c.At-c.Earliest, c.Latest-c.At))
}

// Claim returns when the subject reached n, from records that all count for the
// rule and the subject in one scope and window, one for each identity. It reports
// false if they never do.
//
// With amounts a1, a2, … the claim lies between the instant at which the sum is n
// if every event happened as early as it can have, and the same as late as it can
// have. The result does not depend on the order of records, which is left
// unmodified. Claim panics if n is below 1.
func (r *Rule) Claim(subject string, records []Record, n int64) (Claim, bool) {
	if n < 1 {
		panic("rules: a claim needs a number from 1")
	}
	counted := r.counted(records)
	if r.total(counted) < n {
		return Claim{}, false
	}
	c := Claim{Subject: subject}
	c.Latest = r.reach(counted, n, (*Record).Latest)
	// Only what can have happened by Latest can have made the number full, so a
	// later event never changes a claim: a settlement may keep it.
	counted = slices.DeleteFunc(counted, func(rec *Record) bool { return rec.Earliest() > c.Latest })
	c.Earliest = r.reach(counted, n, (*Record).Earliest)
	c.At = r.reach(counted, n, func(rec *Record) Instant { return rec.Instant })
	decided := r.fills(slices.SortedFunc(slices.Values(counted), comparePoint), n)
	if server, ok := onlyServer(counted); ok {
		decided = r.fills(slices.SortedFunc(slices.Values(counted), comparePosition), n)
		c.Server, c.ServerAt, c.Seq = server, decided.At, decided.Seq
	}
	c.Decided = decided.Identity()
	c.Prize = r.Prize.For(&decided.Event)
	return c, true
}

// Tally returns what the records add up to for the rule.
func (r *Rule) Tally(records []Record) int64 { return r.total(r.counted(records)) }

// counted returns the records that add something.
func (r *Rule) counted(records []Record) []*Record {
	counted := make([]*Record, 0, len(records))
	for i := range records {
		if r.amount(&records[i].Event) > 0 {
			counted = append(counted, &records[i])
		}
	}
	return counted
}

func (r *Rule) total(counted []*Record) int64 {
	total := int64(0)
	seen := map[string]bool{}
	for _, rec := range counted {
		total = addCapped(total, r.adds(rec, seen))
	}
	return total
}

// adds returns what the record adds after those that filled seen.
func (r *Rule) adds(rec *Record, seen map[string]bool) int64 {
	if r.Measure.Kind == MeasureDistinct {
		value := rec.Field(r.Measure.Key)
		if seen[value] {
			return 0
		}
		seen[value] = true
	}
	return r.amount(&rec.Event)
}

// reach returns the instant, of those that when gives, at which the amounts first
// add up to n, taking records in the order of when.
func (r *Rule) reach(counted []*Record, n int64, when func(*Record) Instant) Instant {
	byTime := slices.SortedFunc(slices.Values(counted), func(a, b *Record) int { return cmp.Compare(when(a), when(b)) })
	return when(r.fills(byTime, n))
}

// fills returns the record with which the amounts first add up to n.
func (r *Rule) fills(ordered []*Record, n int64) *Record {
	sum := int64(0)
	seen := map[string]bool{}
	for _, rec := range ordered {
		if sum = addCapped(sum, r.adds(rec, seen)); sum >= n {
			return rec
		}
	}
	panic("rules: the records do not reach the number")
}

// onlyServer returns the server that all records come from.
func onlyServer(counted []*Record) (string, bool) {
	for _, rec := range counted[1:] {
		if rec.Server != counted[0].Server {
			return "", false
		}
	}
	return counted[0].Server, true
}

// comparePoint orders records by their likeliest instant, then by what is unique.
func comparePoint(a, b *Record) int {
	return cmp.Or(cmp.Compare(a.Instant, b.Instant), cmp.Compare(a.Server, b.Server), comparePosition(a, b))
}

// comparePosition orders records of one server as the server saw them, then by ID,
// which is no evidence of time but makes the order total.
func comparePosition(a, b *Record) int {
	return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.ID, b.ID))
}

func addCapped(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
