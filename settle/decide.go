package settle

import (
	"context"
	"slices"

	"photofinish/rules"
	"photofinish/settle/evidence"
)

// load reads the state of the last settled cut, once in the life of a settler.
func (s *Settler) load(ctx context.Context) error {
	if s.state != nil {
		return nil
	}
	last, err := s.ledger.Last(ctx)
	if err != nil {
		return err
	}
	s.state = &state{last: last.Cut, lastID: last.ID, again: last.Again}
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
	// A power cut may have taken what the last cuts carried forward: it is done again.
	if err := s.evidence.Resume(ctx, set, &st.last, s.ledger); err != nil {
		return err
	}
	known, err := s.evidence.Contests(ctx, set, &st.last)
	if err != nil {
		return err
	}
	changed := set.Digest != st.last.Ruleset
	m := rules.Moment{Cut: &st.last, Before: st.last.AsOf}
	for _, c := range known {
		k := st.contest(c)
		k.due = changed && c.Open(&k.standing, m) || c.Unfinished(&k.standing, m)
	}
	return nil
}

// decide returns the sealed entries of the cut: conflicts, then what is decided of each
// contest in the order of the ruleset, then commitments.
func (s *Settler) decide(ctx context.Context, cut *rules.Cut, set *rules.Ruleset) (entries []rules.Entry, left []*contest, err error) {
	st := s.state
	if err := s.use(ctx, set); err != nil {
		return nil, nil, err
	}
	taken, err := s.evidence.Take(ctx, set, &st.last, cut)
	if err != nil {
		return nil, nil, err
	}
	// A crash here leaves what the cut's slice adds to the tallies, keyed by the cut: the
	// next run takes the same in again.
	if err := s.stop(StepTaken); err != nil {
		return nil, nil, err
	}
	secret, err := s.drawSecret(ctx, set)
	if err != nil {
		return nil, nil, err
	}
	m := rules.Moment{Cut: cut, Before: st.last.AsOf}
	settled := rules.Settled{
		Previous: st.lastID, Record: cut.Digest(), Events: taken.Events, Late: taken.Late, Behind: taken.Behind, Refused: taken.Refused,
	}
	if settled.TooLate, err = s.touch(ctx, cut, taken, m); err != nil {
		return nil, nil, err
	}
	for i := range taken.Conflicts {
		entries = append(entries, rules.Entry{Kind: rules.KindConflict, Conflict: &taken.Conflicts[i]})
	}
	found := len(entries)
	due := st.due()
	for i, c := range due {
		ev, err := s.evidenceOf(ctx, c, cut, m, secret)
		if err != nil {
			return nil, nil, err
		}
		d := c.Settle(ev, &c.standing, m, rules.MaxEntries-len(entries))
		if len(entries) > found && len(entries)+len(d.Entries) > rules.MaxEntries {
			settled.Again, left = rules.AgainRest, due[i:]
			break
		}
		entries = append(entries, d.Entries...)
		if d.Again == rules.AgainRest {
			settled.Again, left = d.Again, due[i:]
			break
		}
		if d.Again != "" {
			settled.Again = d.Again
		}
	}
	committed := func(c rules.Contest) bool {
		return st.committed(c) || slices.ContainsFunc(entries, func(e rules.Entry) bool {
			return e.Kind == rules.KindCommitment && e.Rule == c.Rule.ID && e.Scope == c.Scope && e.Window == c.Window
		})
	}
	entries = append(entries, rules.OpenCommitments(set, secret, cut, committed)...)
	return rules.Seal(cut.Number, entries, settled), left, nil
}

// touch marks the contests that the slice touches as due, and counts the events that
// are new in contests which nothing changes any more.
func (s *Settler) touch(ctx context.Context, cut *rules.Cut, taken evidence.Taken, m rules.Moment) (tooLate uint64, err error) {
	var closed []rules.Contest
	for _, c := range taken.Contests {
		known := s.state.contest(c)
		if c.Rule.Kind == rules.Sale || !c.Open(&known.standing, m) {
			closed = append(closed, c)
		}
		known.due = true
	}
	if len(closed) == 0 {
		return 0, nil
	}
	fresh, err := s.evidence.Fresh(ctx, closed, &s.state.last, cut)
	if err != nil {
		return 0, err
	}
	for i, c := range closed {
		for j := range fresh[i] {
			if c.TooLate(&fresh[i][j], &s.state.contest(c).standing, m) {
				tooLate++
			}
		}
	}
	return tooLate, nil
}
