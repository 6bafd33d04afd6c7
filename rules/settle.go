package rules

import (
	"encoding/hex"
	"fmt"
	"slices"
)

// Evidence is what a contest is decided from: everything its cut holds about it that
// can matter. Only the part that the rule's kind needs is set.
type Evidence struct {
	// Runs are the claims of every subject that reached the threshold, of world_first
	// and achievement. Of a world_first those may be left out that certainly come after
	// the places and the runners-up; of an achievement those that were not touched.
	Runs []Run
	// Scores are of every subject that can be on the board.
	Scores []Score
	// Attempts are the purchase attempts, one for each identity. Those that were told
	// no may be left out.
	Attempts []Record
	// Unanswered says that attempts which have a unit may be left out too: they count as
	// their allocations say. It must be false where the rule has changed since.
	Unanswered bool
	// Beyond is about events that the node's line reads but that are not in the cut,
	// since their instant is at or after Through: they may have happened before it, as
	// far as the clocks tell. It is the least earliest end of those that count in the
	// contest; Never if there is none. One that is after the latest end of every run
	// changes nothing and may be left out.
	Beyond Instant
	// Secret is what the seeds of draws come from.
	Secret string
	// Trusted is the evidence without what the contest doubts, and says of everything else
	// the same; nil where it doubts nothing. Beyond is about both.
	Trusted *Trusted

	part bool // it is only a part of the evidence
	// Where the runs of a world_first are a mixture: all of them, and those for sure.
	all, sure []Run
}

// Decision is what a cut adds to the ledger about a contest.
type Decision struct {
	// Entries come without cut, number and ID: see Seal.
	Entries []Entry
	// Again says that the next cut, at once, has more to decide.
	Again Again
	// Waits says that the next hour or late cut must look at the contest even if nothing
	// new comes: an award is held, a board is not closed, an attempt waits in the queue.
	Waits bool
	// Line are the players with an attempt that waits, sorted. Of a lottery that is not
	// drawn yet there are none: everybody waits.
	Line []string

	now []Placement // of a world_first: who has which place
}

// MaxEntries bounds the entries of one cut, the one that ends it aside; a single
// contest's places may exceed it. What is left over is due in the next cut, which
// has the same bound.
const MaxEntries = 100_000

// Settle decides what brings the ledger from the contest's standing to what the
// evidence says, in at most room entries where the contest can be divided. It
// neither changes its arguments nor depends on the order of the evidence, and
// settling once more adds nothing. A contest that its rule, since it was changed,
// does not have any more is left as it stands, and so is one that nothing changes
// any more.
func (c Contest) Settle(ev Evidence, st *Standing, m Moment, room int) Decision {
	if !c.formed() || !c.Open(st, m) {
		return Decision{}
	}
	switch c.Rule.Kind {
	case WorldFirst:
		return c.firstTrusting(ev, st, m)
	case Achievement:
		return c.settleAchievement(ev, st, m, room)
	case Leaderboard:
		return c.boardTrusting(ev, st, m)
	case Sale:
		return c.saleTrusting(ev, st, m)
	}
	panic("rules: unknown kind " + string(c.Rule.Kind))
}

// Open reports whether evidence of the moment's cut may change the contest: its time
// for corrections was not over at the cut before, or something in it still waits. A
// sale always has an answer to give; see TooLate.
func (c Contest) Open(st *Standing, m Moment) bool {
	until := c.OpenUntil()
	if until != Never && (st.board != nil || c.Rule.Kind == Achievement) { // it waits for nobody
		until = c.Window.Closes.Add(c.Rule.Correct)
	}
	return c.Rule.Kind == Sale || !m.final(until) || st.Holds()
}

// MayWait reports whether something in the contest may wait for a later cut. It is for a
// settler that has just started and has no Decision yet, only the standing: where
// Decision.Waits would be true it is true, and sometimes elsewhere.
func (c Contest) MayWait(st *Standing) bool {
	switch {
	case c.Rule.Kind != Achievement && st.waiting[""] != nil:
		return true
	case c.Rule.Kind == Leaderboard:
		return st.board == nil && !c.Window.Forever()
	case c.Rule.Kind == Sale:
		return c.Rule.Hold > 0 || c.Rule.Draws()
	}
	// What a draw decides is not held before its seed is committed to.
	return st.Holds() || c.Rule.Kind == WorldFirst && c.Rule.Draws()
}

// AsksEverybody reports whether a sale that waits has to be decided from all attempts,
// not only from those that wait and those that are new: a lottery, when it may be drawn.
func (c Contest) AsksEverybody(cut *Cut) bool {
	return c.Rule.Queue == QueueLottery && c.Window.Closes <= cut.Through
}

// MayBeTooLate reports whether TooLate may hold of an event that did not happen before
// an instant.
func (c Contest) MayBeTooLate(first Instant, st *Standing, m Moment) bool {
	if c.Rule.Kind == Sale {
		return m.final(first.Add(c.Rule.Correct))
	}
	return !c.Open(st, m)
}

