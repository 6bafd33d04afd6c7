package rules

import (
	"cmp"
	"maps"
	"slices"
)

// runnersUp is how many of those who came next an award shows.
const runnersUp = 3

// settleFirst awards places, and corrects those that later evidence moved.
//
//	─▶ held ──▶ provisional ──▶ final (nothing is written)
//	     │            └──▶ corrected, by the rule's policy
//	     └──▶ withdrawn: nothing had been given
//
// A place is given when every watermark that its scope waits for has passed its Until,
// or its hold is over. A place that a draw decides also needs its seed committed to in
// an earlier cut.
func (c Contest) settleFirst(ev Evidence, st *Standing, m Moment) Decision {
	if len(ev.Runs) == 0 && len(st.awards) == 0 {
		return Decision{}
	}
	runs := make([]*Run, len(ev.Runs))
	for i := range ev.Runs {
		runs[i] = &ev.Runs[i]
	}
	draw := c.draw(ev.Secret)
	order := c.order(runs, c.Rule.Places+runnersUp, draw)
	after := slices.IndexFunc(order, func(p Placement) bool { return p.Place > c.Rule.Places })
	if after < 0 {
		after = len(order)
	}
	ch := change{now: order[:after], right: order[:after], part: ev.part}
	var fixed []Entry
	for _, e := range st.Awards() {
		if e.Award.State == Held {
			continue
		}
		ch.was = append(ch.was, e)
		if c.stands(&e, m) {
			fixed = append(fixed, e)
		}
	}
	var d Decision
	d.Entries = c.commit(ev, st, c.Rule.drawnPlaces())
	if c.disturbed(fixed, ch.right, st) {
		ch.now = c.around(fixed, runs, draw)
		d.Entries = append(d.Entries, c.findings(fixed, ch, runs, ev, draw, st, m)...)
	} else {
		ch.now = standing(fixed, ch.right)
	}
	wrong := c.wrong(ch, fixed, st)
	d.Entries = append(d.Entries, c.withdrawn(ch, st)...)
	d.Entries = append(d.Entries, c.corrections(wrong, ch, st)...)
	g := giving{Contest: c, st: st, m: m, draw: draw, wrong: wrong, order: order, now: ch.now, bound: c.bound(ev, order, m), regions: c.regions(order)}
	for _, p := range ch.now {
		if !isFixed(fixed, p) {
			d.Entries = append(d.Entries, g.place(p)...)
		}
	}
	d.Again, d.Waits, d.now = g.again, g.waits, ch.now
	return d
}

// Reach says whether runs are enough to decide a world_first from. It returns whether
// they fill its places and those of the runners-up, and the greatest latest end of all
// candidates for these: a claim that begins later than that by more than the slack of
// the clocks changes nothing.
func (c Contest) Reach(runs []Run, secret string) (Instant, bool) {
	some := make([]*Run, len(runs))
	for i := range runs {
		some[i] = &runs[i]
	}
	wanted := c.Rule.Places + runnersUp
	placed, lastEnd := placeUntil(some, Whole(c.Rule.Threshold), wanted, c.Rule.Tie, c.draw(secret), c.Rule.Places)
	return lastEnd, len(placed) >= wanted
}

// order places the runs; beyond the rule's own places nothing is drawn.
func (c Contest) order(runs []*Run, places int, draw Draw) []Placement {
	return place(runs, Whole(c.Rule.Threshold), places, c.Rule.Tie, draw, c.Rule.Places)
}

// bound returns the instant before which nothing can come any more that the cut does
// not hold, for those of the order.
func (c Contest) bound(ev Evidence, order []Placement, m Moment) Instant {
	if m.Cut.Complete {
		return ev.Beyond
	}
	return min(m.Cut.Unseen(c.Scope, c.regions(order)), ev.Beyond)
}

// regions returns those that the deciding events of the places and the runners-up name,
// sorted: of others the evidence may not tell.
func (c Contest) regions(order []Placement) []string {
	var regions []string
	for _, p := range order {
		regions = append(regions, p.Run.Region)
	}
	slices.Sort(regions)
	return slices.Compact(regions)
}

