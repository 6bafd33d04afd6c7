package rules

import (
	"cmp"
	"maps"
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
	// FinalAt is when nothing of it can be taken away any more: unless a person has acted, the
	// wait is over then and nothing has moved. 0 where nothing waits.
	FinalAt Instant `json:"final_at,omitempty"`
	Reason  string  `json:"reason"` // in words
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
// subject, may not be what takes away anything that was given: it is backdated, and
// something was given before it came. What is doubted still counts for what nobody has.
// What it gave it has given: see Contest.Sure and behind.
func (c Contest) Doubts(st *Standing, subject string, rec *Record, cut uint64) bool {
	if c.Rule.Trust == TrustLate || !rec.Backdated {
		return false
	}
	given := st.gave
	if c.Rule.Kind == Achievement { // of each subject by itself
		given = st.firstGiven[subject]
	}
	return given > 0 && cut > given
}

// How a contest is decided of which some evidence is doubted: the trusted evidence alone
// says who loses what was given, and to whom it goes. What is doubted counts as far
// as it changes nothing of that, each subject and each attempt by itself. Of the rest an
// entry says what it would change; it has no part in the decision. The entry is written
// once, and its wait is over when what it would take away is final.

// firstTrusting decides a world_first. Whoever was given an award counts by the trusted
// evidence, and so does whoever gets one of the places by that, up to the last of those who
// have, or had, a protected one. The others count as they are, as long as that moves
// nothing, or only what the trusted evidence moves: if it does more, whoever it puts on
// those places counts by the trusted evidence too, and so on, and in the end only those
// count as they are that certainly come after everybody who could have one of these places.
func (c Contest) firstTrusting(ev Evidence, st *Standing, m Moment) Decision {
	if ev.Trusted == nil {
		return c.withoutWait(c.settleFirst(ev, st, m), st, "")
	}
	alone := ev.Trusted.byName()
	ev.Trusted = &Trusted{Runs: c.Sure(ev.Runs, ev.Trusted.Runs, st)}
	trusted := ev.trusted()
	d := c.settleFirst(trusted, st, m)
	protected, places, sure := c.protected(st, m), 0, maps.Clone(st.firstGiven)
	for i := range protected {
		a := protected[i].Award
		places = max(places, a.Place, placeIn(d.now, a.Claim.Subject))
	}
	takes := func(placed []Placement) {
		for _, p := range placed {
			if p.Place <= places {
				sure[p.Run.Subject] = m.Cut.Number
			}
		}
	}
	takes(d.now)
	bound, behind := c.lastEnd(trusted, protected, st, places)+slack(pointers(ev.Runs)), false
	for try := 1; ; try++ {
		mixed := ev
		mixed.all, mixed.sure = ev.Runs, ev.Trusted.Runs
		mixed.Runs, mixed.part = ev.mixed(c, func(r *Run) bool { return sure[r.Subject] == 0 && (!behind || r.Earliest > bound) }), true
		some := c.settleFirst(mixed, st, m)
		if sameUpTo(places, some.now, d.now) || !moves(some.Entries, protected) && !moves(d.Entries, protected) {
			d = some
			break
		}
		if behind {
			break // only where estimates of clocks put claims into circles
		}
		before := len(sure)
		takes(some.now)
		behind = len(sure) == before || try == maxTries
	}
	mark(d.Entries, alone)
	all := placeSeats(c.settleFirst(ev, st, m).now)
	w := Waiting{Changes: differences(all, placeSeats(d.now))}
	loses := func(p Placement) bool { return !slices.Contains(all, p.seat()) }
	someone := slices.ContainsFunc(d.now, loses)
	for _, p := range d.now {
		if loses(p) || !someone && p.Place <= places {
			w.FinalAt = max(w.FinalAt, p.Run.Latest.Add(c.Rule.Correct))
		}
	}
	if w.FinalAt == 0 { // nobody would lose a thing: who was given one and has none any more would get one
		for i := range ev.Runs {
			if slices.ContainsFunc(all, func(s seat) bool { return s.subject == ev.Runs[i].Subject }) {
				w.FinalAt = max(w.FinalAt, ev.Runs[i].Latest.Add(c.Rule.Correct))
			}
		}
	}
	return c.waiting(d, st, w)
}

// Sure returns the claims by the trusted evidence, and of a subject that was given an award
// by more than that, which all of the evidence still bears out, the claim of that award: with
// it it stays behind those who had been given theirs, whatever else of its events the
// doubted ones would add to. Where by the trusted evidence it can have been earlier than
// that, this counts. Both are left unmodified.
func (c Contest) Sure(all, trusted []Run, st *Standing) []Run {
	sure := slices.Clone(trusted)
	of := func(runs []Run, subject string) int {
		return slices.IndexFunc(runs, func(r Run) bool { return r.Subject == subject })
	}
	for _, e := range st.Awards() {
		a := e.Award
		i := of(all, a.Claim.Subject)
		if a.State == Held || a.Trust != TrustBackdated || i < 0 || all[i].Latest > a.Claim.Latest {
			continue
		}
		switch j := of(sure, a.Claim.Subject); {
		case j < 0:
			sure = append(sure, c.single(a.Claim))
		case sure[j].Claim != all[i].Claim && noEarlier(&sure[j].Claim, &a.Claim):
			sure[j] = c.single(a.Claim)
		}
	}
	slices.SortFunc(sure, func(a, b Run) int { return compareSubjects(&a, &b) })
	return sure
}

// noEarlier reports whether a claim by the trusted evidence, of a subject that more of it
// gives another, cannot be the earlier one: else it counts. Giving an award and asking about
// it again later must answer that alike.
func noEarlier(trusted, all *Claim) bool {
	return trusted.Latest >= all.Latest && trusted.Earliest >= all.Earliest
}

// single returns a claim as one that a single event makes: its interval alone says where
// it belongs, and no order of events that are doubted.
func (c Contest) single(claim Claim) Run {
	return Run{Claim: claim, events: []countedEvent{{
		server: claim.Decided.Server, at: claim.At, id: claim.Decided.ID, e: claim.Earliest, l: claim.Latest, amount: Whole(c.Rule.Threshold),
	}}}
}

// maxTries bounds how often a world_first is decided to find whose claims move something.
const maxTries = 8

// mark marks the awards that are given by more than the trusted evidence.
func mark(entries []Entry, trusted map[string]*Run) {
	for _, e := range entries {
		if a := e.Award; e.Kind == KindAward && a.State != Held && a.Refines == "" {
			if run := trusted[a.Claim.Subject]; run == nil || run.Claim != a.Claim {
				a.Trust = TrustBackdated
			}
		}
	}
}

// protected returns the awards that what is doubted cannot take away: those that were
// given and may still be changed, and those held that come of a correction, or by a subject
// that had been given one, which was corrected.
func (c Contest) protected(st *Standing, m Moment) []Entry {
	return slices.DeleteFunc(st.Awards(), func(e Entry) bool {
		return st.firstGiven[e.Award.Claim.Subject] == 0 && e.Award.Corrects == "" || e.Award.State != Held && c.stands(&e, m)
	})
}

// lastEnd returns the greatest latest end of all who could have one of the first places,
// also where these are given around awards that stand.
func (c Contest) lastEnd(ev Evidence, protected []Entry, st *Standing, places int) Instant {
	stand := map[string]bool{}
	for _, e := range st.Awards() {
		stand[e.Award.Claim.Subject] = true
	}
	for _, e := range protected {
		delete(stand, e.Award.Claim.Subject)
	}
	runs, draw := pointers(ev.Runs), c.draw(ev.Secret)
	others := slices.DeleteFunc(slices.Clone(runs), func(r *Run) bool { return stand[r.Subject] })
	last := -Never
	for _, some := range [][]*Run{runs, others} {
		_, end := placeUntil(some, Whole(c.Rule.Threshold), places, c.Rule.Tie, draw, c.Rule.Places)
		last = max(last, end)
	}
	return last
}

// moves reports whether entries correct an award that was given, or withdraw a protected one.
func moves(entries, protected []Entry) bool {
	return slices.ContainsFunc(entries, func(e Entry) bool {
		return e.Kind == KindCorrection && (e.Correction.Policy != Keep && e.Correction.Policy != Withdrawn ||
			slices.ContainsFunc(protected, func(p Entry) bool { return p.ID == e.Correction.Corrects }))
	})
}

// sameUpTo reports whether two decisions agree about the first places.
func sameUpTo(places int, a, b []Placement) bool {
	seats := func(placed []Placement) []seat {
		first := slices.DeleteFunc(placeSeats(placed), func(s seat) bool { return s.place > places })
		slices.SortFunc(first, func(a, b seat) int { return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.subject, b.subject)) })
		return first
	}
	return slices.Equal(seats(a), seats(b))
}