// commit returns the commitment that the contest still needs, or none. It is written in
// the cut that brings the contest's first evidence. Settle draws only where the standing
// has the commitment already, so every draw is in a later cut.
func (c Contest) commit(ev Evidence, st *Standing, places int) []Entry {
	if !c.Rule.Draws() || st.commitment != nil && len(st.commitment.Digests) >= places {
		return nil
	}
	e := c.entry(KindCommitment)
	e.Commitment = c.draw(ev.Secret).commitment(places)
	return []Entry{e}
}

// Draws reports whether the rule may draw lots.
func (r *Rule) Draws() bool { return r.Tie == TieDraw || r.Queue == QueueLottery }

// drawnPlaces is how many places of the rule have a seed.
func (r *Rule) drawnPlaces() int { return max(r.Places, 1) }

// committed reports whether the ledger holds the commitment of a place.
func (s *Standing) committed(place int) bool {
	return s.commitment != nil && place <= len(s.commitment.Digests)
}

// OpenCommitments returns the commitments that a cut adds for contests without any
// evidence yet: of each drawing rule of scope world, for the window that holds the
// cut's end. So a seed is committed to before anybody can know who it decides among.
// committed reports whether the ledger, or the cut itself, has one already.
func OpenCommitments(set *Ruleset, secret string, cut *Cut, committed func(Contest) bool) []Entry {
	var entries []Entry
	for i := range set.Rules {
		r := &set.Rules[i]
		w, ok := r.Window.At(cut.Through)
		c := Contest{r, World, w}
		if ok && r.Draws() && r.Scope == ScopeWorld && !committed(c) {
			entries = append(entries, c.commit(Evidence{Secret: secret}, &Standing{}, r.drawnPlaces())...)
		}
	}
	return entries
}

// settleAchievement awards every subject that reached the threshold, by subject.
// Nobody can take that away by coming earlier, so there is nothing to wait for; what
// later evidence can change is when they did, and by that the prize.
func (c Contest) settleAchievement(ev Evidence, st *Standing, m Moment, room int) Decision {
	var d Decision
	runs := slices.SortedFunc(slices.Values(ev.Runs), func(a, b Run) int { return compareSubjects(&a, &b) })
	trusted := ev.Trusted.byName()
	for i := range runs {
		alone := &runs[i]
		if trusted != nil {
			alone = trusted[alone.Subject]
		}
		entries := c.achieveTrusting(&runs[i], alone, st, m)
		if len(entries) > 0 && len(d.Entries)+len(entries) > room {
			d.Again = AgainRest
			return d
		}
		d.Entries = append(d.Entries, entries...)
	}
	return d
}

func compareSubjects(a, b *Run) int {
	if a.Subject < b.Subject {
		return -1
	} else if a.Subject > b.Subject {
		return 1
	}
	return 0
}

// achieve returns the entries of one subject's achievement: none if it stands as it is.
func (c Contest) achieve(run *Run, st *Standing, m Moment) []Entry {
	p := Placement{Run: run}
	e := c.award(p, nil)
	current := st.award(0, run.Subject)
	switch {
	case current == nil:
		return append(c.give(&e, st, nil), e)
	case current.Award.Claim == run.Claim && current.Award.FinalAt == e.Award.FinalAt, c.stands(current, m):
		return nil
	case current.Award.Claim.Prize == run.Prize:
		e.Award.Refines = current.ID
		return []Entry{e}
	}
	wrong := []Entry{*current}
	entries := c.corrections(wrong, change{now: []Placement{p}}, st)
	entries = append(entries, c.give(&e, st, wrong)...)
	return append(entries, e)
}

// stands reports whether a given award stays whatever the cut's evidence says.
func (c Contest) stands(e *Entry, m Moment) bool {
	return m.final(e.Award.FinalAt) || c.Rule.OnCorrection == Keep
}

// award begins the entry of a placement.
func (c Contest) award(p Placement, next []Claim) Entry {
	e := c.entry(KindAward)
	if next == nil {
		next = []Claim{}
	}
	e.Award = &Award{
		Place: p.Place, Claim: p.Run.Claim, Tied: p.Tied, State: Provisional,
		FinalAt: p.Run.Latest.Add(c.Rule.Correct), RunnersUp: next, Trust: c.Rule.trustOf(),
	}
	return e
}

// give completes an award that is given now: what it corrects, the key of its effect
// unless there is no prize or the subject holds it already, and the compensation
// that a correction is for the newcomer.
func (c Contest) give(e *Entry, st *Standing, wrong []Entry) []Entry {
	subject, prize := e.Award.Claim.Subject, e.Award.Claim.Prize
	e.Award.Corrects = corrects(wrong, st, e.Award.Place, subject)
	if prize == "" || st.held[holding{subject, prize}] {
		return nil
	}
	e.Key = c.giveKey(st, subject, prize)
	if e.Award.Corrects == "" {
		return nil
	}
	return []Entry{c.compensation(Compensation{Kind: c.Rule.OnCorrection, Subject: subject, Because: e.Award.Corrects, Item: prize})}
}

