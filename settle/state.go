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
	last     rules.Cut     // the last settled one; zero: none
	lastID   string        // of its settled entry
	end      rules.Settled // how it ended
	set      *rules.Ruleset
	contests map[rules.ContestID]*contest
}

// contest is a contest with its standing. Of an achievement the standing is only that
// of the subjects that the cut at hand asks for.
type contest struct {
	rules.Contest
	standing rules.Standing
	due      bool           // the next cut must ask about it
	waits    bool           // and look at it, even if no claim has changed
	since    uint64         // the first cut whose touches it has not been settled with; 0: none
	from     uint64         // see evidence.Ask
	reach    *rules.Instant // of a world_first; see evidence.Found
	line     []string       // of a sale, the players with an attempt that waits
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

// due returns the contests that a cut must look at, in the order of the ruleset, then
// by window and scope. Of a board nothing is decided before its window is over.
func (s *state) due(cut *rules.Cut) []*contest {
	order := map[string]int{}
	for i := range s.set.Rules {
		order[s.set.Rules[i].ID] = i
	}
	due := slices.SortedFunc(maps.Values(s.contests), func(a, b *contest) int {
		return cmp.Or(cmp.Compare(order[a.Rule.ID], order[b.Rule.ID]), a.Compare(b.Contest))
	})
	return slices.DeleteFunc(due, func(c *contest) bool {
		return !c.due || c.Rule.Kind == rules.Leaderboard && (c.Window.Forever() || c.Window.Closes > cut.Through)
	})
}

// advance moves the state on to the cut that was settled.
func (s *state) advance(cut *rules.Cut, entries []rules.Entry) {
	s.apply(entries)
	end := entries[len(entries)-1]
	s.last, s.lastID, s.end = *cut, end.ID, *end.Settled
	maps.DeleteFunc(s.contests, func(_ rules.ContestID, c *contest) bool {
		return !c.due && (c.Rule.Kind == rules.Achievement || c.OpenUntil() <= cut.AsOf && !c.standing.Holds())
	})
}