// boardTrusting decides a leaderboard: once it is closed, by the trusted evidence.
func (c Contest) boardTrusting(ev Evidence, st *Standing, m Moment) Decision {
	if ev.Trusted == nil || st.board == nil || m.final(st.board.Board.FinalAt) || c.Rule.OnCorrection == Keep {
		return c.withoutWait(c.settleBoard(ev, st, m), st, "")
	}
	trusted := ev.trusted()
	changes := differences(c.boardSeats(ev), c.boardSeats(trusted))
	return c.waiting(c.settleBoard(trusted, st, m), st, Waiting{Changes: changes, FinalAt: st.board.Board.FinalAt})
}

// saleTrusting decides a sale. What is doubted is served after everything else, so that it
// has what nobody else wants, and keeps that as long as nobody does who asked before it had
// got it. What is doubted, would have a unit if it stood in the line by its stamp, and gets
// none, has no answer as long as that may change.
func (c Contest) saleTrusting(ev Evidence, st *Standing, m Moment) Decision {
	b := c.behind(ev, st)
	if len(b.last) == 0 {
		return c.withoutWait(c.settleSale(ev, st, m, nil), st, "")
	}
	all := c.settleSale(ev, st, m, nil)
	b.wanted = attemptsOf(unitsAfter(st, &all))
	d := c.settleSale(ev, st, m, &b)
	refused := map[Identity]bool{}
	for _, e := range d.Entries {
		if e.Kind == KindAllocation && e.Allocation.State != Reserved {
			refused[e.Allocation.Attempt] = true
		}
	}
	ev.Attempts = slices.DeleteFunc(slices.Clone(ev.Attempts), func(rec Record) bool { // they were told so for good
		_, answered := st.allocations[rec.Identity()]
		return !answered && refused[rec.Identity()]
	})
	all = c.settleSale(ev, st, m, nil)
	wanted, units := unitsAfter(st, &all), unitsAfter(st, &d)
	has, wants := attemptsOf(units), attemptsOf(wanted)
	w := Waiting{Changes: differences(unitSeats(wanted), unitSeats(units))}
	for _, a := range units {
		if !wants[a.Attempt] {
			w.FinalAt = max(w.FinalAt, a.FinalAt)
		}
	}
	for _, a := range wanted {
		if w.FinalAt == 0 && !has[a.Attempt] {
			w.FinalAt = a.FinalAt
		}
	}
	return c.waiting(d, st, w)
}

