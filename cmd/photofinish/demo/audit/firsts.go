package audit

import (
	"fmt"
	"slices"
	"time"

	"photofinish/ingest"
	"photofinish/rules"
)

// checkFirsts compares every award of places with who truly finished when.
func (a *auditor) checkFirsts(stands *standing) {
	c := a.check("G2", "whoever was first has it, as far as clocks can tell")
	awards, finishers, shared := 0, 0, 0
	for _, want := range []struct {
		rule, target string
		byRegion     bool
		subject      func(*Event) string
	}{
		{"rabbit-slayer", "rabbit", false, playerOf},
		{"dragon-guild", "dragon", false, guildOf},
		{"wyrm-first", "wyrm", true, playerOf},
	} {
		scopes := map[string]func(*Event) bool{"world": isKill(want.target)}
		if want.byRegion {
			scopes = map[string]func(*Event) bool{}
			for _, region := range a.Regions {
				scopes["region:"+region] = func(m *Event) bool { return isKill(want.target)(m) && m.Region == region }
			}
		}
		seen := 0
		for scope, match := range scopes { // problems aside, the order does not show
			k := contest{rule: want.rule, scope: scope}
			finishes := a.truth.counting(match).finishes(a.Ruleset.Rule(want.rule).Threshold, want.subject)
			a.checkPlaces(c, k, finishes, stands.awards[k])
			a.checkClaims(c, a.truth.counting(match), a.Ruleset.Rule(want.rule).Threshold, want.subject, stands.awards[k])
			finishers += len(finishes)
			awards += len(stands.awards[k])
			seen += len(stands.awards[k])
			if len(stands.awards[k]) > 1 {
				shared++
			}
		}
		for _, k := range sortedContests(stands.awards) {
			if k.rule == want.rule {
				seen -= len(stands.awards[k])
			}
		}
		if seen != 0 {
			c.Problem("%s: %d awards stand in scopes that do not exist", want.rule, -seen)
		}
	}
	c.Checked = fmt.Sprintf("%d finishes in truth, %d awards, %d of one place shared", finishers, awards, shared)
}

// checkPlaces checks the awards of one contest of a single place.
func (a *auditor) checkPlaces(c *Check, k contest, finishes []finish, awards []rules.Entry) {
	byName := map[string]*finish{}
	for i := range finishes {
		byName[finishes[i].subject] = &finishes[i]
	}
	for _, e := range awards {
		won := e.Award
		f := byName[won.Claim.Subject]
		switch {
		case f == nil:
			c.Problem("%s (%s): %s has place %d and never finished", k.rule, k.scope, won.Claim.Subject, won.Place)
			continue
		case won.State == rules.Held && f.latest < a.through.Add(-ingest.DefaultSilentAfter):
			// A node to which a server turned for once waits so long for it to speak again.
			c.Problem("%s (%s): %s is still held, and everybody has reported", k.rule, k.scope, f.subject)
		}
		before := 0
		for i := range finishes {
			if finishes[i].certainlyBefore(f) {
				before++
			}
		}
		if before >= won.Place {
			c.Problem("%s (%s): %s has place %d, and %d others were certainly earlier", k.rule, k.scope, f.subject, won.Place, before)
		}
	}
	if len(finishes) == 0 || finishes[0].latest >= a.through {
		return
	}
	if len(awards) == 0 {
		c.Problem("%s (%s): %s finished first and nobody has the award", k.rule, k.scope, finishes[0].subject)
	}
	if a.Ruleset.Rule(k.rule).Tie != rules.TieShare {
		if len(awards) > 1 {
			c.Problem("%s (%s): %d have a place that is not shared", k.rule, k.scope, len(awards))
		}
		return
	}
	// Nobody can certainly have come before the one who truly was first: they have
	// it, alone or shared.
	for _, e := range awards {
		if e.Award.Claim.Subject == finishes[0].subject && e.Award.Place == 1 {
			return
		}
	}
	c.Problem("%s (%s): %s truly was first and has nothing", k.rule, k.scope, finishes[0].subject)
}

