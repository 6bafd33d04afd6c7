package ledger

import (
	"context"
	"fmt"
	"sort"

	"photofinish/rules"
)

// history is how far each recorded cut reads each node, compactly: 16 bytes a cut and
// 8 for each of its nodes. It is read when somebody first asks, and added to.
type history struct {
	cuts []rules.Cut // number, through and nodes' offsets, lost and void alone
}

// CutOf returns the number of the first recorded cut that holds a row. It is asked
// where copies of one event do not say the same; the answer never changes.
func (s *Store) CutOf(ctx context.Context, node string, offset uint64, i rules.Instant) (uint64, error) {
	if cut := s.history.find(node, offset, i); cut > 0 {
		return cut, nil
	}
	cuts, err := s.Cuts(ctx, uint64(len(s.history.cuts))+1, ^uint64(0)>>1)
	if err != nil {
		return 0, err
	}
	for _, c := range cuts {
		short := rules.Cut{Number: c.Number, Through: c.Through}
		for _, l := range c.Nodes {
			short.Nodes = append(short.Nodes, rules.NodeLine{Node: l.Node, Offset: l.Offset, Lost: l.Lost, Void: l.Void})
		}
		s.history.cuts = append(s.history.cuts, short)
	}
	if cut := s.history.find(node, offset, i); cut > 0 {
		return cut, nil
	}
	return 0, fmt.Errorf("no recorded cut holds offset %d of node %s", offset, node)
}

// find looks for the first cut that holds the row. Both bounds of a cut only grow, so
// it is the first that has passed both.
func (h *history) find(node string, offset uint64, i rules.Instant) uint64 {
	n := sort.Search(len(h.cuts), func(k int) bool { return i < h.cuts[k].Through && offset <= h.cuts[k].Offset(node) })
	if n == len(h.cuts) {
		return 0
	}
	return h.cuts[n].Number
}