// behind returns the attempts that are doubted, and those that have a unit and were when
// they got it.
func (c Contest) behind(ev Evidence, st *Standing) behind {
	b := behind{last: map[Identity]bool{}}
	if c.Rule.Trust == TrustLate {
		return b
	}
	if ev.Trusted != nil {
		for i := range ev.Attempts {
			b.last[ev.Attempts[i].Identity()] = true
		}
		for i := range ev.Trusted.Attempts {
			delete(b.last, ev.Trusted.Attempts[i].Identity())
		}
	}
	for _, e := range st.Allocations() {
		if e.Allocation.Behind != 0 {
			b.last[e.Allocation.Attempt] = true
		} else { // by a rule with trust: late it was not doubted
			delete(b.last, e.Allocation.Attempt)
		}
	}
	return b
}

// unitsAfter returns the allocations of those that have a unit after a decision, by attempt.
func unitsAfter(st *Standing, d *Decision) []*Allocation {
	last := map[Identity]*Allocation{}
	for _, e := range slices.Concat(st.Allocations(), d.Entries) {
		if e.Kind == KindAllocation {
			last[e.Allocation.Attempt] = e.Allocation
		}
	}
	return slices.DeleteFunc(
		slices.SortedFunc(maps.Values(last), func(a, b *Allocation) int { return a.Attempt.Compare(b.Attempt) }),
		func(a *Allocation) bool { return a.State != Reserved })
}

func attemptsOf(units []*Allocation) map[Identity]bool {
	attempts := make(map[Identity]bool, len(units))
	for _, a := range units {
		attempts[a.Attempt] = true
	}
	return attempts
}

