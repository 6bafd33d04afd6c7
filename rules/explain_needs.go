package rules

import (
	"fmt"
	"strings"
)

// Needs says in English sentences what it takes to decide the rule and why: whether
// a region may decide alone, or everybody must wait for the settlement; how long
// that waits, and what happens when later evidence changes it.
//
// The argument is monotonicity. What more evidence can only confirm needs nobody's
// agreement. What more evidence can take away needs one agreed bound of the evidence.
func (r *Rule) Needs() string {
	switch r.Kind {
	case Achievement:
		return r.needsNothing()
	case Sale:
		if r.Stock == 0 && r.PerPlayer == 0 {
			return "Needs no waiting. With neither a stock nor a limit per player no buyer stands in another's way, " +
				"so every attempt is settled at once by the region that takes it. " +
				"There is no place that later evidence could give to another."
		}
		return r.needsSettlement(r.whySale()) + " " + r.correctionPolicy()
	case Leaderboard:
		return r.needsSettlement("A rank is not monotone: a score that is still on its way from a region that is cut off "+
			"can push any other down. A board is decided when its window closes; until then standings are shown as live.") +
			" " + r.correctionPolicy()
	case WorldFirst:
		what := "Being first"
		if r.Places > 1 {
			what = fmt.Sprintf("Being among the first %s", thousands(int64(r.Places)))
		}
		return r.needsSettlement(what+" is not monotone: an event that is still on its way from a region that is cut off "+
			"can show that another was earlier.") + " " + r.tieNeeds() + " " + r.correctionPolicy()
	}
	return ""
}

func (r *Rule) needsNothing() string {
	text := "Needs no waiting. Reaching a threshold is monotone: amounts are never negative, so more evidence can only confirm it, " +
		"and whoever gets there takes nothing from anyone. Any region may grant it at once, as soon as the events it has are enough, " +
		"without asking another; the settlement grants it to those whose events only add up across regions. " +
		"Only voided events can take the ground from under it"
	switch r.OnCorrection {
	case Transfer:
		return text + "; then it is taken back (on_correction: transfer), for " + spell(r.Correct) + "; after that it is final."
	case Keep:
		return text + "; then that is recorded and shown, and nobody loses a thing (on_correction: keep)."
	}
	return text + "; then nobody loses what they have (on_correction: duplicate_award)."
}

func (r *Rule) whySale() string {
	switch {
	case r.Stock == 0:
		return "A limit per player is not monotone: two regions that each sell a player the last one they may have sell one too many."
	case r.Queue == QueueLottery:
		return "The last of a stock is not monotone: an attempt that is still on its way must have its lot in the draw, " +
			"and two regions that each sell the last one sell one too many."
	}
	return "The last of a stock is not monotone: an attempt that is still on its way can be earlier in the queue, " +
		"and two regions that each sell the last one sell one too many."
}

// needsSettlement says why the rule waits, and how long.
func (r *Rule) needsSettlement(why string) string {
	var b strings.Builder
	b.WriteString("Waits for the settlement. " + why + " So no region may decide alone; the settlement decides from one recorded cut of the merged log. ")
	if r.Hold > 0 {
		fmt.Fprintf(&b, "It is held for lagging nodes for up to %s (hold), then decided provisionally without them.", spell(r.Hold))
	} else {
		b.WriteString("It is not held for lagging nodes (hold: 0): the first settlement that sees it decides.")
	}
	return b.String()
}

func (r *Rule) tieNeeds() string {
	switch r.Tie {
	case TieEarliest:
		return "A photo finish goes to the likeliest instant (tie: earliest): a little fudge, the same whoever computes it."
	case TieDraw:
		return "A photo finish is drawn (tie: draw): the digest of the seed stands in the ledger before the result, so anyone can check the draw and nobody can steer it."
	}
	return "A photo finish awards all who cannot be told apart (tie: share), so there may be more winners than places."
}

// correctionPolicy says how long later evidence may change the decision, and how.
func (r *Rule) correctionPolicy() string {
	if r.Correct == 0 {
		return "Later evidence changes nothing (correct: 0): what is decided is final."
	}
	policy := "they get it too, and nobody loses what they have (on_correction: duplicate_award)"
	switch r.OnCorrection {
	case Transfer:
		policy = "it is taken back and given to them (on_correction: transfer)"
	case Keep:
		policy = "that is recorded and shown, and nothing moves (on_correction: keep)"
	}
	return fmt.Sprintf("For %s later evidence may change it (correct); then it is final. If it names another, %s.", spell(r.Correct), policy)
}
