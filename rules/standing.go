package rules

import (
	"cmp"
	"maps"
	"slices"
)

// Standing is what the ledger says about a contest: the fold of its entries in the
// order of (cut, n). The zero value is a contest nothing was decided about. Reading
// it is safe from several goroutines, Apply is not. It holds a few hundred bytes for
// each award, line and allocation that stands.
type Standing struct {
	awards      map[placeOf]Entry  // that stand, held ones too
	board       *Entry             // that stands
	allocations map[Identity]Entry // the last of each attempt
	grants      map[holding]int    // how often an item was given
	held        map[holding]bool   // the items that subjects hold
	kept        map[string]bool    // corrections that changed nothing, so that each is said once: of a board what was found, of an award its ID
	denied      map[placeOf]bool   // who was named as denied a place
	emptyHanded map[string]bool    // who should have a place, has none, and has a compensation that says so
	commitment  *Commitment
	waiting     map[string]*Waiting // what waits for a person; of a subject of an achievement, else of ""
	// Up to when events are not doubted, as Contest.Doubts has it.
	gave       uint64            // the first cut that gave anything, or the last that did by a rule with trust: late
	firstGiven map[string]uint64 // the same of each subject with an award
}

type placeOf struct {
	place   int
	subject string
}

type holding struct{ subject, item string }

// Awards returns the awards that stand, by place and subject.
func (s *Standing) Awards() []Entry {
	return slices.SortedFunc(maps.Values(s.awards), func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Award.Place, b.Award.Place), cmp.Compare(a.Award.Claim.Subject, b.Award.Claim.Subject))
	})
}

// Holds reports whether an award waits in it.
func (s *Standing) Holds() bool {
	return slices.ContainsFunc(s.Awards(), func(e Entry) bool { return e.Award.State == Held })
}

// Board returns the board that stands, or nil.
func (s *Standing) Board() *Entry { return s.board }

// Commitment returns what was committed to, or nil.
func (s *Standing) Commitment() *Commitment { return s.commitment }

// Allocations returns the last entry of each attempt, by (cut, n).
func (s *Standing) Allocations() []Entry {
	return slices.SortedFunc(maps.Values(s.allocations), func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Cut, b.Cut), cmp.Compare(a.N, b.N))
	})
}

// award returns the standing award of a place and subject, or nil.
func (s *Standing) award(place int, subject string) *Entry {
	if e, ok := s.awards[placeOf{place, subject}]; ok {
		return &e
	}
	return nil
}

// Apply adds an entry of the contest, which comes after all those added before.
func (s *Standing) Apply(e Entry) {
	if s.awards == nil {
		s.awards, s.allocations = map[placeOf]Entry{}, map[Identity]Entry{}
		s.grants, s.held, s.kept = map[holding]int{}, map[holding]bool{}, map[string]bool{}
		s.denied, s.emptyHanded = map[placeOf]bool{}, map[string]bool{}
		s.waiting, s.firstGiven = map[string]*Waiting{}, map[string]uint64{}
	}
	switch e.Kind {
	case KindAward:
		s.awards[placeOf{e.Award.Place, e.Award.Claim.Subject}] = e
		if e.Award.State != Held {
			s.believe(e.Award.Claim.Subject, e.Award.Trust, e.Cut)
		}
		if e.Key != "" {
			s.give(e.Award.Claim.Subject, e.Award.Claim.Prize)
		}
	case KindBoard:
		s.board = &e
		s.believe("", e.Board.Trust, e.Cut)
	case KindPrize:
		s.give(e.Prize.Subject, e.Prize.Item)
	case KindAllocation:
		if s.allocations[e.Allocation.Attempt] = e; e.Allocation.State == Reserved {
			s.believe("", "", e.Cut)
		}
	case KindCorrection:
		if e.Correction.Policy == Keep {
			s.keep(e.Correction)
			break
		}
		name := placeOf{e.Correction.Place, e.Correction.Subject}
		if s.awards[name].ID == e.Correction.Corrects {
			delete(s.awards, name)
		}
	case KindCompensation:
		if e.Compensation.Kind == Keep {
			s.emptyHanded[e.Compensation.Subject] = true
		}
		if e.Compensation.Takes {
			delete(s.held, holding{e.Compensation.Subject, e.Compensation.Item})
		}
	case KindCommitment:
		s.commitment = e.Commitment
	case KindWaiting: // comes before all other entries of its contest in a cut
		if s.waiting[e.Waiting.Subject] = e.Waiting; len(e.Waiting.Changes) == 0 {
			delete(s.waiting, e.Waiting.Subject)
		}
	}
}

// believe says that the cut gave something to a subject, and what that rests on.
func (s *Standing) believe(subject, trust string, cut uint64) {
	s.gave, s.firstGiven[subject] = cmp.Or(s.gave, cut), cmp.Or(s.firstGiven[subject], cut)
	if trust == TrustLate {
		s.gave, s.firstGiven[subject] = cut, cut
	}
}

func (s *Standing) keep(c *Correction) {
	if c.Place == 0 {
		s.kept[c.finding()] = true
		return
	}
	s.kept[c.Corrects] = true
	for _, subject := range c.Denied {
		s.denied[placeOf{c.Place, subject}] = true
	}
}

func (s *Standing) give(subject, item string) {
	s.grants[holding{subject, item}]++
	s.held[holding{subject, item}] = true
}

// finding names a correction of a board that changes nothing, by what was found.
func (c *Correction) finding() string { return c.Corrects + " " + c.Found }
