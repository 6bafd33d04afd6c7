package rules_test

import (
	"math/rand/v2"
	"testing"

	"photofinish/rules/rulestest"
)

const secret = "a secret"

// eachHistory calls check for random histories of every wildness.
func eachHistory(t *testing.T, rounds int, check func(t *testing.T, rng *rand.Rand, h rulestest.History)) {
	t.Helper()
	for name, w := range rulestest.Wilds() {
		t.Run(name, func(t *testing.T) {
			for round := range rounds {
				rng := rand.New(rand.NewPCG(uint64(round), 5))
				check(t, rng, rulestest.Random(t, rng, w))
				if t.Failed() {
					t.Fatalf("in round %d", round)
				}
			}
		})
	}
}