// achieveTrusting returns the entries of one subject's achievement: once it is given, by
// the trusted evidence. trusted is the claim by that, nil where it does not reach the
// threshold.
func (c Contest) achieveTrusting(run, trusted *Run, st *Standing, m Moment) []Entry {
	current := st.award(0, run.Subject)
	if current == nil {
		return c.achieve(run, st, m)
	}
	if c.stands(current, m) {
		return nil
	}
	stays := &current.Award.Claim
	var d Decision
	if trusted != nil {
		stays, d.Entries = &trusted.Claim, c.achieve(trusted, st, m)
	}
	w := Waiting{Subject: run.Subject, FinalAt: stays.Latest.Add(c.Rule.Correct)}
	if stays.Prize != run.Prize {
		w.Changes = []Change{{Keeps: []string{run.Subject}, Item: run.Prize}}
	}
	return c.waiting(d, st, w).Entries
}

// waiting says before the entries of a decision what waits, or that nothing does any more,
// unless that stands already.
func (c Contest) waiting(d Decision, st *Standing, w Waiting) Decision {
	if len(w.Changes) == 0 {
		return c.withoutWait(d, st, w.Subject)
	}
	w.Reason, d.Waits = waitsForPerson, true
	if before := st.waiting[w.Subject]; before != nil && reflect.DeepEqual(*before, w) {
		return d
	}
	d.Entries = append([]Entry{c.waitEntry(w)}, d.Entries...)
	return d
}

// trustOf is what an award or a board says that it rests on.
func (r *Rule) trustOf() string {
	if r.Trust == TrustLate {
		return TrustLate
	}
	return ""
}

func (c Contest) withoutWait(d Decision, st *Standing, subject string) Decision {
	if st.waiting[subject] != nil {
		d.Entries = append([]Entry{c.waitEntry(Waiting{Subject: subject, Reason: waitIsOver})}, d.Entries...)
	}
	return d
}

func (c Contest) waitEntry(w Waiting) Entry {
	e := c.entry(KindWaiting)
	e.Waiting = &w
	return e
}

// seat is who has what by a decision, and all about it that a correction is made for.
type seat struct {
	place   int
	subject string
	what    string
}

func (p Placement) seat() seat {
	what := p.Run.Prize
	if p.Tied {
		what += "\x00tied"
	}
	return seat{p.Place, p.Run.Subject, what}
}

func placeSeats(placed []Placement) []seat {
	var seats []seat
	for _, p := range placed {
		seats = append(seats, p.seat())
	}
	return seats
}

func (c Contest) boardSeats(ev Evidence) []seat {
	var seats []seat
	for _, l := range c.Rule.Rank(ev.Scores) {
		seats = append(seats, seat{l.Place, l.Subject, l.Score.String() + " " + l.Prize})
	}
	return seats
}

func unitSeats(units []*Allocation) []seat {
	var seats []seat
	for _, a := range units {
		seats = append(seats, seat{0, a.Player, a.Attempt.Server + "\x00" + a.Attempt.ID})
	}
	return seats
}

// differences says place by place how all differs from what is decided.
func differences(all, decided []seat) []Change {
	var changes []Change
	more, less := seatsWithout(all, decided), seatsWithout(decided, all)
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
	return changes
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

// trusted returns the evidence without what is doubted.
func (ev Evidence) trusted() Evidence {
	t := ev.Trusted
	ev.Runs, ev.Scores, ev.Attempts, ev.Trusted, ev.part = t.Runs, t.Scores, t.Attempts, nil, true
	return ev
}

// mixed returns the claims by all evidence of those for whom it counts and makes another,
// and by the trusted evidence of the others.
func (ev Evidence) mixed(c Contest, counts func(*Run) bool) []Run {
	trusted := ev.Trusted.byName()
	var runs []Run
	for i := range ev.Runs {
		all := &ev.Runs[i]
		some := trusted[all.Subject]
		switch {
		case counts(all) && (some == nil || some.Claim != all.Claim && noEarlier(&some.Claim, &all.Claim)):
			runs = append(runs, c.single(all.Claim))
		case some != nil:
			runs = append(runs, *some)
		}
	}
	return runs
}

func pointers(runs []Run) []*Run {
	all := make([]*Run, len(runs))
	for i := range runs {
		all[i] = &runs[i]
	}
	return all
}
