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
// read only for what they say of the time beyond a cut. The secret is what seeds of
// draws come from.
//
// It is the whole settlement with nothing left out to save work: at every cut every
// contest is decided from everything the cut holds about it. A settlement that reads
// less, remembers claims or resumes after a crash must come to the same entries,
// byte for byte.
func Simulate(log []Record, secret string, cuts []SimulatedCut) [][]Entry {
	s := NewSimulation(secret)
	entries := make([][]Entry, len(cuts))
	for i := range cuts {
		entries[i] = s.Settle(log, &cuts[i].Cut, cuts[i].Ruleset)
	}
	return entries
}

// Simulation is what has been settled so far. It is not safe for concurrent use.
type Simulation struct {
	secret    string
	cuts      []Cut // all of them; previous is the last hour or late one
	conflicts map[Identity]Content
	standings map[ContestID]*Standing
	settledID string
	numbering Numbering
	lacks     []Lack
	limit     int
}

// NewSimulation returns a simulation of a ledger without entries.
func NewSimulation(secret string) *Simulation {
	return &Simulation{secret: secret, conflicts: map[Identity]Content{}, standings: map[ContestID]*Standing{}, limit: MaxEntries}
}

// Limit sets how many entries a cut appends at most, for tests; see MaxEntries.
func (s *Simulation) Limit(entries int) { s.limit = entries }

func (s *Simulation) previous() *Cut {
	if len(s.cuts) == 0 {
		return &Cut{}
	}
	return &s.cuts[len(s.cuts)-1]
}

// Settle decides the next cut from the log as it is now, and applies what it decided.
// The order of the entries is: conflicts, then the contests rule by rule, by window
// and scope, then the commitments of contests without evidence.
func (s *Simulation) Settle(log []Record, cut *Cut, set *Ruleset) []Entry {
	m := Moment{Cut: cut, Previous: s.previous()}
	cuts := append(slices.Clone(s.cuts), *cut)
	rows := arrivals(log, cuts)
	entries := s.findConflicts(rows)
	records, came := s.unique(rows)
	settled := s.count(rows, records, set, m)
	settled.Lacks, settled.MoreLack = Lacks(s.lacks, s.numbering.Take(s.previous(), cut, s.numbers(log, cut)), cut.AsOf)
	s.lacks = settled.Lacks
	found := len(entries)
	for _, c := range s.contests(records, set) {
		d := c.Settle(s.evidence(c, records, came, log, cut), s.standing(c), m, s.limit-len(entries))
		if len(entries) > found && len(entries)+len(d.Entries) > s.limit {
			settled.Again = AgainRest // this contest and those after it are due in the next cut
			break
		}
		entries = append(entries, d.Entries...)
		if d.Again != "" && settled.Again != AgainRest {
			settled.Again = d.Again
		}
		if d.Again == AgainRest {
			break
		}
	}
	committed := func(c Contest) bool {
		return s.standing(c).Commitment() != nil || slices.ContainsFunc(entries, func(e Entry) bool {
			return e.Kind == KindCommitment && ContestID{e.Rule, e.Scope, e.Window} == c.ID()
		})
	}
	entries = append(entries, OpenCommitments(set, s.secret, cut, committed)...)
	sealed := Seal(cut.Number, entries, settled)
	s.apply(sealed)
	s.cuts = cuts
	return sealed
}

// arrival is a row and the first cut that holds it.
type arrival struct {
	*Record
	cut uint64
}

// arrivals returns the rows that the last of the cuts holds, each (node, offset) once,
// by identity, then in the order in which they came: by cut, node and offset.
func arrivals(log []Record, cuts []Cut) []arrival {
	var rows []arrival
	for i := range log {
		r := &log[i]
		if !cuts[len(cuts)-1].Holds(r.Node, r.Offset, r.Instant) {
			continue
		}
		first := slices.IndexFunc(cuts, func(c Cut) bool { return c.Holds(r.Node, r.Offset, r.Instant) })
		rows = append(rows, arrival{r, cuts[first].Number})
	}
	slices.SortFunc(rows, func(a, b arrival) int {
		return cmp.Or(a.Identity().Compare(b.Identity()), cmp.Compare(a.cut, b.cut), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Offset, b.Offset))
	})
	return slices.CompactFunc(rows, func(a, b arrival) bool { return a.Node == b.Node && a.Offset == b.Offset })
}

