package verify_test

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"

	"photofinish/rules/rulestest"
	"photofinish/settle/verify"
)

// What the simulation decides of a random history, verify decides too: of the whole,
// from any cut on, and where every row of log and ledger was inserted twice.
// PHOTOFINISH_HISTORIES asks for more rounds of each kind of history.
func TestSimulation(t *testing.T) {
	rounds := 8
	if n, err := strconv.Atoi(os.Getenv("PHOTOFINISH_HISTORIES")); err == nil {
		rounds = n
	}
	w := newWorld(t)
	wilds := rulestest.Wilds()
	for _, name := range slices.Sorted(maps.Keys(wilds)) {
		for seed := range rounds {
			w.clear()
			h := random(t, seed, wilds[name])
			decided := w.write(h)
			entries := 0
			for i := range decided {
				entries += len(decided[i])
			}
			if seed%2 == 1 {
				w.exec("INSERT INTO event_log SELECT * FROM event_log", "INSERT INTO ledger SELECT * FROM ledger")
			}
			for from := range uint64(len(decided) + 1) {
				v := w.verify(verify.Config{From: from})
				if len(v.Mismatches) > 0 {
					t.Fatalf("%s, seed %d, from cut %d: %s", name, seed, from, v.Mismatches[0])
				}
				last := decided[len(decided)-1]
				end := last[len(last)-1]
				if v.Cuts != len(decided) || v.Entries != entries || v.ID != end.ID || v.Digest != end.Settled.Digest {
					t.Fatalf("%s, seed %d, from cut %d: %+v", name, seed, from, v)
				}
			}
		}
	}
}
