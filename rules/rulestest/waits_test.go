package rulestest

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"photofinish/rules"
)

// In the histories that are for it, backdated events come after something was given,
// so that in each kind of contest something waits for a person, is over again, and stands
// beside a correction that does not wait: in one of fifty at least. By rules that say
// trust: late nothing ever waits.
func TestWaits(t *testing.T) {
	const rounds = 100
	wilds := Wilds()
	for _, name := range slices.Sorted(maps.Keys(wilds)) {
		wild := wilds[name]
		if !wild.Trust {
			continue
		}
		seen := map[string]int{
			"achievement": 0, "leaderboard": 0, "sale": 0, "world_first": 0, "over": 0, "beside a correction": 0, "a rule that trusts": 0,
		}
		for round := range uint64(rounds) {
			h := Random(t, rand.New(rand.NewPCG(round, 11)), wild)
			saw := map[string]bool{}
			for i, entries := range rules.Simulate(h.Log, "known", h.Cuts) {
				corrected := map[rules.ContestID]bool{}
				for _, e := range entries {
					if e.Correction != nil {
						corrected[rules.ContestID{Rule: e.Rule, Scope: e.Scope, Window: e.Window}] = true
					}
				}
				for _, r := range h.Cuts[i].Ruleset.Rules {
					saw["a rule that trusts"] = saw["a rule that trusts"] || r.Trust == rules.TrustLate
				}
				for _, e := range entries {
					if e.Waiting == nil {
						continue
					}
					rule := h.Cuts[i].Ruleset.Rule(e.Rule)
					if len(e.Waiting.Changes) == 0 {
						saw["over"] = true
						continue
					}
					if rule.Trust == rules.TrustLate {
						t.Errorf("%s, round %d, cut %d: by trust: late something waits: %+v", name, round, e.Cut, *e.Waiting)
					}
					saw[string(rule.Kind)] = true
					if corrected[rules.ContestID{Rule: e.Rule, Scope: e.Scope, Window: e.Window}] {
						saw["beside a correction"] = true
					}
				}
			}
			for what := range saw {
				if saw[what] {
					seen[what]++
				}
			}
		}
		for _, what := range slices.Sorted(maps.Keys(seen)) {
			t.Logf("%s: %s in %d of %d", name, what, seen[what], rounds)
			if seen[what]*50 < rounds {
				t.Errorf("%s: %s is too rare", name, what)
			}
		}
	}
}
