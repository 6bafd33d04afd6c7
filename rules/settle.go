package rules

import (
	"encoding/hex"
	"fmt"
	"slices"
)

// Evidence is what a contest is decided from: everything its cut holds about it.
// Only the part that the rule's kind needs is set.
type Evidence struct {
	Claims   []Claim  // world_first, achievement: of every subject that reached the threshold
	Scores   []Score  // leaderboard: of every subject that can be on the board
	Attempts []Record // sale: every attempt, one for each identity
	Seed     []byte   // of a draw or a lottery
}

// Horizon says how far a contest can be decided.
type Horizon struct {
	Through  Instant // the cut holds events before this
	Complete Instant // no event before this is waited for any more; at most Through
	Reach    Instant // nor one that can have happened before this
	Told     Instant // the bound of the cut before: what was final then is never changed
}

// Settle returns the entries that bring the ledger from its standing to what the
// evidence says. It neither changes its arguments nor depends on the order of the
// evidence, and settling once more adds nothing. A contest that its rule, since it
// was changed, does not have any more is left as it stands. Entries come back
// without cut, number and ID: see Seal.
func (c Contest) Settle(ev Evidence, st *Standing, h Horizon) []Entry {
	if !c.formed() {
		return nil
	}
	switch c.Rule.Kind {
	case WorldFirst:
		return c.settleFirst(ev, st, h)
	case Achievement:
		return c.settleAchievement(ev, st, h)
	case Leaderboard:
		return c.settleBoard(ev, st, h)
	case Sale:
		return c.settleSale(ev, st, h)
	}
	panic("rules: unknown kind " + string(c.Rule.Kind))
}

// draw returns the contest's lottery.
func (c Contest) draw(seed []byte) Draw { return Draw{seed, c.Rule.ID, c.Scope, c.Window} }

// settleAchievement awards every subject that reached the threshold. Nobody can
// take that away by coming earlier, so there is nothing to wait for; what later
// evidence can change is when they did.
func (c Contest) settleAchievement(ev Evidence, st *Standing, h Horizon) []Entry {
	var entries []Entry
	for _, claim := range slices.SortedFunc(slices.Values(ev.Claims), func(a, b Claim) int { return compareClaims(&a, &b) }) {
		p := Placement{Claim: claim}
		var wrong []Entry
		if current := st.award(0, claim.Subject); current != nil {
			if sameFinish(&current.Award.Claim, &claim) {
				continue
			}
			wrong = []Entry{*current}
			if frozen, why := c.frozen(wrong, h); frozen {
				entries = append(entries, c.findings(wrong, []Placement{p}, st, why)...)
				continue
			}
			entries = append(entries, c.corrections(wrong, []Placement{p}, st)...)
		}
		e := c.award(p, Provisional, nil)
		entries = append(entries, c.give(&e, st, wrong)...)
		entries = append(entries, e)
	}
	return entries
}

// settleFirst awards places, and corrects those that later evidence moved.
func (c Contest) settleFirst(ev Evidence, st *Standing, h Horizon) []Entry {
	draw := c.draw(ev.Seed)
	placed := Place(ev.Claims, c.Rule.Places, c.Rule.Tie, draw)
	wrong := st.wrong(placed)
	var entries []Entry
	if frozen, why := c.frozen(wrong, h); frozen {
		entries, placed = c.standFast(ev.Claims, placed, st, draw, why)
		wrong = nil
	}
	order := Place(ev.Claims, len(placed)+runnersUp, c.Rule.Tie, draw)
	for _, p := range placed {
		current := st.award(p.Place, p.Claim.Subject)
		if current != nil && !isPlaced([]Placement{p}, current) {
			current = nil // it is corrected or withdrawn below
		}
		if current != nil && current.Award.State == Provisional {
			continue
		}
		state := Provisional
		if p.Claim.Latest >= h.Reach {
			state = Held
		}
		if current != nil && state == Held {
			continue
		}
		e := c.award(p, state, after(order, p))
		if c.Rule.Tie == TieDraw && p.Tied {
			e.Award.Seed = hex.EncodeToString(ev.Seed)
		}
		if state == Provisional {
			entries = append(entries, c.give(&e, st, wrong)...)
		}
		entries = append(entries, e)
	}
	entries = append(c.corrections(wrong, placed, st), entries...)
	return append(c.withdrawn(placed, st), entries...)
}

// runnersUp is how many of those who came next an award shows.
const runnersUp = 3

// after returns the claims that follow a placement in the order.
func after(order []Placement, p Placement) []Claim {
	next := []Claim{}
	for _, o := range order {
		if o.Place > p.Place && len(next) < runnersUp {
			next = append(next, o.Claim)
		}
	}
	return next
}

func (c Contest) award(p Placement, state AwardState, next []Claim) Entry {
	e := c.entry(KindAward)
	e.Award = &Award{Place: p.Place, Claim: p.Claim, Tied: p.Tied, State: state, FinalAt: p.Claim.Latest.Add(c.Rule.Correct), RunnersUp: next}
	return e
}

