package settle

import (
	"cmp"
	"context"
	"maps"
	"math"
	"reflect"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// state is what settling the next cut needs to know of those before it. It follows
// from the log and the ledger alone: a settler that resumes builds the same state
// as the one that died had in memory, and a replay builds it cut by cut.
//
// Tallies and claims are kept only to read less. A tally counts every copy of every
// event that touched a subject, so it may only err upward; a claim is exact and is
// forgotten when an event arrives that can have come before its end, or a copy of
// one that was counted.
type state struct {
	cuts      []rules.Cut // all settled ones
	set       *rules.Ruleset
	contests  map[contestKey]*contest
	conflicts map[rules.Identity]rules.Content
	rivals    []rival       // rows that are, or will be, a conflict
	rivalsTo  rules.Cut     // how far the nodes were read for them
	seeded    bool          // contests hold the tallies of everything settled
	ahead     []ahead       // what was read before its cut was recorded
	unsaved   []rules.Entry // of cuts that a dry run settled
}

// ahead is what is new in a cut that a run will propose.
type ahead struct {
	cut   rules.Cut
	fresh fresh
}

type contestKey struct {
	rule   string
	scope  string
	window rules.Window
}

func (k contestKey) compare(o contestKey) int {
	return cmp.Or(cmp.Compare(k.rule, o.rule), cmp.Compare(k.scope, o.scope),
		cmp.Compare(k.window.Opens, o.window.Opens), cmp.Compare(k.window.Closes, o.window.Closes))
}

// contest is a contest with what is known of it.
type contest struct {
	rules.Contest
	standing rules.Standing
	tally    map[string]int64
	claims   map[string]knownClaim
	due      bool // the next cut must look at it
}

// knownClaim is the exact claim of a subject, or that it has none yet.
type knownClaim struct {
	rules.Claim
	reached bool
}

func newState() *state {
	return &state{contests: map[contestKey]*contest{}, conflicts: map[rules.Identity]rules.Content{}}
}

// told returns the last settled cut; the zero cut before the first.
func (s *state) told() *rules.Cut {
	if len(s.cuts) == 0 {
		return &rules.Cut{}
	}
	return &s.cuts[len(s.cuts)-1]
}

// use makes set the ruleset of the next cut. What its rules say may open contests
// that the one before had closed, and count events that it did not: everything is
// read anew.
func (s *state) use(ctx context.Context, db store, set *rules.Ruleset) error {
	if s.set != nil && s.set.Digest == set.Digest {
		return nil
	}
	s.set, s.seeded, s.ahead = set, false, nil
	s.contests = map[contestKey]*contest{}
	if s.told().Number == 0 {
		return nil
	}
	entries, err := db.readOpen(ctx, s.told(), set)
	if err != nil {
		return err
	}
	s.apply(entries)
	s.apply(s.unsaved)
	s.forget()
	return nil
}

// apply adds the entries of a cut.
func (s *state) apply(entries []rules.Entry) {
	for _, e := range entries {
		if e.Kind == rules.KindConflict {
			s.conflicts[e.Conflict.Identity] = e.Conflict.Counts
		} else if r := s.set.Rule(e.Rule); r != nil {
			s.contest(rules.Contest{Rule: r, Scope: e.Scope, Window: e.Window}).standing.Apply(e)
		}
	}
}

func (s *state) contest(c rules.Contest) *contest {
	key := contestKey{c.Rule.ID, c.Scope, c.Window}
	known := s.contests[key]
	if known == nil {
		known = &contest{Contest: c, tally: map[string]int64{}, claims: map[string]knownClaim{}}
		s.contests[key] = known
	}
	return known
}

// committed reports whether the ledger has the commitment of a contest.
func (s *state) committed(c rules.Contest) bool {
	known := s.contests[contestKey{c.Rule.ID, c.Scope, c.Window}]
	return known != nil && known.standing.Commitment() != ""
}

// seed reads what everything settled so far adds up to, after a start in the
// middle. What a settled cut left undecided is due; if it was settled by another
// ruleset, everything is.
func (s *state) seed(ctx context.Context, conn driver.Conn) error {
	if s.seeded || len(s.cuts) == 0 {
		s.seeded = true
		return nil
	}
	touches, err := s.readTouches(ctx, conn, &rules.Cut{}, []rules.Cut{*s.told()})
	if err != nil {
		return err
	}
	before := &rules.Cut{}
	if len(s.cuts) > 1 {
		before = &s.cuts[len(s.cuts)-2]
	}
	for _, t := range touches[0] {
		if c := s.touched(t); c != nil {
			c.add(t)
		}
	}
	s.forget()
	changed := s.set.Digest != s.told().Ruleset
	for _, c := range s.sorted() {
		c.due = changed || c.unfinished(c.Horizon(s.told(), before))
	}
	s.seeded = true
	return nil
}

// lookAhead reads what is new in the cuts that a run will propose. Where an event
// has copies in several of them, those from the second on are read when they come:
// what a copy changes depends on what was settled by then.
func (s *state) lookAhead(ctx context.Context, conn driver.Conn, cuts []rules.Cut) error {
	read, err := s.readFresh(ctx, conn, cuts)
	if err != nil {
		return err
	}
	s.ahead = nil
	for i := range cuts {
		if i > 0 && read[i].repeats > 0 {
			break
		}
		s.ahead = append(s.ahead, ahead{cuts[i], read[i]})
	}
	return nil
}

// fresh returns what is new in the cut, from what was read ahead if the cut, and so
// all those before it, came out as they were proposed.
func (s *state) fresh(ctx context.Context, conn driver.Conn, cut *rules.Cut) (fresh, error) {
	if len(s.ahead) > 0 && reflect.DeepEqual(s.ahead[0].cut, *cut) {
		next := s.ahead[0].fresh
		s.ahead = s.ahead[1:]
		return next, nil
	}
	s.ahead = nil
	read, err := s.readFresh(ctx, conn, []rules.Cut{*cut})
	if err != nil {
		return fresh{}, err
	}
	return read[0], nil
}

// touched returns the contest that the events of t count in; nil is none.
func (s *state) touched(t touch) *contest {
	window, ok := t.rule.Window.At(t.from)
	if !t.rule.Window.Fixed.Forever() {
		window, ok = t.rule.Window.Fixed, true // the query has asked already
	}
	if !ok {
		return nil
	}
	return s.contest(rules.Contest{Rule: t.rule, Scope: t.scope, Window: window})
}

// observe takes in what is new, marks what is due, and returns the contests among
// it that nothing changes any more, in order.
func (s *state) observe(touches []touch) (closed []*contest) {
	for _, t := range touches {
		c := s.touched(t)
		switch {
		case c == nil:
		case c.OpenUntil() > s.told().Through:
			c.due = c.add(t) || c.due
		case !slices.Contains(closed, c):
			closed = append(closed, c)
		}
	}
	return closed
}

// reconsider makes due whatever copies of settled events can change, when a cut
// brings some: a copy may say better when the event was, and so move it out of the
// claim or the window where it counted.
func (s *state) reconsider(ctx context.Context, conn driver.Conn, cut *rules.Cut, new []touch) error {
	old, err := s.readRepeated(ctx, conn, s.told(), cut)
	if err != nil {
		return err
	}
	for _, t := range slices.Concat(new, old) {
		if c := s.touched(t); c != nil && c.OpenUntil() > s.told().Through {
			delete(c.claims, t.subject)
			c.due = true
		}
	}
	return nil
}

// add takes in a touch and reports whether it can change what is decided.
func (c *contest) add(t touch) bool {
	if c.Rule.Kind == rules.Leaderboard || c.Rule.Kind == rules.Sale {
		return true
	}
	if c.tally[t.subject] += t.amount; c.tally[t.subject] < 0 {
		c.tally[t.subject] = math.MaxInt64
	}
	if known, ok := c.claims[t.subject]; ok {
		if known.reached && t.earliest > known.Latest {
			return false
		}
		delete(c.claims, t.subject)
	}
	return c.tally[t.subject] >= c.Rule.Threshold && !c.tooLate(t)
}

// tooLate reports whether every place is given to finishes that certainly precede
// whatever the touch can add to: its events came after all of them, by the clocks,
// and after the holders' own by the clock of each server. The second matters where
// a server's clock was set back, so that its order and the estimates disagree.
func (c *contest) tooLate(t touch) bool {
	if c.Rule.Kind != rules.WorldFirst || len(c.standing.Awards()) < c.Rule.Places {
		return false
	}
	for _, e := range c.standing.Awards() {
		if claim := &e.Award.Claim; e.Award.State == rules.Held || t.earliest <= claim.Latest || t.since < claim.ServerAt {
			return false
		}
	}
	return true
}

// unfinished reports whether a cut with that horizon left something undecided.
func (c *contest) unfinished(h rules.Horizon) bool {
	switch c.Rule.Kind {
	case rules.Leaderboard:
		return !c.Window.Forever() && c.Window.Closes > h.Complete
	case rules.Sale:
		return h.Complete < h.Through || c.Rule.Queue == rules.QueueLottery && c.Window.Closes > h.Complete
	}
	return slices.ContainsFunc(c.standing.Awards(), func(e rules.Entry) bool { return e.Award.State == rules.Held })
}

// sorted returns the contests in the order of the ruleset, then by window and scope.
func (s *state) sorted() []*contest {
	order := map[string]int{}
	for i := range s.set.Rules {
		order[s.set.Rules[i].ID] = i
	}
	return slices.SortedFunc(maps.Values(s.contests), func(a, b *contest) int {
		return cmp.Or(cmp.Compare(order[a.Rule.ID], order[b.Rule.ID]), a.Compare(b.Contest))
	})
}

// settled moves the state on to the cut. unsaved says that its entries are not in
// the ledger.
func (s *state) settled(cut rules.Cut, entries []rules.Entry, unsaved bool) {
	told := *s.told()
	s.apply(entries)
	if unsaved {
		s.unsaved = append(s.unsaved, entries...)
	}
	s.cuts = append(s.cuts, cut)
	for _, c := range s.sorted() {
		if c.due {
			c.due = c.unfinished(c.Horizon(&cut, &told))
		}
	}
	s.forget()
}

// forget drops the contests that nothing changes any more.
func (s *state) forget() {
	maps.DeleteFunc(s.contests, func(_ contestKey, c *contest) bool { return c.OpenUntil() <= s.told().Through })
}

// findConflicts records the conflicts that the cut makes.
func (s *state) findConflicts(cut *rules.Cut) []rules.Entry {
	var entries []rules.Entry
	for _, conflict := range newConflicts(s.rivals, append(s.cuts[:len(s.cuts):len(s.cuts)], *cut), s.conflicts) {
		s.conflicts[conflict.Identity] = conflict.Counts
		entries = append(entries, rules.Entry{Kind: rules.KindConflict, Conflict: &conflict})
	}
	return entries
}

// readEvidence reads what the contests are decided from, in their order.
func readEvidence(ctx context.Context, l *logReader, due []*contest) ([]rules.Evidence, error) {
	evidence := make([]rules.Evidence, len(due))
	var wants []want
	for i, c := range due {
		switch c.Rule.Kind {
		case rules.Leaderboard:
			scores, err := l.scores(ctx, c)
			if err != nil {
				return nil, err
			}
			evidence[i].Scores = scores
		case rules.Sale:
			wants = append(wants, want{c, nil})
		default:
			for some := range slices.Chunk(c.unknown(), subjectsPerQuery) {
				wants = append(wants, want{c, some})
			}
		}
	}
	attempts := map[*contest][]rules.Record{}
	for some := range slices.Chunk(wants, wantsPerQuery) {
		records, err := l.read(ctx, some)
		if err != nil {
			return nil, err
		}
		for i, w := range some {
			if w.Rule.Kind == rules.Sale {
				attempts[w.contest] = records[i]
				continue
			}
			w.learn(w.subjects, records[i])
		}
	}
	for i, c := range due {
		if c.Rule.Kind == rules.Sale {
			evidence[i].Attempts = attempts[c]
		} else if c.Rule.Kind != rules.Leaderboard {
			evidence[i].Claims = c.known()
		}
	}
	return evidence, nil
}

// wantsPerQuery bounds how many contests one query asks for.
const wantsPerQuery = 20

// unknown returns the subjects that can have reached the threshold and whose claims
// have not been read, sorted.
func (c *contest) unknown() []string {
	var unknown []string
	for _, subject := range slices.Sorted(maps.Keys(c.tally)) {
		if _, ok := c.claims[subject]; !ok && c.tally[subject] >= c.Rule.Threshold {
			unknown = append(unknown, subject)
		}
	}
	return unknown
}

// learn keeps the claims of the subjects, whose records these are.
func (c *contest) learn(subjects []string, records []rules.Record) {
	for _, subject := range subjects {
		c.claims[subject] = knownClaim{}
	}
	bySubject(c.Rule, records, func(subject string, records []rules.Record) {
		claim, reached := c.Rule.Claim(subject, records, c.Rule.Threshold)
		c.claims[subject] = knownClaim{claim, reached}
	})
}

// known returns the claims of all subjects that reached the threshold, by subject.
func (c *contest) known() []rules.Claim {
	var claims []rules.Claim
	for _, subject := range slices.Sorted(maps.Keys(c.claims)) {
		if known := c.claims[subject]; known.reached {
			claims = append(claims, known.Claim)
		}
	}
	return claims
}