// isFixed reports whether a placement is an award that stands.
func isFixed(fixed []Entry, p Placement) bool {
	return slices.ContainsFunc(fixed, func(e Entry) bool {
		return e.Award.Place == p.Place && e.Award.Claim.Subject == p.Run.Subject
	})
}

// standing returns the placements, and of those that are awards that stand what these say:
// whatever else the evidence says of them changes nothing.
func standing(fixed []Entry, placed []Placement) []Placement {
	placed = slices.Clone(placed)
	for i, p := range placed {
		if j := slices.IndexFunc(fixed, func(e Entry) bool { return isFixed([]Entry{e}, p) }); j >= 0 {
			placed[i].Run, placed[i].Tied = &Run{Claim: fixed[j].Award.Claim}, fixed[j].Award.Tied
		}
	}
	return placed
}

// disturbed reports whether right, the places by the evidence alone, contradicts awards
// that stand: one of them is not in its place, or somebody shares that place who was
// never announced for it, neither as held nor as given.
func (c Contest) disturbed(fixed []Entry, right []Placement, st *Standing) bool {
	for _, e := range fixed {
		there := subjectsAt(right, e.Award.Place)
		if !slices.Contains(there, e.Award.Claim.Subject) {
			return true
		}
		for _, s := range there {
			if st.award(e.Award.Place, s) == nil {
				return true
			}
		}
	}
	return false
}

// around places the claims of others around the awards that stand. These keep their
// places; the places that they leave go to the other subjects in their order. Awards
// that share a place take as many places as they are.
func (c Contest) around(fixed []Entry, runs []*Run, draw Draw) []Placement {
	taken, slots := map[string]bool{}, map[int]bool{}
	var placed []Placement
	slot := 0
	for _, e := range fixed {
		slot = max(slot+1, e.Award.Place)
		slots[slot] = true
		taken[e.Award.Claim.Subject] = true
		placed = append(placed, Placement{Place: e.Award.Place, Run: &Run{Claim: e.Award.Claim}, Tied: e.Award.Tied, Until: e.Award.Claim.Latest})
	}
	var left []int
	for p := 1; p <= c.Rule.Places; p++ {
		if !slots[p] {
			left = append(left, p)
		}
	}
	others := slices.DeleteFunc(slices.Clone(runs), func(r *Run) bool { return taken[r.Subject] })
	for _, p := range c.order(others, len(left), draw) {
		p.Place = left[min(p.Place, len(left))-1]
		placed = append(placed, p)
	}
	slices.SortStableFunc(placed, func(a, b Placement) int { return cmp.Compare(a.Place, b.Place) })
	return placed
}