// give completes an award that is given now: what it corrects, the key of its
// effect unless the subject holds the prize already, and the compensation that a
// correction is for the newcomer.
func (c Contest) give(e *Entry, st *Standing, wrong []Entry) []Entry {
	subject, prize := e.Award.Claim.Subject, e.Award.Claim.Prize
	e.Award.Corrects = corrects(wrong, e.Award.Place, subject)
	if st.held[holding{subject, prize}] {
		return nil
	}
	e.Key = c.giveKey(st, subject, prize)
	if e.Award.Corrects == "" {
		return nil
	}
	return []Entry{c.compensation(Compensation{Kind: c.Rule.OnCorrection, Subject: subject, Because: e.Award.Corrects, Item: prize})}
}

// corrects returns the ID of the standing entry that an award puts right: the
// subject's own in another place, else the one that held the place.
func corrects(wrong []Entry, place int, subject string) string {
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
	return ""
}

// giveKey returns the key of giving the item to the subject once more.
func (c Contest) giveKey(st *Standing, subject, item string) string {
	return c.key("give", subject, item, st.grants[holding{subject, item}])
}

func (c Contest) compensation(comp Compensation) Entry {
	e := c.entry(KindCompensation)
	e.Compensation = &comp
	return e
}

// award returns the standing award of a place and subject, or nil.
func (s *Standing) award(place int, subject string) *Entry {
	for i := range s.awards {
		if a := s.awards[i].Award; a.Place == place && a.Claim.Subject == subject {
			return &s.awards[i]
		}
	}
	return nil
}

// wrong returns the given awards that are not among placed.
func (s *Standing) wrong(placed []Placement) []Entry {
	var wrong []Entry
	for _, e := range s.awards {
		if e.Award.State != Held && !isPlaced(placed, &e) {
			wrong = append(wrong, e)
		}
	}
	return wrong
}

// isPlaced reports whether an award is among placed, with the same finish and told
// apart from others as it was said to be.
func isPlaced(placed []Placement, e *Entry) bool {
	return slices.ContainsFunc(placed, func(p Placement) bool {
		return p.Place == e.Award.Place && p.Claim.Subject == e.Award.Claim.Subject && p.Tied == e.Award.Tied &&
			sameFinish(&e.Award.Claim, &p.Claim)
	})
}

// sameFinish reports whether two claims of a subject are one finish: the same event
// made the number full, and when lies within what was said before. A finish that is
// only known better is no correction.
func sameFinish(said, now *Claim) bool {
	return said.Decided == now.Decided && said.Earliest <= now.At && now.At <= said.Latest
}

// corrections ends the wrong awards, and takes back what a transfer takes.
func (c Contest) corrections(wrong []Entry, placed []Placement, st *Standing) []Entry {
	var entries []Entry
	for _, w := range wrong {
		entries = append(entries, c.correction(w, placed, c.Rule.OnCorrection, "earlier evidence came to light"))
	}
	if c.Rule.OnCorrection != Transfer {
		return entries
	}
	for _, w := range wrong {
		loser := w.Award.Claim
		keeps := func(p Placement) bool { return p.Claim.Subject == loser.Subject && p.Claim.Prize == loser.Prize }
		if slices.ContainsFunc(placed, keeps) || !st.held[holding{loser.Subject, loser.Prize}] {
			continue
		}
		entries = append(entries, c.take(st, loser.Subject, loser.Prize, w.ID))
	}
	return entries
}

// withdrawn ends the held awards that are no longer among placed. Nothing was
// given, so nothing is compensated, and no policy or finality keeps them: the
// place moves, which is a Transfer whatever the rule says of awards.
func (c Contest) withdrawn(placed []Placement, st *Standing) []Entry {
	var entries []Entry
	for _, e := range st.awards {
		has := func(p Placement) bool { return p.Place == e.Award.Place && p.Claim.Subject == e.Award.Claim.Subject }
		if e.Award.State == Held && !slices.ContainsFunc(placed, has) {
			entries = append(entries, c.correction(e, placed, Transfer, "it was held, and an earlier finish came in"))
		}
	}
	return entries
}

// take returns the compensation that takes an item back.
func (c Contest) take(st *Standing, subject, item, because string) Entry {
	e := c.compensation(Compensation{Kind: Transfer, Subject: subject, Because: because, Item: item, Takes: true})
	e.Key = c.key("take", subject, item, st.grants[holding{subject, item}])
	return e
}

func (c Contest) correction(w Entry, placed []Placement, policy, why string) Entry {
	e := c.entry(KindCorrection)
	e.Correction = &Correction{Corrects: w.ID, Place: w.Award.Place, Subject: w.Award.Claim.Subject, Policy: policy}
	for _, p := range placed {
		if p.Place == w.Award.Place && (e.Correction.Found == "" || p.Claim.Subject == w.Award.Claim.Subject) {
			e.Correction.Found = p.Claim.Subject // the subject itself where only its finish is another
		}
	}
	e.Correction.Reason = why
	if w.Award.Place > 0 {
		e.Correction.Reason = fmt.Sprintf("place %d: %s", w.Award.Place, why)
	}
	return e
}
