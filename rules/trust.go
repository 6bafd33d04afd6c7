package rules

import (
	"reflect"
	"slices"
)

// Waiting says what the evidence would change in a contest if events counted that their
// own servers had declared complete before they came: a stamp is only as honest as its
// server, so that waits for a person and moves nothing. A later entry of the same contest,
// and of an achievement of the same subject, takes its place.
type Waiting struct {
	Subject string   `json:"subject,omitempty"` // of an achievement
	Changes []Change `json:"changes,omitempty"` // by place; none: nothing waits any more
	Reason  string   `json:"reason"`            // in words
}

// Change is what would become of one place.
type Change struct {
	Place int      `json:"place,omitempty"` // 0 of an achievement and of a sale
	Gains []string `json:"gains,omitempty"` // who would have it, or a unit
	Keeps []string `json:"keeps,omitempty"` // who has it either way, with another prize, score or attempt
	Loses []string `json:"loses,omitempty"` // who has it, and would not
	Item  string   `json:"item,omitempty"`  // of an achievement: the prize that would take the other's place
}

// Trusted is the part of the evidence without what a contest doubts; see Doubts.
type Trusted struct {
	Runs     []Run
	Scores   []Score
	Attempts []Record
}

const (
	waitsForPerson = "it rests on backdated events: their own servers had declared that time complete before they came"
	waitIsOver     = "nothing waits any more"
)

// Doubts reports whether a record, which came in the cut of that number and counts for the
// subject, may not be what corrects the contest: it is backdated, and something was given
// before it came. What had come when something was last given, from all there was, counted
// then and counts from then on.
func (c Contest) Doubts(st *Standing, subject string, rec *Record, cut uint64) bool {
	if c.Rule.Trust == TrustLate || !rec.Backdated {
		return false
	}
	counted := st.counted[c.waitsAs(subject)]
	return counted > 0 && cut > counted
}

// waitsAs is under what name a standing keeps what waits: each subject of an achievement
// is decided alone, any other contest as a whole.
func (c Contest) waitsAs(subject string) string {
	if c.Rule.Kind == Achievement {
		return subject
	}
	return ""
}

// trusting returns a decision from all the evidence where that corrects nothing that
// stands, or where the trusted evidence corrects the same and it takes nothing of that away.
// Otherwise it decides from the trusted evidence alone, and the first entry says what all
// of it would change of what stands then.
func (c Contest) trusting(ev Evidence, st *Standing, m Moment) Decision {
	all := c.decide(ev, st, m)
	if ev.Trusted == nil || !slices.ContainsFunc(all.Entries, moves) {
		all.Entries = c.over(all.Entries, st, "")
		return all
	}
	part := ev
	part.Runs, part.Scores, part.Attempts, part.Trusted = ev.Trusted.Runs, ev.Trusted.Scores, ev.Trusted.Attempts, nil
	trusted := c.decide(part, st, m)
	changes, takes := differences(c.seats(ev, &all, st), c.seats(part, &trusted, st))
	if len(changes) == 0 || !takes && reflect.DeepEqual(moving(all.Entries), moving(trusted.Entries)) {
		all.Entries = c.over(all.Entries, st, "")
		return all
	}
	after := st.after(trusted.Entries, m.Cut.Number)
	then, stays := c.decide(ev, after, m), c.decide(part, after, m)
	changes, _ = differences(c.seats(ev, &then, after), c.seats(part, &stays, after))
	switch {
	case slices.ContainsFunc(then.Entries, moves) && len(changes) > 0:
		trusted.Entries = c.wait(trusted.Entries, st, Waiting{Changes: changes, Reason: waitsForPerson})
	case len(then.Entries) > 0 && trusted.Again == "":
		trusted.Again = AgainTrust
	}
	trusted.Waits = true
	trusted.Line = slices.Concat(trusted.Line, unanswered(ev.Attempts, part.Attempts, st))
	slices.Sort(trusted.Line)
	trusted.Line = slices.Compact(trusted.Line)
	return trusted
}

// unanswered returns the players of the attempts that are doubted and have no answer.
func unanswered(all, trusted []Record, st *Standing) []string {
	counts := map[Identity]bool{}
	for i := range trusted {
		counts[trusted[i].Identity()] = true
	}
	var players []string
	for i := range all {
		if _, known := st.allocations[all[i].Identity()]; !known && !counts[all[i].Identity()] {
			players = append(players, all[i].Player)
		}
	}
	return players
}

// wait puts what waits before the entries, unless the standing says it already.
func (c Contest) wait(entries []Entry, st *Standing, w Waiting) []Entry {
	if before := st.waiting[w.Subject]; before != nil && reflect.DeepEqual(*before, w) {
		return entries
	}
	e := c.entry(KindWaiting)
	e.Waiting = &w
	return append([]Entry{e}, entries...)
}

