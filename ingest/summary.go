package ingest

import (
	"cmp"
	"maps"
	"slices"

	"photofinish/rules"
)

// Summary says what an import did. Its lists are sorted, so that the same input
// gives the same summary.
type Summary struct {
	Files        int    `json:"files"`         // read, members of archives included
	FilesSkipped int    `json:"files_skipped"` // found in folders and archives, but not of the format
	Lines        int    `json:"lines"`
	Accepted     int    `json:"accepted"`           // events that entered the log, conflicts included
	Duplicates   int    `json:"duplicates"`         // events that were in the log with the same content
	Conflicts    int    `json:"conflicts"`          // of Accepted: in the log with another content under their identity
	Conflict     string `json:"conflict,omitempty"` // one of them: file:line
	Heartbeats   int    `json:"heartbeats"`         // not kept

	Refused []Refused `json:"refused"` // by reason; one line each has an example
	Skipped []Skipped `json:"skipped"` // lines that are no event, by kind, the most frequent first

	First  rules.Instant `json:"-"`      // the earliest instant of the events, duplicates included; 0: there are none
	Last   rules.Instant `json:"-"`      // the latest
	Offset uint64        `json:"offset"` // the node's last offset afterwards
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

// maxKinds bounds the different kinds that one member is counted by; what comes
// after is "other".
const maxKinds = 200

// lineCounts is what one member adds to the counts of the summary.
type lineCounts struct {
	refused map[string]Refused
	skipped map[string]int
}

func newLineCounts() lineCounts { return lineCounts{map[string]Refused{}, map[string]int{}} }

func (t *lineCounts) skip(kind string, count int) {
	if _, ok := t.skipped[kind]; !ok && len(t.skipped) >= maxKinds {
		kind = "other"
	}
	t.skipped[kind] += count
}

func (t *lineCounts) refuse(r Refused) {
	if _, ok := t.refused[r.Reason]; !ok && len(t.refused) >= maxKinds {
		r.Reason = "other"
	}
	if first, ok := t.refused[r.Reason]; ok {
		r.Example, r.Count = first.Example, first.Count+r.Count
	}
	t.refused[r.Reason] = r
}

func (t *lineCounts) add(o lineCounts) {
	for _, reason := range slices.Sorted(maps.Keys(o.refused)) {
		t.refuse(o.refused[reason])
	}
	for _, kind := range slices.Sorted(maps.Keys(o.skipped)) {
		t.skip(kind, o.skipped[kind])
	}
}

// lists returns the counts as the summary shows them.
func (t *lineCounts) lists() ([]Refused, []Skipped) {
	refused := slices.AppendSeq(make([]Refused, 0, len(t.refused)), maps.Values(t.refused))
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
