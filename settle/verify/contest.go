package verify

import (
	"cmp"
	"slices"

	"photofinish/rules"
)

// contest is a contest with all that counts in it.
type contest struct {
	rules.Contest
	subjects map[string]*subject
	all      []*subject // in the order in which they came
	touched  []*subject // to which something was added since they were counted
	later    []int      // of a world_first: rows of the log that may lie beyond a cut, by their earliest end
	active   bool       // it is among those to decide
}

// subject is who takes part in a contest.
type subject struct {
	name      string
	rows      []int // that count
	backdated []int // of these
	touched   bool
	measured  rules.Trusted // from all of them, whatever is doubted; a sale's attempts aside
}

func (r *replay) contest(of rules.Contest) *contest {
	id := of.ID()
	if r.contests[id] == nil {
		r.contests[id] = &contest{Contest: of, subjects: map[string]*subject{}}
	}
	return r.contests[id]
}

func (c *contest) add(name string, row int, backdated bool) {
	s := c.subjects[name]
	if s == nil {
		s = &subject{name: name}
		c.subjects[name], c.all = s, append(c.all, s)
	}
	s.rows = append(s.rows, row)
	if backdated {
		s.backdated = append(s.backdated, row)
	}
	if !s.touched {
		s.touched, c.touched = true, append(c.touched, s)
	}
}

// decided says that the contest stands as its evidence is.
func (c *contest) decided() {
	for _, s := range c.touched {
		s.touched = false
	}
	c.touched = nil
}

// evidence returns everything about the contest: of an achievement of those who were
// touched, since nobody else's award can depend on them.
func (r *replay) evidence(c *contest, cut *rules.Cut) rules.Evidence {
	ev := rules.Evidence{Secret: r.secret, Beyond: rules.Never}
	for _, s := range c.touched {
		if c.Rule.Kind != rules.Sale {
			s.measured = measured(c.Rule, s.name, r.records(s))
		}
	}
	asked := c.all
	if c.Rule.Kind == rules.Achievement {
		asked = c.touched
	}
	trusted := rules.Trusted{}
	for _, s := range asked {
		all := s.measured
		if c.Rule.Kind == rules.Sale {
			all.Attempts = r.records(s)
		}
		part := all
		if doubted := r.doubted(c, s); len(doubted) > 0 {
			ev.Trusted = &trusted
			part = measured(c.Rule, s.name, slices.DeleteFunc(r.records(s), func(rec rules.Record) bool { return doubted[rec.Identity()] }))
		}
		ev.Runs, ev.Scores, ev.Attempts = append(ev.Runs, all.Runs...), append(ev.Scores, all.Scores...), append(ev.Attempts, all.Attempts...)
		trusted.Runs, trusted.Scores, trusted.Attempts = append(trusted.Runs, part.Runs...), append(trusted.Scores, part.Scores...), append(trusted.Attempts, part.Attempts...)
	}
	if c.Rule.Kind == rules.WorldFirst && len(ev.Runs) > 0 {
		ev.Beyond = r.beyond(c, cut, slices.Concat(ev.Runs, trusted.Runs))
	}
	return ev
}

// doubted returns the events of a subject that do not count for a correction.
func (r *replay) doubted(c *contest, s *subject) map[rules.Identity]bool {
	var doubted map[rules.Identity]bool
	for _, row := range s.backdated {
		if rec := &r.log[row]; c.Doubts(r.standing(c.ID()), s.name, rec, r.came[row]) {
			if doubted == nil {
				doubted = map[rules.Identity]bool{}
			}
			doubted[rec.Identity()] = true
		}
	}
	return doubted
}

func (r *replay) records(s *subject) []rules.Record {
	records := make([]rules.Record, len(s.rows))
	for i, row := range s.rows {
		records[i] = r.log[row]
	}
	return records
}

// measured is what a rule makes of a subject's records: one claim, one score, or attempts.
func measured(rule *rules.Rule, name string, records []rules.Record) (m rules.Trusted) {
	switch rule.Kind {
	case rules.Sale:
		m.Attempts = records
	case rules.Leaderboard:
		if score, ok := rule.Score(name, records); ok {
			m.Scores = []rules.Score{score}
		}
	default:
		if run, ok := rule.Run(name, records, rules.Whole(rule.Threshold)); ok {
			m.Runs = []rules.Run{run}
		}
	}
	return m
}

// beyond returns the least earliest end of the rows that the cut reads and that lie
// beyond its end, as far as it is not after the end of every run. Rows before the end
// are dropped for good, since no later cut ends before it; so a row is passed over
// once, and those that stay are few: they are told of beyond the end and may have
// happened before.
func (r *replay) beyond(c *contest, cut *rules.Cut, runs []rules.Run) rules.Instant {
	latest := slices.MaxFunc(runs, func(a, b rules.Run) int { return cmp.Compare(a.Latest, b.Latest) }).Latest
	found := rules.Never
	kept, n := 0, 0
	for ; n < len(c.later); n++ {
		rec := &r.log[c.later[n]]
		if rec.Earliest > latest || found != rules.Never {
			break
		}
		if rec.Instant < cut.Through {
			continue
		}
		if c.later[kept] = c.later[n]; cut.Within(rec.Node, rec.Offset) {
			found = rec.Earliest
		}
		kept++
	}
	copy(c.later[n-kept:n], c.later[:kept])
	c.later = c.later[n-kept:]
	return found
}
