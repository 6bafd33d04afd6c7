package rulefile

import (
	"fmt"
	"strings"

	"photofinish/rules"
)

// Needs says in English sentences what it takes to decide the rule and why: whether
// a region may decide alone, or everybody must wait for the settlement; how long
// that waits, and what happens when later evidence changes it.
//
// The argument is monotonicity. What more evidence can only confirm needs nobody's
// agreement. What more evidence can take away needs one agreed bound of the evidence.
func Needs(r *rules.Rule) string {
	switch r.Kind {
	case rules.Achievement:
		if r.Prize.ByAttr != "" { // an earlier deciding event may make it another prize
			return needsNothing(r) + trustPhrase(r)
		}
		return needsNothing(r)
	case rules.Sale:
		if r.Stock == 0 && r.PerPlayer == 0 {
			return needsNoQueue(r)
		}
		return needsSettlement(r, whySale(r)) + " " + correctionPolicy(r)
	case rules.Leaderboard:
		text := needsSettlement(r, "A rank is not monotone: a score that is still on its way from a region that is cut off "+
			"can push any other down. A board is decided when its window closes; until then standings are shown as live.")
		if r.Order == rules.OrderAsc {
			text += " The lowest scores lead, and anybody may have a low one: when the window closes every subject that has an event in it is read (order: asc)."
		}
		return text + " " + correctionPolicy(r)
	case rules.WorldFirst:
		what := "Being first"
		if r.Places > 1 {
			what = fmt.Sprintf("Being among the first %s", thousands(int64(r.Places)))
		}
		return needsSettlement(r, what+" is not monotone: an event that is still on its way from a region that is cut off "+
			"can show that another was earlier.") + " " + tieNeeds(r) + " " + correctionPolicy(r)
	}
	return ""
}

func needsNothing(r *rules.Rule) string {
	text := "Needs no waiting. Reaching a threshold is monotone: amounts are never negative, so more evidence can only confirm it, " +
		"and whoever gets there takes nothing from anyone. So it waits for no node; today the next settlement decides it. " +
		"Only voided events can take the ground from under it"
	switch r.OnCorrection {
	case rules.Transfer:
		return text + "; then it is taken back (on_correction: transfer), until " + spell(r.Correct) + " after the claim (correct); from then on it is final."
	case rules.Keep:
		return text + "; then that is recorded and shown, and nobody loses a thing (on_correction: keep)."
	}
	return text + "; then nobody loses what they have (on_correction: duplicate_award)."
}

func needsNoQueue(r *rules.Rule) string {
	text := "Needs no agreement. With neither a stock nor a limit per player no buyer stands in another's way, " +
		"and there is no place that later evidence could give to another; today the next settlement decides every attempt."
	if r.Hold > 0 {
		text += fmt.Sprintf(" Yet the rule asks to wait for lagging nodes, at most %s after the attempt (hold); without hold it would not.", spell(r.Hold))
	}
	return text + fmt.Sprintf(" An attempt that comes in later than %s after its own instant is declined (correct).", spell(r.Correct))
}

func whySale(r *rules.Rule) string {
	switch {
	case r.Stock == 0:
		return "A limit per player is not monotone: two regions that each sell a player the last one they may have sell one too many."
	case r.Queue == rules.QueueLottery:
		return "The last of a stock is not monotone: an attempt that is still on its way must have its lot in the draw, " +
			"and two regions that each sell the last one sell one too many."
	}
	return "The last of a stock is not monotone: an attempt that is still on its way can be earlier in the queue, " +
		"and two regions that each sell the last one sell one too many."
}

// needsSettlement says why the rule waits, and how long.
func needsSettlement(r *rules.Rule, why string) string {
	var b strings.Builder
	b.WriteString("Waits for the settlement. " + why + " So no region may decide alone; the settlement decides from one recorded cut of the merged log. ")
	if r.Hold > 0 {
		fmt.Fprintf(&b, "While a node may still tell of something earlier it waits, at most %s after %s (hold), and is then decided without that node.", spell(r.Hold), clockStarts(r))
	} else {
		b.WriteString("It waits for no node (hold: 0): the first settlement that sees it decides.")
	}
	return b.String()
}

// clockStarts names what hold and correct are counted from.
func clockStarts(r *rules.Rule) string {
	switch {
	case r.Kind == rules.Leaderboard || r.Queue == rules.QueueLottery:
		return "the window's end"
	case r.Kind == rules.Sale:
		return "the attempt"
	}
	return "the claim"
}

func tieNeeds(r *rules.Rule) string {
	switch r.Tie {
	case rules.TieEarliest:
		return "A photo finish goes to the likeliest instant (tie: earliest): a little fudge, the same whoever computes it."
	case rules.TieDraw:
		return "A photo finish is drawn (tie: draw): the digest of the seed stands in the ledger before the result, so anyone can check the draw and nobody can steer it."
	}
	return "A photo finish awards all who cannot be told apart (tie: share), so there may be more winners than places."
}

// correctionPolicy says how long later evidence may change the decision, and how.
func correctionPolicy(r *rules.Rule) string {
	if r.Correct == 0 {
		return "Later evidence changes nothing (correct: 0): what is decided is final."
	}
	policy := "they get it too, and nobody loses what they have (on_correction: duplicate_award)"
	switch r.OnCorrection {
	case rules.Transfer:
		policy = "it is taken back and given to them (on_correction: transfer)"
	case rules.Keep:
		policy = "that is recorded and shown, and nothing moves (on_correction: keep)"
	}
	from := clockStarts(r)
	if r.Kind == rules.Sale {
		from = "the attempt" // by lottery too
	}
	return fmt.Sprintf("Until %s after %s later evidence may change it (correct); then it is final. If it names another, %s.%s",
		spell(r.Correct), from, policy, trustPhrase(r))
}

// trustPhrase says what becomes of corrections that rest on backdated events.
func trustPhrase(r *rules.Rule) string {
	switch {
	case r.OnCorrection == rules.Keep:
		return ""
	case r.Trust == rules.TrustLate:
		return " Events of a time that their own server had declared complete count as any late evidence (trust: late): whoever can change a server can mint a correction."
	}
	return " Events that their own server had declared complete before they came take nothing from anybody: what they would take waits for a person (trust: person)."
}