// findings says who is denied something by awards that stand though the evidence says
// otherwise: who should have a place, and gets a worse one or none. That is said once
// for each place and subject; otherwise the awards that were placed around those would
// say it again once they are final themselves. Who gets no place at all has a
// compensation that says so, once.
//
// A finding is a correction that changes nothing. There is one for each award that
// stands at the place, or, where none does, for the first that is not where the evidence
// puts it.
//
// Where some evidence is doubted, what is decided mixes claims by all of it with others by
// what is trusted. One of the two by itself must say the same, else time alone would find
// what no evidence says.
func (c Contest) findings(fixed []Entry, ch change, runs []*Run, ev Evidence, draw Draw, st *Standing, m Moment) []Entry {
	alone := [][]Placement{ch.right}
	if ev.all != nil {
		sure := c.withGiven(ev.sure, fixed, ch.now)
		alone = [][]Placement{c.order(pointers(ev.all), c.Rule.Places, draw), c.order(pointers(sure), c.Rule.Places, draw)}
	}
	has := func(subject string, place int) bool {
		return slices.ContainsFunc(alone, func(right []Placement) bool {
			at := placeIn(right, subject)
			return at > 0 && at <= place
		})
	}
	lacks := func(subject string) bool {
		return slices.ContainsFunc(alone, func(right []Placement) bool { return placeIn(right, subject) == 0 })
	}
	denied := map[int][]string{}
	for _, p := range ch.right {
		if at := placeIn(ch.now, p.Run.Subject); (at == 0 || at > p.Place) && has(p.Run.Subject, p.Place) {
			denied[p.Place] = append(denied[p.Place], p.Run.Subject)
		}
	}
	var entries []Entry
	named, emptyHanded := map[string]bool{}, map[string]bool{}
	for _, place := range slices.Sorted(maps.Keys(denied)) {
		news := slices.DeleteFunc(slices.Clone(denied[place]), func(s string) bool { return st.denied[placeOf{place, s}] })
		if len(news) == 0 {
			continue
		}
		causes := c.causes(fixed, ch.right, place)
		for i := range causes {
			named[causes[i].ID] = true
			entries = append(entries, c.finding(&causes[i], place, denied[place], ch, m))
		}
		for _, s := range news {
			if placeIn(ch.now, s) == 0 && !emptyHanded[s] && !st.emptyHanded[s] {
				emptyHanded[s] = true
				entries = append(entries, c.compensation(Compensation{Kind: Keep, Subject: s, Because: causes[0].ID}))
			}
		}
	}
	for i := range fixed {
		w := &fixed[i]
		if subject := w.Award.Claim.Subject; placeIn(ch.right, subject) > 0 || !lacks(subject) || named[w.ID] || st.kept[w.ID] {
			continue
		}
		others := slices.DeleteFunc(slices.Clone(fixed), func(o Entry) bool { return o.Award.Place == w.Award.Place })
		if !slices.Contains(subjectsAt(c.around(others, runs, draw), w.Award.Place), w.Award.Claim.Subject) {
			entries = append(entries, c.finding(w, w.Award.Place, nil, ch, m))
		}
	}
	return entries
}

// withGiven returns claims, and instead of those, or besides, the ones of placements that
// are not awards that stand. The claims are left unmodified.
func (c Contest) withGiven(claims []Run, fixed []Entry, now []Placement) []Run {
	with := slices.Clone(claims)
	for _, p := range now {
		i := slices.IndexFunc(with, func(r Run) bool { return r.Subject == p.Run.Subject })
		switch {
		case isFixed(fixed, p):
		case i < 0:
			with = append(with, *p.Run)
		case with[i].Claim != p.Run.Claim:
			with[i] = *p.Run
		}
	}
	return with
}

// causes returns the awards because of which somebody is denied a place: those that the
// findings about it name.
func (c Contest) causes(fixed []Entry, right []Placement, place int) []Entry {
	var causes []Entry
	for _, e := range fixed {
		if e.Award.Place == place {
			causes = append(causes, e)
		}
	}
	if len(causes) > 0 {
		return causes
	}
	for _, e := range fixed {
		if placeIn(right, e.Award.Claim.Subject) != e.Award.Place {
			return []Entry{e}
		}
	}
	return fixed[:1]
}

// finding is the correction that changes nothing.
func (c Contest) finding(w *Entry, place int, denied []string, ch change, m Moment) Entry {
	why := "the rule keeps what was awarded"
	if m.final(w.Award.FinalAt) {
		why = "the award was final"
	}
	e := c.correction(w, ch, Keep, why)
	e.Correction.Denied = denied
	if place != w.Award.Place {
		e.Correction.Place, e.Correction.Found = place, subjectsAt(ch.right, place)[0]
		e.Correction.Gains, e.Correction.Keeps, e.Correction.Loses = nil, nil, nil
		e.Correction.Reason = reasonAt(place, why)
	}
	return e
}

// placeIn returns the best place that a subject has; 0: none.
func placeIn(placed []Placement, subject string) int {
	for _, p := range placed {
		if p.Run.Subject == subject {
			return p.Place
		}
	}
	return 0
}

