package settle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"photofinish/rules"
	"photofinish/rules/hour"
	"photofinish/settle/evidence"
)

// load reads the state of the last settled cut, once in the life of a settler, and the
// cut that was recorded after it, if that is not settled.
func (s *Settler) load(ctx context.Context) error {
	if s.state != nil {
		settled, recorded, err := s.ledger.Numbers(ctx)
		if err != nil {
			return err
		}
		if n := s.state.last.Number; settled == n && recorded == n {
			s.next = nil
			return nil
		}
	}
	last, err := s.ledger.Last(ctx)
	if err != nil {
		return err
	}
	s.next = last.Next
	if s.state != nil && s.state.last.Number == last.Cut.Number {
		return nil
	}
	s.state = &state{last: last.Cut, lastID: last.ID}
	if last.Settled != nil {
		s.state.end = *last.Settled
	}
	return nil
}

// use prepares the state for the ruleset of the next cut. What its rules say may open
// contests that the one before had closed, and count events that it did not: then
// every contest is looked at anew.
func (s *Settler) use(ctx context.Context, set *rules.Ruleset) error {
	st := s.state
	if st.set != nil && st.set.Digest == set.Digest {
		return nil
	}
	entries, err := s.ledger.Open(ctx, &st.last, set)
	if err != nil {
		return err
	}
	st.use(set, entries)
	if st.last.Number == 0 {
		return nil
	}
	covered, lost, err := s.restore(ctx, set)
	if err != nil {
		return err
	}
	if err := s.evidence.Start(ctx, set, &st.last, covered); err != nil {
		return err
	}
	changed := lost || set.Digest != st.last.Ruleset
	from, err := s.decidedFrom(ctx, changed)
	if err != nil {
		return err
	}
	known, err := s.evidence.Contests(ctx, set, &st.last, changed || st.end.Again == rules.AgainRest)
	if err != nil {
		return err
	}
	m := rules.Moment{Cut: &st.last, Previous: &st.last}
	for _, c := range known {
		k, err := s.known(ctx, c)
		if err != nil {
			return err
		}
		if changed && c.Open(&k.standing, m) || c.MayWait(&k.standing) || st.end.Again != "" {
			k.due, k.waits, k.since, k.from = true, true, evidence.Everybody, from
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(st.contests), rules.ContestID.Compare) {
		k := st.contests[id]
		if changed || k.MayWait(&k.standing) {
			k.due, k.waits, k.since, k.from = true, true, evidence.Everybody, from
		}
	}
	return nil
}

// forgets is how much of what was written a power cut can take: the engine syncs files,
// not the folders that name them, which file systems write within five seconds, and
// 30 where they are mounted lazily.
const forgets = 30 * time.Second

// restore writes again what the last cuts wrote beside the ledger, if a power cut can
// have taken it. It returns the rules whose tallies are there, and whether every contest
// must be looked at.
func (s *Settler) restore(ctx context.Context, set *rules.Ruleset) (covered []string, lost bool, err error) {
	st := s.state
	covered = st.end.Rules
	if s.cfg.Store != nil && s.cfg.Store.Intact() {
		return covered, false, nil
	}
	before, lost, err := s.before(ctx)
	if err != nil {
		return nil, false, err
	}
	if before.Number > 0 {
		digests, err := s.ledger.Rulesets(ctx, before.Number, st.last.Number)
		if err != nil {
			return nil, false, err
		}
		for _, digest := range digests {
			if digest == st.last.Ruleset {
				continue
			}
			// What one of the cuts did not count was added up since, and its claims were read.
			old, err := s.ledger.Ruleset(ctx, digest)
			if err != nil {
				return nil, false, err
			}
			keys := old.TallyKeys()
			covered = slices.DeleteFunc(slices.Clone(covered), func(key string) bool { return !slices.Contains(keys, key) })
			lost = true
		}
	}
	conflicts, err := s.ledger.Conflicts(ctx, before.Number+1)
	if err != nil {
		return nil, false, err
	}
	cuts, err := s.ledger.Cuts(ctx, before.Number+1, st.last.Number)
	if err != nil {
		return nil, false, err
	}
	if err := s.evidence.RestoreNumbers(ctx, &before, cuts, &st.last); err != nil {
		return nil, false, err
	}
	if err := s.evidence.Restore(ctx, set, &before, &st.last, conflicts, covered); err != nil {
		return nil, false, err
	}
	touched, err := s.evidence.Touched(ctx, set, &st.last)
	if err != nil {
		return nil, false, err
	}
	contests := make([]rules.Contest, len(touched))
	for i := range touched {
		contests[i] = touched[i].Contest
	}
	// What a full cut or other rules have not decided with the next cut reads anew.
	if st.end.Again != rules.AgainRest && set.Digest == st.last.Ruleset {
		if err := s.evidence.Reread(ctx, contests, &st.last); err != nil {
			return nil, false, err
		}
	}
	if s.cfg.Store == nil {
		return covered, lost, nil
	}
	// A crash here leaves some of it written: the next start writes it again.
	return covered, lost, s.cfg.Store.Restored()
}

// before returns the cut up to which nothing can be lost. Where that cut was full, what
// it left was read and written later, whenever its events came: then it is one before
// all that were full, and every contest must be looked at.
func (s *Settler) before(ctx context.Context) (before rules.Cut, full bool, err error) {
	if before, err = s.ledger.Before(ctx, &s.state.last, forgets); err != nil {
		return before, false, err
	}
	for before.Number > 0 {
		entries, err := s.ledger.Entries(ctx, before.Number)
		if err != nil {
			return before, false, err
		}
		if len(entries) == 0 || entries[len(entries)-1].Settled == nil {
			return before, false, fmt.Errorf("the last entry of cut %d does not end it; run verify", before.Number)
		}
		if entries[len(entries)-1].Settled.Again != rules.AgainRest {
			break
		}
		number := before.Number - 1
		before, full = rules.Cut{}, true
		if number == 0 {
			break
		}
		cuts, err := s.ledger.Cuts(ctx, number, number)
		if err != nil {
			return before, false, err
		}
		before = cuts[0]
	}
	return before, full, nil
}

// decidedFrom returns the first cut whose claims the rules as they are have decided with:
// the next one where they have changed, and where the last cut was full the first of
// those that were, since the rules may have changed with it.
func (s *Settler) decidedFrom(ctx context.Context, changed bool) (uint64, error) {
	number, again := s.state.last.Number, s.state.end.Again
	if changed {
		return number + 1, nil
	}
	if again != rules.AgainRest {
		return 0, nil
	}
	for number > 1 {
		entries, err := s.ledger.Entries(ctx, number-1)
		if err != nil {
			return 0, err
		}
		if len(entries) == 0 || entries[len(entries)-1].Settled == nil || entries[len(entries)-1].Settled.Again != rules.AgainRest {
			break
		}
		number--
	}
	return number, nil
}

// known returns a contest with its standing, which is read where the state no longer
// holds it.
func (s *Settler) known(ctx context.Context, c rules.Contest) (*contest, error) {
	st := s.state
	if k := st.contests[c.ID()]; k != nil || c.Rule.Kind == rules.Achievement || c.OpenUntil() > st.last.AsOf {
		return st.contest(c), nil
	}
	entries, err := s.ledger.Contest(ctx, c.ID(), st.last.Number, nil)
	if err != nil {
		return nil, err
	}
	k := st.contest(c)
	for _, e := range entries {
		k.standing.Apply(e)
	}
	return k, nil
}

// plan returns the next thing to do.
func (s *Settler) plan(ctx context.Context, set *rules.Ruleset, now hour.Now, progress hour.Progress, log hour.Log) (hour.Plan, error) {
	last := hour.Last{Cut: s.state.last, SettledID: s.state.lastID, Again: s.state.end.Again}
	if s.next != nil {
		last = hour.Last{Cut: *s.next, Unsettled: true}
	}
	// The store's clock decides nothing in a plan, and is read where there is a cut to close.
	plan, err := s.cfg.Hour.Next(now, last, progress, log, 0, set.Digest)
	if err != nil || plan.Cut == nil || plan.Resume {
		return plan, err
	}
	closed, err := s.ledger.Clock(ctx)
	plan.Cut.ClosedAt = max(closed, plan.Cut.ClosedAt)
	return plan, err
}

// decide returns the sealed entries of the cut: conflicts, then what is decided of each
// contest in the order of the ruleset, then commitments.
func (s *Settler) decide(ctx context.Context, cut *rules.Cut, set *rules.Ruleset) ([]rules.Entry, error) {
	st := s.state
	if err := s.use(ctx, set); err != nil {
		return nil, err
	}
	taken, err := s.evidence.Take(ctx, set, &st.last, cut)
	if err != nil {
		return nil, err
	}
	// A crash here leaves what the cut's slice adds to the tallies, keyed by the cut: the
	// next run takes the same in again.
	if err := s.stop(StepTaken); err != nil {
		return nil, err
	}
	d := deciding{Settler: s, cut: cut, m: rules.Moment{Cut: cut, Previous: &st.last}, settled: rules.Settled{
		Previous: st.lastID, Record: cut.Digest(), Lost: cut.Losses(), Events: taken.Events, Late: taken.Late, Behind: taken.Behind, Refused: taken.Refused,
		Rules: set.TallyKeys(),
	}}
	d.settled.Lacks, d.settled.MoreLack = rules.Lacks(st.end.Lacks, taken.Numbers, cut.AsOf)
	if d.secret, err = s.drawSecret(ctx, set); err != nil {
		return nil, err
	}
	if err := d.touch(ctx, taken.Touched); err != nil {
		return nil, err
	}
	for i := range taken.Conflicts {
		d.entries = append(d.entries, rules.Entry{Kind: rules.KindConflict, Conflict: &taken.Conflicts[i]})
	}
	if err := d.contests(ctx); err != nil {
		return nil, err
	}
	var unread error
	committed := func(c rules.Contest) bool {
		known, err := s.known(ctx, c) // its time may be over as of a cut that ends within its window
		unread = errors.Join(unread, err)
		return err != nil || known.standing.Commitment() != nil || slices.ContainsFunc(d.entries, func(e rules.Entry) bool {
			return e.Kind == rules.KindCommitment && e.Rule == c.Rule.ID && e.Scope == c.Scope && e.Window == c.Window
		})
	}
	d.entries = append(d.entries, rules.OpenCommitments(set, d.secret, cut, committed)...)
	if unread != nil {
		return nil, unread
	}
	return rules.Seal(cut.Number, d.entries, d.settled), nil
}

// deciding is a cut being decided.
type deciding struct {
	*Settler
	cut     *rules.Cut
	m       rules.Moment
	secret  string
	entries []rules.Entry
	settled rules.Settled
}

// touch marks the contests that the slice touches as due, and counts the events that
// are new in contests which nothing changes any more.
func (d *deciding) touch(ctx context.Context, touched []evidence.Touched) error {
	var closed []rules.Contest
	for _, c := range touched {
		known, err := d.known(ctx, c.Contest)
		if err != nil {
			return err
		}
		if c.MayBeTooLate(c.First, &known.standing, d.m) {
			closed = append(closed, c.Contest)
		}
		if known.due = true; known.since == 0 {
			known.since = d.cut.Number
		}
	}
	if len(closed) == 0 {
		return nil
	}
	fresh, err := d.evidence.Fresh(ctx, closed, &d.state.last, d.cut)
	if err != nil {
		return err
	}
	for i, c := range closed {
		for j := range fresh[i] {
			if c.TooLate(&fresh[i][j], &d.state.contest(c).standing, d.m) {
				d.settled.TooLate++
			}
		}
	}
	return nil
}

// contests decides the contests that are due, until the cut is full.
func (d *deciding) contests(ctx context.Context) error {
	found := len(d.entries)
	due := d.state.due(d.cut)
	claims, err := d.evidence.Runs(ctx, d.asks(due), d.cut, d.secret, func(i int, subjects []string) error { return d.standings(ctx, due[i], subjects) })
	if err != nil {
		return err
	}
	read, err := d.evidenceOf(ctx, due, claims)
	if err != nil {
		return err
	}
	var noted []evidence.Noted
	for i, c := range due {
		if !claims[i].Look {
			noted = append(noted, evidence.Noted{Contest: c.Contest, Claims: claims[i].Fresh})
			c.due, c.since, c.from = false, 0, 0
			continue
		}
		said := c.Settle(read[i], &c.standing, d.m, rules.MaxEntries-len(d.entries))
		full := len(d.entries) > found && len(d.entries)+len(said.Entries) > rules.MaxEntries
		if !full {
			d.entries = append(d.entries, said.Entries...)
			noted = append(noted, evidence.Noted{Contest: c.Contest, Claims: decided(claims[i].Fresh, said)})
			c.due, c.waits, c.since, c.from, c.line, c.reach = said.Waits, said.Waits, 0, 0, said.Line, claims[i].Reach
			if said.Again != "" {
				d.settled.Again = said.Again
			}
		}
		if full || said.Again == rules.AgainRest {
			d.settled.Again = rules.AgainRest
			d.leave(due[i:])
			break
		}
	}
	return d.evidence.Note(ctx, d.cut, noted)
}

// decided returns the claims that a decision has come to, of those sorted by subject: all,
// or where it had no more room, as far as it went.
func decided(claims []evidence.Known, said rules.Decision) []evidence.Known {
	if said.Again != rules.AgainRest {
		return claims
	}
	last := ""
	for _, e := range said.Entries {
		last = max(last, e.Subject())
	}
	return slices.DeleteFunc(slices.Clone(claims), func(k evidence.Known) bool { return k.Subject > last })
}

// asks returns what is asked of the contests' claims.
func (d *deciding) asks(due []*contest) []evidence.Ask {
	asks := make([]evidence.Ask, len(due))
	for i, c := range due {
		asks[i] = evidence.Ask{Contest: c.Contest, Since: cmp.Or(c.since, d.cut.Number), Waits: c.waits, From: c.from, Reach: c.reach, Standing: &c.standing}
	}
	return asks
}

// leave keeps the contests that a full cut did not come to due, whatever has changed.
func (d *deciding) leave(contests []*contest) {
	for _, c := range contests {
		c.due, c.waits, c.since = true, true, cmp.Or(c.since, evidence.Everybody)
	}
}

// evidenceOf reads what the contests are decided from beside their claims, and marks
// those that are to be looked at for another reason.
func (d *deciding) evidenceOf(ctx context.Context, due []*contest, claims []evidence.Found) ([]rules.Evidence, error) {
	all := make([]rules.Evidence, len(due))
	contests := make([]rules.Contest, len(due))
	latest := -rules.Never
	var sales []evidence.Sale
	var boards []rules.Contest
	var standings []*rules.Standing // of the boards
	var ofSales, ofBoards []int     // their numbers among the contests
	for i, c := range due {
		ev, found := &all[i], &claims[i]
		ev.Secret, ev.Beyond, ev.Runs, contests[i] = d.secret, rules.Never, found.Runs, c.Contest
		if found.Trusted != nil {
			ev.Trusted = &rules.Trusted{Runs: found.Trusted}
		}
		switch c.Rule.Kind {
		case rules.Leaderboard:
			found.Look = true
			boards, standings, ofBoards = append(boards, c.Contest), append(standings, &c.standing), append(ofBoards, i)
		case rules.Sale:
			found.Look = true
			since := cmp.Or(c.since, d.cut.Number)
			if c.waits && c.AsksEverybody(d.cut) {
				since = evidence.Everybody
			}
			ev.Unanswered = since != evidence.Everybody
			sales, ofSales = append(sales, evidence.Sale{Contest: c.Contest, Since: since, Line: c.line, Standing: &c.standing}), append(ofSales, i)
		case rules.WorldFirst:
			for _, runs := range [][]rules.Run{found.Runs, found.Trusted} {
				for j := range runs {
					if found.Look {
						latest = max(latest, runs[j].Latest)
					}
				}
			}
		}
	}
	attempts, trusted, err := d.evidence.Attempts(ctx, sales, d.cut)
	if err != nil {
		return nil, err
	}
	for i, n := range ofSales {
		if all[n].Attempts = attempts[i]; trusted[i] != nil {
			all[n].Trusted = &rules.Trusted{Attempts: trusted[i]}
		}
	}
	scores, sure, err := d.evidence.Scores(ctx, boards, standings, d.cut)
	if err != nil {
		return nil, err
	}
	for i, n := range ofBoards {
		if all[n].Scores = scores[i]; sure[i] != nil {
			all[n].Trusted = &rules.Trusted{Scores: sure[i]}
		}
	}
	if latest == -rules.Never {
		return all, nil
	}
	beyond, err := d.evidence.Beyond(ctx, contests, d.cut, latest)
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].Beyond = beyond[i]
	}
	return all, nil
}

// standings reads what the ledger says of the subjects of an achievement, of whom the
// state knows nothing.
func (d *deciding) standings(ctx context.Context, c *contest, subjects []string) error {
	c.standing = rules.Standing{}
	for some := range slices.Chunk(subjects, subjectsPerQuery) {
		entries, err := d.ledger.Contest(ctx, c.ID(), d.state.last.Number, some)
		if err != nil {
			return err
		}
		for _, e := range entries {
			c.standing.Apply(e)
		}
	}
	return nil
}

// subjectsPerQuery bounds how many subjects one query names.
const subjectsPerQuery = 1000
