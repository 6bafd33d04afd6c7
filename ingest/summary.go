package ingest

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"

	"photofinish/rules"
)

// Summary says what an import did. Its lists are sorted, so that the same input
// gives the same summary.
type Summary struct {
	Files        int    `json:"files"`         // read, members of archives included
	FilesSkipped int    `json:"files_skipped"` // found in folders and archives, but not of the format
	Lines        int    `json:"read"`
	Accepted     int    `json:"accepted"`           // events that entered the log, conflicts included
	Duplicates   int    `json:"duplicates"`         // events that were in the log with the same content
	Conflicts    int    `json:"conflicts"`          // of Accepted: in the log with another content under their identity
	Conflict     string `json:"conflict,omitempty"` // one of them: file:line
	Heartbeats   int    `json:"heartbeats"`         // not kept

	Refused []Refused `json:"refused"` // by reason; one line each has an example
	Skipped []Skipped `json:"skipped"` // lines that are no event, by kind, the most frequent first

	First  rules.Instant `json:"-"`             // the earliest instant of the events, duplicates included; 0: there are none
	Last   rules.Instant `json:"-"`             // the latest
	Offset uint64        `json:"offset,string"` // the node's last offset afterwards
}

// Refused counts the lines that were refused for one reason.
type Refused struct {
	Reason  string `json:"reason"`
	Count   int    `json:"count"`
	Example string `json:"example"` // file:line: error, and an excerpt of the line, safe to print
}

// Skipped counts the lines of one kind that is no event.
type Skipped struct {
	Kind  string `json:"kind"`
	Count int    `json:"count"`
}

// AllRefused reports whether the import read events and refused every one. Then it
// changed nothing, the watermark included.
func (s *Summary) AllRefused() bool {
	return len(s.Refused) > 0 && s.Accepted+s.Duplicates+s.Heartbeats == 0
}

// refusal says why a line was refused, in the two parts that make it: putting them
// together for every line would cost more than reading it.
type refusal struct{ field, why string }

func (r refusal) String() string { return strings.TrimPrefix(r.field+" "+r.why, " ") }

// reasonOf is what a refusal is counted by.
func reasonOf(err error) refusal {
	if line, ok := errors.AsType[lineError](err); ok {
		return refusal{"line", string(line)}
	}
	if field, ok := errors.AsType[*FieldError](err); ok {
		return field.reason()
	}
	return refusal{"", "is not an event"}
}

// maxKinds bounds the different kinds that lines are counted by; what comes after is
// "other".
const maxKinds = 200

type refusals map[refusal]*Refused

// count counts a refused line. first is true where it is the first for its reason.
func (t refusals) count(why refusal) (r *Refused, first bool) {
	r, ok := t[why]
	if !ok && len(t) >= maxKinds {
		why = refusal{"", "other"}
		r, ok = t[why]
	}
	if !ok {
		r = &Refused{Reason: why.String()}
		t[why] = r
	}
	r.Count++
	return r, !ok
}

// lineCounts is how often a line was no event.
type lineCounts struct {
	refused refusals
	skipped map[string]int
}

func newLineCounts() lineCounts { return lineCounts{refusals{}, map[string]int{}} }

func (t *lineCounts) skip(kind string, count int) {
	if _, ok := t.skipped[kind]; !ok && len(t.skipped) >= maxKinds {
		kind = "other"
	}
	t.skipped[kind] += count
}

// add adds other counts, in an order that does not depend on the maps'.
func (t *lineCounts) add(o lineCounts) {
	reasons := slices.SortedFunc(maps.Keys(o.refused), func(a, b refusal) int { return cmp.Or(cmp.Compare(a.field, b.field), cmp.Compare(a.why, b.why)) })
	for _, why := range reasons {
		more := o.refused[why]
		r, first := t.refused.count(why)
		r.Count += more.Count - 1
		if first {
			r.Example = more.Example
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(o.skipped)) {
		t.skip(kind, o.skipped[kind])
	}
}

// lists returns the counts as the summary shows them.
func (t *lineCounts) lists() ([]Refused, []Skipped) {
	refused := make([]Refused, 0, len(t.refused))
	for _, r := range t.refused {
		refused = append(refused, *r)
	}
	slices.SortFunc(refused, func(a, b Refused) int { return cmp.Compare(a.Reason, b.Reason) })
	skipped := make([]Skipped, 0, len(t.skipped))
	for kind, count := range t.skipped {
		skipped = append(skipped, Skipped{kind, count})
	}
	slices.SortFunc(skipped, func(a, b Skipped) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Kind, b.Kind))
	})
	return refused, skipped
}
