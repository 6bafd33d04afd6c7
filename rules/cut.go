package rules

import "cmp"

// Cut is the recorded bound of what one settlement may read. An event is in the cut
// if its node's offset is within that of the cut and its corrected instant is
// before Through. Once recorded a cut never changes.
type Cut struct {
	Number  uint64    `json:"number"` // from 1, without holes
	Through Instant   `json:"through"`
	Ruleset string    `json:"ruleset"` // digest
	Nodes   []NodeCut `json:"nodes"`   // by node
	Lagging []string  `json:"lagging"` // servers and nodes whose reports lag behind Through, sorted
	// Reach is the first instant at which an event that is not in the cut can have
	// happened: one after Through whose time is uncertain may have come before it. 0 is
	// Through.
	Reach Instant `json:"reach"`
	ErrNs int64   `json:"err_ns"` // the largest uncertainty of any event that the nodes hold
}

// NodeCut is how far a cut reads one node's partition of the merged log.
type NodeCut struct {
	Node      string  `json:"node"`
	Offset    uint64  `json:"offset,string"` // the last one that is in; 0: none
	Watermark Instant `json:"watermark"`     // the node expected nothing earlier
}

// Offset returns how far the cut reads the node; 0 is not at all.
func (c *Cut) Offset(node string) uint64 {
	for _, n := range c.Nodes {
		if n.Node == node {
			return n.Offset
		}
	}
	return 0
}

// Holds reports whether a record is in the cut. A cut without a number holds nothing.
func (c *Cut) Holds(node string, offset uint64, i Instant) bool {
	return c.Number > 0 && offset <= c.Offset(node) && i < c.Through
}

// Watermark returns the instant before which no node expects an event any more, at
// most Through.
func (c *Cut) Watermark() Instant {
	w := c.Through
	for _, n := range c.Nodes {
		w = min(w, n.Watermark)
	}
	return w
}

// Horizon returns how far the contest can be decided at the cut that follows told:
// up to the watermark, or, where a node lags, up to the rule's hold before Through.
// It does not wait longer for an event of uncertain time either.
func (c Contest) Horizon(cut, told *Cut) Horizon {
	h := Horizon{
		Through:  cut.Through,
		Complete: min(cut.Through, max(cut.Watermark(), cut.Through.Add(-c.Rule.Hold))),
		Told:     told.Through,
	}
	h.Reach = max(cmp.Or(cut.Reach, cut.Through), cut.Through.Add(-c.Rule.Hold))
	if h.Complete < cut.Through {
		h.Reach = min(h.Reach, h.Complete)
	}
	return h
}

// Compare orders nodes by name.
func (n NodeCut) Compare(o NodeCut) int { return cmp.Compare(n.Node, o.Node) }
