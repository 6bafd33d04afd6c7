package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// Counted tells the spool that every offset up to upTo was found in the log at that
// time, or is named. Retention counts from the first such call for a segment.
func (s *Spool) Counted(upTo uint64, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.segments {
		g := &s.segments[i]
		if g.counted.IsZero() && s.through(i) <= upTo {
			g.counted = at
		}
	}
}

// Recount forgets what was counted: a new life of the engine may have forgotten it too.
func (s *Spool) Recount() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.segments {
		s.segments[i].counted = time.Time{}
	}
}

// through returns the offset up to which the log needs segments up to the ith no
// longer, once it has that; of the last segment, one that it never has.
func (s *Spool) through(i int) uint64 {
	least := ^uint64(0)
	for _, later := range s.segments[i+1:] {
		least = min(least, later.first)
	}
	return least - 1
}

// Prune removes segments, the oldest first, that were counted at least retention ago
// and before which nothing is unreadable, and returns how many. The last always
// stays. One of which something could not be read goes to damaged/ instead. Whoever
// calls it has just asked the log whether the life of the engine is the counted one.
func (s *Spool) Prune(now time.Time, retention time.Duration) (removed int, err error) {
	s.pruning.Lock()
	defer s.pruning.Unlock()
	if err := s.usable(); err != nil {
		return 0, err
	}
	for {
		g, ok := s.prunable(now, retention)
		if !ok {
			return removed, nil
		}
		// Best effort: on a full disk the removal is what makes room. A crash here leaves
		// a segment more, which the next Prune removes.
		s.save()
		if g.damaged {
			err = s.putAside(g.path)
		} else {
			err = s.disk.Remove(g.path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a person may have removed it
			return removed, fmt.Errorf("prune spool: %w", err)
		}
		removed++
		s.mu.Lock()
		s.segments = slices.Clone(s.segments[1:])
		s.mu.Unlock()
	}
}

// prunable returns the oldest segment if it may go, and moves pruned behind it.
func (s *Spool) prunable(now time.Time, retention time.Duration) (segment, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.segments) < 2 {
		return segment{}, false
	}
	g, through := s.segments[0], s.through(0)
	if len(s.missing) > 0 && s.missing[0].First <= through {
		return segment{}, false
	}
	kept := g.counted.IsZero() || g.counted.Add(retention).After(now)
	if through > s.pruned && kept {
		return segment{}, false
	}
	s.pruned = max(s.pruned, through)
	return g, true
}
