package rules

import "cmp"

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
	Counts  Content  `json:"counts"`
	Players []string `json:"players"` // whom the contents known by then name, sorted, each once
}