// over says before the entries that nothing waits any more, where something did.
func (c Contest) over(entries []Entry, st *Standing, subject string) []Entry {
	if st.waiting[subject] == nil {
		return entries
	}
	return c.wait(entries, st, Waiting{Subject: subject, Reason: waitIsOver})
}

// moves reports whether an entry is a correction of something that was given, by which
// anybody gains or loses. A finding that changes nothing is none.
func moves(e Entry) bool {
	return e.Kind == KindCorrection && e.Correction.Policy != Keep && e.Correction.Policy != Withdrawn
}

func moving(entries []Entry) []Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return !moves(e) })
}

// seat is who has what by a decision, and all about it that a correction is made for.
type seat struct {
	place   int
	subject string
	what    string
}

// seats returns who has what in the contest by a decision from the evidence.
func (c Contest) seats(ev Evidence, d *Decision, st *Standing) []seat {
	var seats []seat
	switch c.Rule.Kind {
	case Leaderboard:
		for _, l := range c.Rule.Rank(ev.Scores) {
			seats = append(seats, seat{l.Place, l.Subject, l.Score.String() + " " + l.Prize})
		}
	case Sale:
		after := map[Identity]*Allocation{}
		var attempts []Identity
		for _, e := range slices.Concat(st.Allocations(), d.Entries) {
			if e.Kind == KindAllocation {
				attempts = append(attempts, e.Allocation.Attempt)
				after[e.Allocation.Attempt] = e.Allocation
			}
		}
		slices.SortFunc(attempts, Identity.Compare)
		for _, id := range slices.Compact(attempts) {
			if a := after[id]; a.State == Reserved {
				seats = append(seats, seat{0, a.Player, id.Server + "\x00" + id.ID})
			}
		}
	default:
		for _, p := range d.now {
			what := p.Run.Prize
			if p.Tied {
				what += "\x00tied"
			}
			seats = append(seats, seat{p.Place, p.Run.Subject, what})
		}
	}
	return seats
}

// differences says place by place how all differs from trusted, and whether all lacks
// anything that trusted has.
func differences(all, trusted []seat) (changes []Change, takes bool) {
	more, less := seatsWithout(all, trusted), seatsWithout(trusted, all)
	places := map[int]bool{}
	var order []int
	for _, s := range slices.Concat(more, less) {
		if !places[s.place] {
			places[s.place] = true
			order = append(order, s.place)
		}
	}
	slices.Sort(order)
	for _, place := range order {
		now, was := subjectsOf(more, place), subjectsOf(less, place)
		changes = append(changes, Change{Place: place, Gains: without(now, was), Keeps: both(now, was), Loses: without(was, now)})
	}
	for i := range changes {
		ch := &changes[i]
		ch.Gains, ch.Keeps, ch.Loses = noneIsNil(ch.Gains), noneIsNil(ch.Keeps), noneIsNil(ch.Loses)
	}
	return changes, len(less) > 0
}

func seatsWithout(a, b []seat) []seat {
	has := make(map[seat]bool, len(b))
	for _, s := range b {
		has[s] = true
	}
	return slices.DeleteFunc(slices.Clone(a), func(s seat) bool { return has[s] })
}

// subjectsOf returns the subjects of a place, sorted.
func subjectsOf(seats []seat, place int) []string {
	var subjects []string
	for _, s := range seats {
		if s.place == place {
			subjects = append(subjects, s.subject)
		}
	}
	slices.Sort(subjects)
	return slices.Compact(subjects)
}

// noneIsNil makes an empty list what reading it back from the ledger gives.
func noneIsNil(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return list
}

// achieveTrusting returns the entries of one subject's achievement. trusted is the claim
// by the trusted evidence, nil where that does not reach the threshold.
func (c Contest) achieveTrusting(run, trusted *Run, st *Standing, m Moment) []Entry {
	entries := c.achieve(run, st, m)
	current := st.award(0, run.Subject)
	if current == nil || c.stands(current, m) {
		return entries // nothing can wait, or nothing changes it any more
	}
	if !slices.ContainsFunc(entries, moves) {
		return c.over(entries, st, run.Subject)
	}
	prize := current.Award.Claim.Prize
	var less []Entry
	if trusted != nil {
		prize, less = trusted.Prize, c.achieve(trusted, st, m)
	}
	if prize == run.Prize {
		return c.over(entries, st, run.Subject)
	}
	change := Change{Keeps: []string{run.Subject}, Item: run.Prize}
	return c.wait(less, st, Waiting{Subject: run.Subject, Changes: []Change{change}, Reason: waitsForPerson})
}

// byName returns the claims by the trusted evidence, by subject; nil where all is trusted.
func (t *Trusted) byName() map[string]*Run {
	if t == nil {
		return nil
	}
	runs := make(map[string]*Run, len(t.Runs))
	for i := range t.Runs {
		runs[t.Runs[i].Subject] = &t.Runs[i]
	}
	return runs
}
