package rules

import (
	"cmp"
	"maps"
	"slices"
)

// SimulatedCut is a cut and the ruleset that settles it.
type SimulatedCut struct {
	Cut     Cut
	Ruleset *Ruleset
}

// Simulate settles the cuts, which are all there are, in order from number 1, and
// returns the sealed entries of each. The log is every row of the merged log, in
// any order; a row may stand in it more than once, and rows that no cut holds are
// not read. The secret is what seeds of draws come from; see DrawSeed.
//
// It is the whole settlement with nothing left out to save work: at every cut every
// contest that may still change is decided from everything the cut holds about it.
// A settlement that reads less, remembers claims or resumes after a crash must come
// to the same entries, byte for byte.
func Simulate(log []Record, secret string, cuts []SimulatedCut) [][]Entry {
	s := simulation{log: log, secret: secret, conflicts: map[Identity]Content{}, standings: map[contestName]*Standing{}}
	entries := make([][]Entry, len(cuts))
	for i := range cuts {
		entries[i] = s.settle(&cuts[i].Cut, cuts[i].Ruleset)
	}
	return entries
}

// simulation is what has been settled so far.
type simulation struct {
	log       []Record
	secret    string
	cuts      []Cut
	conflicts map[Identity]Content
	standings map[contestName]*Standing
}

// contestName is a contest whatever the ruleset says of its rule today.
type contestName struct {
	rule, scope string
	window      Window
}

func (s *simulation) told() *Cut {
	if len(s.cuts) == 0 {
		return &Cut{}
	}
	return &s.cuts[len(s.cuts)-1]
}

// settle decides a cut and applies what it decided. The order of the entries is:
// conflicts, commitments, then the contests rule by rule.
func (s *simulation) settle(cut *Cut, set *Ruleset) []Entry {
	rows := held(s.log, cut)
	entries := s.findConflicts(rows, cut)
	records := Unique(rows, s.conflicts)
	var decided []Entry
	for _, c := range s.contests(records, set) {
		if c.OpenUntil() <= s.told().Through {
			continue
		}
		decided = append(decided, c.Settle(s.evidence(c, records), s.standing(c), c.Horizon(cut, s.told()))...)
	}
	entries = append(entries, Commitments(set, s.secret, cut, decided, func(c Contest) bool { return s.standing(c).Commitment() != "" })...)
	sealed := Seal(cut.Number, append(entries, decided...), s.count(records, set))
	s.apply(sealed)
	s.cuts = append(s.cuts, *cut)
	return sealed
}

// held returns the rows that are in the cut.
func held(log []Record, cut *Cut) []Record {
	return slices.DeleteFunc(slices.Clone(log), func(r Record) bool { return !cut.Holds(r.Node, r.Offset, r.Instant) })
}

// findConflicts returns the conflicts that the cut makes, by (server, ID): the
// content counts that came first, in the lowest cut, then by (node, offset).
func (s *simulation) findConflicts(rows []Record, cut *Cut) []Entry {
	cuts := append(slices.Clone(s.cuts), *cut)
	arrived := func(r *Record) int {
		return slices.IndexFunc(cuts, func(c Cut) bool { return c.Holds(r.Node, r.Offset, r.Instant) })
	}
	sorted := slices.SortedFunc(slices.Values(rows), func(a, b Record) int {
		return cmp.Or(a.Identity().Compare(b.Identity()), cmp.Compare(arrived(&a), arrived(&b)),
			cmp.Compare(a.Node, b.Node), cmp.Compare(a.Offset, b.Offset))
	})
	var entries []Entry
	for i := range sorted {
		first := i
		for first > 0 && sorted[first-1].Identity() == sorted[i].Identity() {
			first--
		}
		identity, counts := sorted[first].Identity(), sorted[first].Content
		if _, known := s.conflicts[identity]; known || sorted[i].Content == counts {
			continue
		}
		s.conflicts[identity] = counts
		entries = append(entries, Entry{Kind: KindConflict, Conflict: &Conflict{identity, counts}})
	}
	return entries
}

// contests returns the contests that a record counts in or that the ledger knows,
// in the order of the ruleset, then of Contest.Compare.
func (s *simulation) contests(records []Record, set *Ruleset) []Contest {
	var all []Contest
	for i := range set.Rules {
		r := &set.Rules[i]
		var contests []Contest
		for j := range records {
			if c, ok := r.ContestOf(&records[j]); ok {
				contests = append(contests, c)
			}
		}
		for _, name := range slices.SortedFunc(maps.Keys(s.standings), contestName.compare) {
			if name.rule == r.ID {
				contests = append(contests, Contest{r, name.scope, name.window})
			}
		}
		slices.SortFunc(contests, Contest.Compare)
		all = append(all, slices.Compact(contests)...)
	}
	return all
}

func (n contestName) compare(o contestName) int {
	return cmp.Or(cmp.Compare(n.rule, o.rule), Contest{nil, n.scope, n.window}.Compare(Contest{nil, o.scope, o.window}))
}

func (s *simulation) standing(c Contest) *Standing {
	if st := s.standings[contestName{c.Rule.ID, c.Scope, c.Window}]; st != nil {
		return st
	}
	return &Standing{}
}

// evidence returns everything about the contest, of every subject.
func (s *simulation) evidence(c Contest, records []Record) Evidence {
	r := c.Rule
	ev := Evidence{Seed: DrawSeed(s.secret, r.ID, c.Window)}
	bySubject := map[string][]Record{}
	for i := range records {
		rec := &records[i]
		if r.Match(&rec.Event) && r.ScopeOf(&rec.Event) == c.Scope && c.Window.Contains(rec.Instant) {
			bySubject[r.SubjectOf(&rec.Event)] = append(bySubject[r.SubjectOf(&rec.Event)], *rec)
		}
	}
	for _, subject := range slices.Sorted(maps.Keys(bySubject)) {
		of := bySubject[subject]
		switch r.Kind {
		case Sale:
			ev.Attempts = append(ev.Attempts, of...)
		case Leaderboard:
			if score, ok := r.Score(subject, of); ok {
				ev.Scores = append(ev.Scores, score)
			}
		default:
			if claim, ok := r.Claim(subject, of, r.Threshold); ok {
				ev.Claims = append(ev.Claims, claim)
			}
		}
	}
	return ev
}

// count says what is new among the records of the cut that follows told.
func (s *simulation) count(records []Record, set *Ruleset) Settled {
	known := map[Identity]bool{}
	for _, r := range held(s.log, s.told()) {
		known[r.Identity()] = true
	}
	var settled Settled
	for i := range records {
		rec := &records[i]
		if known[rec.Identity()] {
			continue
		}
		settled.Events++
		if rec.Instant < s.told().Through {
			settled.Late++
		}
		for j := range set.Rules {
			if c, ok := set.Rules[j].ContestOf(rec); ok && c.OpenUntil() <= s.told().Through {
				settled.TooLate++
			}
		}
	}
	return settled
}

// apply adds the entries to what stands.
func (s *simulation) apply(entries []Entry) {
	for _, e := range entries {
		if e.Rule == "" {
			continue
		}
		name := contestName{e.Rule, e.Scope, e.Window}
		if s.standings[name] == nil {
			s.standings[name] = &Standing{}
		}
		s.standings[name].Apply(e)
	}
}
