package rulefile

import (
	"fmt"
	"time"

	"photofinish/rules"
)

// nextSettlement is how long after the end of an hour's last instant its settlement
// may run: the period and the delay by default.
const nextSettlement = time.Hour + 2*time.Minute

// Warnings returns what an author should know of rules that are valid, one sentence
// each, in the file's order: where what is decided may be final before later evidence
// could have corrected it, and what a sale does not do yet.
func Warnings(set *rules.Ruleset) []string {
	var warnings []string
	for i := range set.Rules {
		r := &set.Rules[i]
		if wait := waits(r); r.Correct < wait+nextSettlement {
			hold := ""
			if r.Kind != rules.Achievement {
				hold = fmt.Sprintf("hold (%s) + ", spell(wait))
			}
			warnings = append(warnings, fmt.Sprintf(
				"rule %q: correct (%s) is less than %s%s, the time to the next settlement: what is decided may be final as soon as it is given",
				r.ID, spell(r.Correct), hold, spell(nextSettlement)))
		}
		if r.Kind == rules.Sale {
			warnings = append(warnings, fmt.Sprintf("rule %q: %s", r.ID, saleToday(r)))
		}
	}
	return warnings
}

// waits returns how long the rule waits for lagging nodes at most.
func waits(r *rules.Rule) time.Duration {
	if r.Kind == rules.Achievement {
		return 0
	}
	return r.Hold
}

// saleToday says what a sale does not do yet.
func saleToday(r *rules.Rule) string {
	if r.Price.Amount == 0 {
		return "nothing is delivered yet: an attempt that gets a unit is recorded as reserved"
	}
	return "nothing is charged or delivered yet: an attempt that gets a unit is recorded as reserved; " +
		"charge_within, on_late_charge and substitute do nothing"
}