// findConflicts returns the conflicts that the cut makes, by (server, ID): of the
// contents of one identity that which came first counts.
func (s *Simulation) findConflicts(rows []arrival) []Entry {
	var entries []Entry
	each(rows, func(same []arrival) {
		counts, players := same[0].Content, []string{}
		rival := false
		for _, r := range same {
			rival = rival || r.Content != counts
			players = append(players, r.Player)
		}
		identity := same[0].Identity()
		if _, known := s.conflicts[identity]; known || !rival {
			return
		}
		s.conflicts[identity] = counts
		slices.Sort(players)
		entries = append(entries, Entry{Kind: KindConflict, Conflict: &Conflict{identity, counts, slices.Compact(players)}})
	})
	return entries
}

// each calls f with the rows of each identity.
func each(rows []arrival, f func([]arrival)) {
	for start := 0; start < len(rows); {
		end := start + 1
		for end < len(rows) && rows[end].Identity() == rows[start].Identity() {
			end++
		}
		f(rows[start:end])
		start = end
	}
}

// unique returns one record for each identity: of the contents the one that came
// first, of its copies the one that the earliest cut holds, and within one cut the one
// whose time is known best, then by (node, offset). Later copies change nothing. came is
// the cut of each.
func (s *Simulation) unique(rows []arrival) (records []Record, came []uint64) {
	each(rows, func(same []arrival) {
		counts := same[0].Content
		best := same[0]
		for _, r := range same[1:] {
			if r.Content == counts && r.cut == best.cut && r.Latest-r.Earliest < best.Latest-best.Earliest {
				best = r
			}
		}
		records, came = append(records, *best.Record), append(came, best.cut)
	})
	return records, came
}

// contests returns the contests that a record counts in or that the ledger knows,
// in the order of the ruleset, then of Contest.Compare.
func (s *Simulation) contests(records []Record, set *Ruleset) []Contest {
	var all []Contest
	for i := range set.Rules {
		r := &set.Rules[i]
		var contests []Contest
		for j := range records {
			if c, ok := r.ContestOf(&records[j]); ok {
				contests = append(contests, c)
			}
		}
		for _, name := range slices.SortedFunc(maps.Keys(s.standings), ContestID.Compare) {
			if name.Rule == r.ID {
				contests = append(contests, Contest{r, name.Scope, name.Window})
			}
		}
		slices.SortFunc(contests, Contest.Compare)
		all = append(all, slices.Compact(contests)...)
	}
	return all
}

func (s *Simulation) standing(c Contest) *Standing {
	if st := s.standings[c.ID()]; st != nil {
		return st
	}
	return &Standing{}
}

// evidence returns everything about the contest, of every subject.
func (s *Simulation) evidence(c Contest, records []Record, came []uint64, log []Record, cut *Cut) Evidence {
	r := c.Rule
	ev := Evidence{Secret: s.secret, Beyond: Never}
	all, trusted, doubted := map[string][]Record{}, map[string][]Record{}, false
	for i := range records {
		rec := &records[i]
		if of, ok := r.ContestOf(rec); !ok || of != c {
			continue
		}
		subject := r.SubjectOf(&rec.Event)
		all[subject] = append(all[subject], *rec)
		if c.Doubts(s.standing(c), subject, rec, came[i]) {
			doubted = true
		} else {
			trusted[subject] = append(trusted[subject], *rec)
		}
	}
	for i := range log {
		rec := &log[i]
		if rec.Instant < cut.Through || !cut.Within(rec.Node, rec.Offset) {
			continue
		}
		if of, ok := r.ContestOf(rec); ok && of == c {
			ev.Beyond = min(ev.Beyond, rec.Earliest)
		}
	}
	ev.Runs, ev.Scores, ev.Attempts = measured(r, all)
	if doubted {
		ev.Trusted = &Trusted{}
		ev.Trusted.Runs, ev.Trusted.Scores, ev.Trusted.Attempts = measured(r, trusted)
	}
	return ev
}

