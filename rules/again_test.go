package rules_test

import (
	"math/rand/v2"
	"testing"

	"photofinish/rules"
	"photofinish/rules/rulestest"
)

// A cut that brings nothing new, and asks as of the same time, adds nothing: what stands
// around a final award is not found anew when it is final itself. The first rounds of
// "copies" once did.
func TestSettlingAgainAddsNothing(t *testing.T) {
	for name, w := range rulestest.Wilds() {
		t.Run(name, func(t *testing.T) {
			rounds := uint64(150)
			if w.Nodes {
				rounds /= 10 // these have ten times the cuts
			}
			if testing.Short() {
				rounds /= 5
			}
			for round := range rounds {
				h := rulestest.Random(t, rand.New(rand.NewPCG(round, 11)), w)
				s := rules.NewSimulation("secret")
				var last []rules.Entry
				for i := range h.Cuts {
					last = s.Settle(h.Log, &h.Cuts[i].Cut, h.Cuts[i].Ruleset)
				}
				end := h.Cuts[len(h.Cuts)-1]
				for i := 0; i < 4 && last[len(last)-1].Settled.Again != ""; i++ {
					end.Cut.Number, end.Cut.Kind = end.Cut.Number+1, rules.LateCut
					last = s.Settle(h.Log, &end.Cut, end.Ruleset)
				}
				// Twice: what the last cut gave may be final only for the second.
				for range 2 {
					end.Cut.Number, end.Cut.Kind = end.Cut.Number+1, rules.LateCut
					for _, e := range s.Settle(h.Log, &end.Cut, end.Ruleset) {
						if e.Kind != rules.KindSettled {
							t.Fatalf("round %d: cut %d has nothing new and adds %s %s %s: %+v", round, e.Cut, e.Kind, e.Rule, e.Scope, said(&e))
						}
					}
				}
			}
		})
	}
}

func said(e *rules.Entry) any {
	switch {
	case e.Allocation != nil:
		return *e.Allocation
	case e.Award != nil:
		return *e.Award
	case e.Correction != nil:
		return *e.Correction
	}
	return nil
}