// corrects returns the ID of the entry that an award puts right: the subject's own wrong
// one, else one of those that held the place, else what the held awards of the place have
// put right, since one that is given later than it was held corrects the same.
func corrects(wrong []Entry, st *Standing, place int, subject string) string {
	for _, w := range wrong {
		if w.Award.Claim.Subject == subject {
			return w.ID
		}
	}
	for _, w := range wrong {
		if w.Award.Place == place {
			return w.ID
		}
	}
	if own := st.award(place, subject); own != nil {
		return own.Award.Corrects
	}
	for _, e := range st.Awards() {
		if e.Award.Place == place && e.Award.State == Held && e.Award.Corrects != "" {
			return e.Award.Corrects
		}
	}
	return ""
}

// giveKey returns the key of giving the item to the subject once more.
func (c Contest) giveKey(st *Standing, subject, item string) string {
	return c.key("give", []string{subject, item}, st.grants[holding{subject, item}])
}

func (c Contest) compensation(comp Compensation) Entry {
	e := c.entry(KindCompensation)
	e.Compensation = &comp
	return e
}

// take returns the compensation that takes an item back.
func (c Contest) take(st *Standing, subject, item, because string) Entry {
	e := c.compensation(Compensation{Kind: Transfer, Subject: subject, Because: because, Item: item, Takes: true})
	e.Key = c.key("take", []string{subject, item}, st.grants[holding{subject, item}])
	return e
}

// change is what the evidence means for the places of a contest.
type change struct {
	now   []Placement // who has which place now
	right []Placement // who would have it if nothing stood in the way
	was   []Entry     // the awards that were given
	part  bool        // by a part of the evidence: who was tied with somebody may be so with one who is doubted
}

// corrections ends the wrong awards, and takes back what a transfer takes.
func (c Contest) corrections(wrong []Entry, ch change, st *Standing) []Entry {
	var entries []Entry
	for i := range wrong {
		entries = append(entries, c.correction(&wrong[i], ch, c.Rule.OnCorrection, "earlier evidence came to light"))
	}
	if c.Rule.OnCorrection != Transfer {
		return entries
	}
	for i := range wrong {
		entries = append(entries, c.takeBack(&wrong[i], ch, st)...)
	}
	return entries
}

// takeBack takes the prize of an award that ends from its subject, unless another place
// gives it the same or it has it no more.
func (c Contest) takeBack(w *Entry, ch change, st *Standing) []Entry {
	loser := w.Award.Claim
	keeps := func(p Placement) bool { return p.Run.Subject == loser.Subject && p.Run.Prize == loser.Prize }
	if slices.ContainsFunc(ch.now, keeps) || !st.held[holding{loser.Subject, loser.Prize}] {
		return nil
	}
	return []Entry{c.take(st, loser.Subject, loser.Prize, w.ID)}
}

// correction says that an award was wrong, and what that means for everybody at its
// place.
func (c Contest) correction(w *Entry, ch change, policy, why string) Entry {
	e := c.entry(KindCorrection)
	place, subject := w.Award.Place, w.Award.Claim.Subject
	said := &Correction{Corrects: w.ID, Place: place, Subject: subject, Policy: policy, Reason: why}
	now, had := subjectsAt(ch.now, place), []string{}
	for i := range ch.was {
		if a := ch.was[i].Award; a.Place == place {
			had = append(had, a.Claim.Subject)
		}
	}
	if len(ch.was) == 0 {
		had = []string{subject}
	}
	said.Gains, said.Keeps, said.Loses = without(now, had), both(now, had), without(had, now)
	said.Denied = slices.DeleteFunc(without(subjectsAt(ch.right, place), now), func(s string) bool {
		return slices.ContainsFunc(ch.now, func(p Placement) bool { return p.Run.Subject == s && p.Place <= place })
	})
	should := now
	if policy == Keep {
		should = subjectsAt(ch.right, place)
	}
	if len(should) > 0 {
		said.Found = should[0]
		if slices.Contains(should, subject) {
			said.Found = subject // only its finish, or who shares its place, is another
		}
	}
	if place > 0 {
		said.Reason = reasonAt(place, why)
	}
	e.Correction = said
	return e
}

func reasonAt(place int, why string) string { return fmt.Sprintf("place %d: %s", place, why) }

// subjectsAt returns whom a place goes to, in the order of placed.
func subjectsAt(placed []Placement, place int) []string {
	var subjects []string
	for _, p := range placed {
		if p.Place == place {
			subjects = append(subjects, p.Run.Subject)
		}
	}
	return subjects
}

func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

func both(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return !slices.Contains(b, s) })
}

// seedText is how entries show a seed.
func seedText(seed []byte) string { return hex.EncodeToString(seed) }
