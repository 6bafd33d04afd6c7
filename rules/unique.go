package rules

import (
	"cmp"
	"slices"
)

// Identity names an event for ever.
type Identity struct {
	Server string `json:"server"`
	ID     string `json:"id"`
}

// Identity returns what names the event.
func (e *Event) Identity() Identity { return Identity{e.Server, e.ID} }

// Compare orders identities by server, then ID.
func (i Identity) Compare(o Identity) int {
	return cmp.Or(cmp.Compare(i.Server, o.Server), cmp.Compare(i.ID, o.ID))
}

// Conflict is an identity under which more than one content was sent. Both stay in
// the log; Counts is the content that decides, until a person voids it.
type Conflict struct {
	Identity
	Counts Content `json:"counts"`
}

// Unique returns one record for each identity, ordered by (server, ID): of the
// copies of an event the one whose time is known best, then the lowest
// (node, offset). Where an identity has more than one content, conflicts says
// which one counts; an identity in conflict that it does not list is a
// programmer's error and panics, since choosing here could differ between cuts.
// The result does not depend on the order of records, which is left unmodified.
func Unique(records []Record, conflicts map[Identity]Content) []Record {
	copies := make([]*Record, len(records))
	for i := range records {
		copies[i] = &records[i]
	}
	slices.SortFunc(copies, func(a, b *Record) int {
		return cmp.Or(a.Identity().Compare(b.Identity()),
			cmp.Compare(a.ErrNs, b.ErrNs), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Offset, b.Offset))
	})
	unique := make([]Record, 0, len(copies))
	for start := 0; start < len(copies); {
		end := start + 1
		same := true
		for end < len(copies) && copies[end].Identity() == copies[start].Identity() {
			same = same && copies[end].Content == copies[start].Content
			end++
		}
		counts, conflict := conflicts[copies[start].Identity()]
		if !same && !conflict {
			panic("rules: an event in conflict is not listed: " + copies[start].Server + "/" + copies[start].ID)
		}
		for _, c := range copies[start:end] {
			if !conflict || c.Content == counts {
				unique = append(unique, *c)
				break
			}
		}
		start = end
	}
	return unique
}
