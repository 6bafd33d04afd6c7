package settle

import (
	"cmp"
	"maps"
	"slices"

	"photofinish/rules"
)

// state is what settling the next cut needs to know of those before it, in memory. It
// follows from the ledger alone: a settler that resumes builds the state that the one
// that died had.
type state struct {
	last     rules.Cut // the last settled one; zero: none
	lastID   string    // of its settled entry
	again    rules.Again
	restFrom uint64 // the first cut of those whose touched contests were left over; 0: none
	set      *rules.Ruleset
	contests map[rules.ContestID]*contest
}

// contest is a contest with its standing. Of an achievement the standing is only that
// of the subjects that the cut at hand asks for.
type contest struct {
	rules.Contest
	standing rules.Standing
	due      bool // the next cut must look at it
}

// use makes set the ruleset of the next cuts and takes over the entries that the
// ledger holds of its contests.
func (s *state) use(set *rules.Ruleset, entries []rules.Entry) {
	s.set = set
	s.contests = map[rules.ContestID]*contest{}
	s.apply(entries)
}

// apply adds entries of the ledger, in their order.
func (s *state) apply(entries []rules.Entry) {
	for _, e := range entries {
		if r := s.set.Rule(e.Rule); r != nil {
			s.contest(rules.Contest{Rule: r, Scope: e.Scope, Window: e.Window}).standing.Apply(e)
		}
	}
}

// contest returns what is known of a contest; it is known from now on.
func (s *state) contest(c rules.Contest) *contest {
	known := s.contests[c.ID()]
	if known == nil {
		known = &contest{Contest: c}
		s.contests[c.ID()] = known
	}
	return known
}

// committed reports whether the ledger has the commitment of a contest.
func (s *state) committed(c rules.Contest) bool {
	known := s.contests[c.ID()]
	return known != nil && known.standing.Commitment() != nil
}

// due returns the contests that the next cut must look at, in the order of the
// ruleset, then by window and scope.
func (s *state) due() []*contest {
	order := map[string]int{}
	for i := range s.set.Rules {
		order[s.set.Rules[i].ID] = i
	}
	due := slices.SortedFunc(maps.Values(s.contests), func(a, b *contest) int {
		return cmp.Or(cmp.Compare(order[a.Rule.ID], order[b.Rule.ID]), a.Compare(b.Contest))
	})
	return slices.DeleteFunc(due, func(c *contest) bool { return !c.due })
}

// settled moves the state on to the cut. left are the contests that it did not come to.
func (s *state) settled(cut *rules.Cut, entries []rules.Entry, left []*contest) {
	m := rules.Moment{Cut: cut, Before: s.last.AsOf}
	s.apply(entries)
	end := entries[len(entries)-1]
	s.last, s.lastID, s.again = *cut, end.ID, end.Settled.Again
	for _, c := range s.due() {
		c.due = c.Unfinished(&c.standing, m) || slices.Contains(left, c)
	}
	next := rules.Moment{Cut: cut, Before: cut.AsOf}
	maps.DeleteFunc(s.contests, func(_ rules.ContestID, c *contest) bool {
		return !c.due && (c.Rule.Kind == rules.Achievement || !c.Open(&c.standing, next))
	})
}
