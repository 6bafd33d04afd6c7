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
	name    string
	rows    []int // that count
	touched bool
	run     *rules.Run
	score   *rules.Score
}

func (r *replay) contest(of rules.Contest) *contest {
	id := of.ID()
	if r.contests[id] == nil {
		r.contests[id] = &contest{Contest: of, subjects: map[string]*subject{}}
	}
	return r.contests[id]
}

func (c *contest) add(name string, row int) {
	s := c.subjects[name]
	if s == nil {
		s = &subject{name: name}
		c.subjects[name], c.all = s, append(c.all, s)
	}
	s.rows = append(s.rows, row)
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
		r.measure(c, s)
	}
	asked := c.all
	if c.Rule.Kind == rules.Achievement {
		asked = c.touched
	}
	for _, s := range asked {
		if s.run != nil {
			ev.Runs = append(ev.Runs, *s.run)
		}
		if s.score != nil {
			ev.Scores = append(ev.Scores, *s.score)
		}
		if c.Rule.Kind == rules.Sale {
			ev.Attempts = append(ev.Attempts, r.records(s)...)
		}
	}
	if c.Rule.Kind == rules.WorldFirst && len(ev.Runs) > 0 {
		ev.Beyond = r.beyond(c, cut, ev.Runs)
	}
	return ev
}

func (r *replay) records(s *subject) []rules.Record {
	records := make([]rules.Record, len(s.rows))
	for i, row := range s.rows {
		records[i] = r.log[row]
	}
	return records
}

// measure counts what a subject has, from all of it.
func (r *replay) measure(c *contest, s *subject) {
	s.run, s.score = nil, nil
	switch c.Rule.Kind {
	case rules.Sale:
	case rules.Leaderboard:
		if score, ok := c.Rule.Score(s.name, r.records(s)); ok {
			s.score = &score
		}
	default:
		if run, ok := c.Rule.Run(s.name, r.records(s), rules.Whole(c.Rule.Threshold)); ok {
			s.run = &run
		}
	}
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