// checkClaims checks that every award says when its subject finished, by what could
// be known then: what arrives later may show that it was sooner, and an award that
// is right anyhow is not rewritten for that.
func (a *auditor) checkClaims(c *Check, events truth, n int64, subject func(*Event) string, awards []rules.Entry) {
	known := map[uint64]map[string]finish{} // by cut
	for _, e := range awards {
		if known[e.Cut] == nil {
			known[e.Cut] = map[string]finish{}
			arrived := slices.DeleteFunc(slices.Clone(events), func(m *Event) bool { return m.Cut > e.Cut })
			for _, f := range arrived.finishes(n, subject) {
				known[e.Cut][f.subject] = f
			}
		}
		claim := e.Award.Claim
		f, ok := known[e.Cut][claim.Subject]
		if !ok || claim.Earliest > f.happened || claim.Latest < f.happened {
			c.Problem("%s: %s finished at %s, and the claim is from %s to %s", e.Rule, claim.Subject, f.happened, claim.Earliest, claim.Latest)
		}
	}
}

// checkAchievements compares who has an achievement with who reached it.
func (a *auditor) checkAchievements(stands *standing) {
	c := a.check("G2", "who reached the achievement has it, once, and nobody else")
	rule := a.Ruleset.Rule("rabbit-apprentice")
	reached := map[string]finish{}
	for _, f := range a.truth.counting(isKill("rabbit")).finishes(rule.Threshold, playerOf) {
		reached[f.subject] = f
	}
	has := map[string]int{}
	for _, e := range stands.awards[contest{rule: rule.ID, scope: "world"}] {
		subject := e.Award.Claim.Subject
		if _, ok := reached[subject]; !ok {
			c.Problem("%s has it and never reached it", subject)
		}
		has[subject]++
	}
	a.checkClaims(c, a.truth.counting(isKill("rabbit")), rule.Threshold, playerOf, stands.awards[contest{rule: rule.ID, scope: "world"}])
	for subject, f := range reached { // problems aside, the order does not show
		if has[subject] != 1 && (has[subject] > 1 || f.latest < a.through) {
			c.Problem("%s has it %d times", subject, has[subject])
		}
	}
	c.Checked = fmt.Sprintf("%d reached it in truth, %d have it", len(reached), len(has))
}

// checkBoards adds every board up again.
func (a *auditor) checkBoards(stands *standing) {
	c := a.check("G2", "every score on every board is what the player truly did")
	rule := a.Ruleset.Rule("hourly-kills")
	players := a.truth.counting(isKill("")).bySubject(playerOf)
	lines, exact := 0, 0
	for hour := range a.Hours {
		w := rules.Window{Opens: a.Begins.Add(time.Duration(hour) * time.Hour), Closes: a.Begins.Add(time.Duration(hour+1) * time.Hour)}
		board, ok := stands.boards[contest{rule.ID, "world", w}]
		if !ok {
			c.Problem("the board of %s is missing", w.Opens)
			continue
		}
		least, on := rules.Whole(0), map[string]bool{}
		for i, l := range board.Board.Lines {
			from, to := players[l.Subject].score(w)
			lines++
			switch {
			case l.Score.Compare(rules.Whole(from)) < 0 || l.Score.Compare(rules.Whole(to)) > 0:
				c.Problem("board of %s: %s has %s and did %d", w.Opens, l.Subject, l.Score, from)
			case l.Place != i+1 || i > 0 && l.Score.Compare(least) > 0:
				c.Problem("board of %s: %s with %s is out of place", w.Opens, l.Subject, l.Score)
			case on[l.Subject]:
				c.Problem("board of %s: %s is on it twice", w.Opens, l.Subject)
			}
			if from == to {
				exact++
			}
			least, on[l.Subject] = l.Score, true
		}
		if len(board.Board.Lines) < rule.Top {
			least = rules.Whole(0)
		}
		for player, events := range players { // problems aside, the order does not show
			if from, _ := events.score(w); rules.Whole(from).Compare(least) > 0 && !on[player] {
				c.Problem("board of %s: %s did %d and is not on it", w.Opens, player, from)
			}
		}
	}
	c.Checked = fmt.Sprintf("%d boards, %d scores added up again: %d exactly, %d as far as clocks tell which hour an event is of",
		a.Hours, lines, exact, lines-exact)
}
