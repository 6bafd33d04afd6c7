package rules

import (
	"cmp"
	"maps"
	"slices"
)

// Standing is what the ledger says about a contest: the fold of its entries in the
// order of (cut, n). The zero value is a contest nothing was decided about. It is
// not safe for concurrent use.
type Standing struct {
	awards      []Entry            // that stand, held ones too, by (place, subject)
	board       *Entry             // that stands
	allocations map[Identity]Entry // the last of each attempt
	sold        map[Identity]int   // how often a unit was reserved for an attempt
	grants      map[holding]int    // how often an item was given
	held        map[holding]bool   // the items that subjects hold
	kept        map[string]bool    // findings that changed nothing, so that each is said once
	around      map[string]int     // the generation of each award, by ID; see standFast
	generation  int                // of the awards to come
	commitment  string             // digest of the seed
}

type holding struct{ subject, item string }

// Awards returns the awards that stand, by place and subject.
func (s *Standing) Awards() []Entry { return s.awards }

// Board returns the board that stands, or nil.
func (s *Standing) Board() *Entry { return s.board }

// Commitment returns the digest of the seed that was committed to, or "".
func (s *Standing) Commitment() string { return s.commitment }

// Allocations returns the last entry of each attempt, by (cut, n).
func (s *Standing) Allocations() []Entry {
	return slices.SortedFunc(maps.Values(s.allocations), func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Cut, b.Cut), cmp.Compare(a.N, b.N))
	})
}

// Apply adds an entry of the contest, which comes after all those added before.
func (s *Standing) Apply(e Entry) {
	if s.held == nil {
		s.allocations, s.sold = map[Identity]Entry{}, map[Identity]int{}
		s.grants = map[holding]int{}
		s.held, s.kept, s.around = map[holding]bool{}, map[string]bool{}, map[string]int{}
	}
	switch e.Kind {
	case KindAward:
		s.awards = slices.DeleteFunc(s.awards, func(a Entry) bool {
			return a.Award.Place == e.Award.Place && a.Award.Claim.Subject == e.Award.Claim.Subject
		})
		s.awards = append(s.awards, e)
		slices.SortFunc(s.awards, func(a, b Entry) int {
			return cmp.Or(cmp.Compare(a.Award.Place, b.Award.Place), cmp.Compare(a.Award.Claim.Subject, b.Award.Claim.Subject))
		})
		s.around[e.ID] = s.generation
		if e.Key != "" {
			s.give(e.Award.Claim.Subject, e.Award.Claim.Prize)
		}
	case KindBoard:
		s.board = &e
	case KindPrize:
		s.give(e.Prize.Subject, e.Prize.Item)
	case KindAllocation:
		s.allocations[e.Allocation.Attempt] = e
		if e.Allocation.State == Reserved {
			s.sold[e.Allocation.Attempt]++
		}
	case KindCorrection:
		if e.Correction.Policy == Keep {
			s.kept[e.Correction.finding()] = true
			if s.around[e.Correction.Corrects] == s.generation {
				s.generation++ // what is given from here on is given around this one
			}
			break
		}
		s.awards = slices.DeleteFunc(s.awards, func(a Entry) bool { return a.ID == e.Correction.Corrects })
	case KindCompensation:
		if e.Compensation.Takes {
			delete(s.held, holding{e.Compensation.Subject, e.Compensation.Item})
		}
	case KindCommitment:
		s.commitment = e.Commitment.Digest
	}
}

func (s *Standing) give(subject, item string) {
	s.grants[holding{subject, item}]++
	s.held[holding{subject, item}] = true
}

// finding names a correction that changes nothing, by what was found.
func (c *Correction) finding() string { return c.Corrects + " " + c.Found }