// measured returns what the rule makes of the records of each subject.
func measured(r *Rule, bySubject map[string][]Record) (runs []Run, scores []Score, attempts []Record) {
	for _, subject := range slices.Sorted(maps.Keys(bySubject)) {
		of := bySubject[subject]
		switch r.Kind {
		case Sale:
			attempts = append(attempts, of...)
		case Leaderboard:
			if score, ok := r.Score(subject, of); ok {
				scores = append(scores, score)
			}
		default:
			if run, ok := r.Run(subject, of, Whole(r.Threshold)); ok {
				runs = append(runs, run)
			}
		}
	}
	return runs, scores, attempts
}

// count says what is new among the rows and records of the moment's cut.
func (s *Simulation) count(rows []arrival, records []Record, set *Ruleset, m Moment) Settled {
	previous := s.previous()
	settled := Settled{Previous: s.settledID, Record: m.Cut.Digest(), Lost: m.Cut.Losses(), Rules: set.TallyKeys()}
	fresh := map[Identity]bool{}
	each(rows, func(same []arrival) { fresh[same[0].Identity()] = same[0].cut == m.Cut.Number })
	refused := map[string]map[Identity]bool{}
	behind := map[string]uint64{}
	for _, r := range rows {
		if line := previous.Line(r.Node); line != nil && r.Offset > line.Offset && r.Earliest < line.Watermark {
			behind[r.Node]++
		}
		for i := range set.Rules {
			rule := &set.Rules[i]
			if _, ok := rule.ContestOf(r.Record); !ok || r.cut != m.Cut.Number {
				continue
			}
			if _, read := rule.Amount(&r.Event); !read {
				if refused[rule.ID] == nil {
					refused[rule.ID] = map[Identity]bool{}
				}
				refused[rule.ID][r.Identity()] = true
			}
		}
	}
	for i := range records {
		rec := &records[i]
		if !fresh[rec.Identity()] {
			continue
		}
		settled.Events++
		if rec.Instant < previous.Through {
			settled.Late++
		}
		for j := range set.Rules {
			if c, ok := set.Rules[j].ContestOf(rec); ok && c.TooLate(rec, s.standing(c), m) {
				settled.TooLate++
			}
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(refused)) {
		settled.Refused = append(settled.Refused, Tally{rule, uint64(len(refused[rule]))})
	}
	for _, node := range slices.Sorted(maps.Keys(behind)) {
		settled.Behind = append(settled.Behind, Tally{node, behind[node]})
	}
	return settled
}

// numbers returns the running numbers of the rows within the cut's offsets, whatever
// their time, that no cut before read.
func (s *Simulation) numbers(log []Record, cut *Cut) map[string][]uint64 {
	numbers := map[string][]uint64{}
	for i := range log {
		if r := &log[i]; cut.Within(r.Node, r.Offset) && r.Offset > s.previous().Offset(r.Node) {
			numbers[r.Server] = append(numbers[r.Server], r.Seq)
		}
	}
	return numbers
}

// apply adds the entries to what stands.
func (s *Simulation) apply(entries []Entry) {
	for _, e := range entries {
		if e.Kind == KindSettled {
			s.settledID = e.ID
		}
		if e.Rule == "" {
			continue
		}
		name := ContestID{e.Rule, e.Scope, e.Window}
		if s.standings[name] == nil {
			s.standings[name] = &Standing{}
		}
		s.standings[name].Apply(e)
	}
}
