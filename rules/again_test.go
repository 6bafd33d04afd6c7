package rules_test

import (
	"maps"
	"math/rand/v2"
	"testing"

	"photofinish/rules"
	"photofinish/rules/rulestest"
)

// A cut that brings nothing new, and asks as of the same time, adds nothing: what stands
// around a final award is not found anew when it is final itself. The first rounds of
// "copies" once did. Only what waits for a person is over when the award is final.
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
				waits := map[rules.ContestID]bool{}
				settle := func(c *rules.SimulatedCut) {
					last = s.Settle(h.Log, &c.Cut, c.Ruleset)
					for _, e := range last {
						if e.Kind == rules.KindWaiting {
							waits[rules.ContestID{Rule: e.Rule, Scope: e.Scope, Window: e.Window}] = len(e.Waiting.Changes) > 0
						}
					}
				}
				for i := range h.Cuts {
					settle(&h.Cuts[i])
				}
				end := h.Cuts[len(h.Cuts)-1]
				for i := 0; i < 4 && last[len(last)-1].Settled.Again != ""; i++ {
					end.Cut.Number, end.Cut.Kind = end.Cut.Number+1, rules.LateCut
					settle(&end)
				}
				// Twice: what the last cut gave may be final only for the second.
				for range 2 {
					end.Cut.Number, end.Cut.Kind = end.Cut.Number+1, rules.LateCut
					waited := maps.Clone(waits)
					settle(&end)
					for _, e := range last {
						c := rules.ContestID{Rule: e.Rule, Scope: e.Scope, Window: e.Window}
						if e.Kind != rules.KindSettled && (!waited[c] || waits[c]) {
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