// wrong returns the awards that were given, may still be changed, and do not agree with
// the places now: the subject has another place, none, or another prize, it is tied and
// was not or the other way, or somebody shares the place who was never announced for it.
func (c Contest) wrong(ch change, fixed []Entry, st *Standing) []Entry {
	var wrong []Entry
	for _, e := range ch.was {
		a := e.Award
		stands := func(f Entry) bool { return f.ID == e.ID }
		if slices.ContainsFunc(fixed, stands) {
			continue
		}
		right := slices.ContainsFunc(ch.now, func(p Placement) bool {
			return p.Place == a.Place && p.Run.Subject == a.Claim.Subject && (p.Tied == a.Tied || a.Tied && ch.part) && p.Run.Prize == a.Claim.Prize
		})
		joined := slices.ContainsFunc(subjectsAt(ch.now, a.Place), func(s string) bool { return st.award(a.Place, s) == nil })
		if !right || joined {
			wrong = append(wrong, e)
		}
	}
	return wrong
}

// withdrawn ends the held awards that are no longer placed. Nothing was given for them, so
// no policy or finality keeps them. A subject that has the prize from an award which was
// corrected to a held one loses it now, if a transfer takes prizes.
func (c Contest) withdrawn(ch change, st *Standing) []Entry {
	var entries []Entry
	for _, e := range st.Awards() {
		if e.Award.State != Held || slices.Contains(subjectsAt(ch.now, e.Award.Place), e.Award.Claim.Subject) {
			continue
		}
		held := ch
		held.was = []Entry{e}
		entries = append(entries, c.correction(&e, held, Withdrawn, "it was held, and an earlier finish came in"))
		if c.Rule.OnCorrection == Transfer {
			entries = append(entries, c.takeBack(&e, ch, st)...)
		}
	}
	return entries
}

// giving gives the places of a contest that do not stand yet.
type giving struct {
	Contest
	st      *Standing
	m       Moment
	draw    Draw
	wrong   []Entry
	order   []Placement // by the evidence alone
	now     []Placement // around what stands
	bound   Instant     // nothing that the cut does not hold can have happened before
	regions []string
	again   Again
	waits   bool
}

// place returns the entries of a placement: the award, given or held, if that says
// something new.
func (g *giving) place(p Placement) []Entry {
	current := g.st.award(p.Place, p.Run.Subject)
	e := g.award(p, g.next(p))
	if current != nil && current.Award.State == Provisional && !slices.ContainsFunc(g.wrong, func(w Entry) bool { return w.ID == current.ID }) {
		if current.Award.Claim == p.Run.Claim && current.Award.FinalAt == e.Award.FinalAt {
			return nil
		}
		e.Award.Refines, e.Award.Seed, e.Award.Tied = current.ID, current.Award.Seed, current.Award.Tied
		if current.Award.Claim == p.Run.Claim {
			e.Award.Trust = current.Award.Trust
		}
		return []Entry{e}
	}
	until := p.Run.Latest.Add(g.Rule.Hold)
	given := p.Until < g.bound || g.m.over(until)
	if p.Drawn && !g.st.committed(min(p.Place, g.Rule.Places)) {
		if given {
			g.again = AgainDraw
		}
		g.waits = true
		return nil // until the seed is committed to nobody knows
	}
	if given {
		if p.Drawn && p.Tied {
			e.Award.Seed = seedText(g.draw.Seed(p.Place))
		}
		return append(g.give(&e, g.st, g.wrong), e)
	}
	g.waits = true
	if current != nil && current.Award.State == Held && current.Award.Claim == p.Run.Claim && current.Award.Tied == p.Tied {
		return nil
	}
	e.Award.State, e.Award.Until, e.Award.Corrects = Held, until, corrects(g.wrong, g.st, p.Place, p.Run.Subject)
	e.Award.WaitsFor = g.m.Cut.WaitsFor(g.Scope, g.regions, p.Until)
	return []Entry{e}
}

// next returns the claims that follow a placement in the order, without those of subjects
// that have its place or a better one around awards that stand.
func (g *giving) next(p Placement) []Claim {
	next := []Claim{}
	for _, o := range g.order {
		at := placeIn(g.now, o.Run.Subject)
		if o.Place > p.Place && (at == 0 || at > p.Place) && len(next) < runnersUp {
			next = append(next, o.Run.Claim)
		}
	}
	return next
}
