package verify_test

import (
	"fmt"
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
// PFTEST_HISTORIES asks for more rounds of each kind of history.
func TestSimulation(t *testing.T) {
	rounds := 8
	if n, err := strconv.Atoi(os.Getenv("PFTEST_HISTORIES")); err == nil {
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

// A cut that is recorded and not settled yet, as a settler leaves it that died or is at
// work, is no difference.
func TestUnsettled(t *testing.T) {
	w := newWorld(t)
	cuts := len(w.write(rich(t)))
	w.exec(fmt.Sprintf("ALTER TABLE ledger DELETE WHERE cut = %d SETTINGS mutations_sync = 2", cuts))
	if v := w.verify(verify.Config{}); len(v.Mismatches) > 0 || v.Cuts != cuts-1 {
		t.Errorf("%+v", v)
	}
}

// What is before From is believed, save that it must be whole; what is after it is not.
func TestFrom(t *testing.T) {
	w := newWorld(t)
	cuts := uint64(len(w.write(rich(t))))
	w.exec("ALTER TABLE event_log UPDATE earliest_ns = earliest_ns - 3600000000000 WHERE 1 SETTINGS mutations_sync = 2")
	if v := w.verify(verify.Config{}); len(v.Mismatches) == 0 {
		t.Error("the log says another thing, and nothing was found")
	}
	if v := w.verify(verify.Config{From: cuts + 1}); len(v.Mismatches) > 0 || v.Cuts != int(cuts) {
		t.Errorf("nothing was to be decided: %+v", v)
	}
	w.exec("ALTER TABLE ledger UPDATE key = 'forged' WHERE cut = 1 AND n = 0 SETTINGS mutations_sync = 2")
	if v := w.verify(verify.Config{From: cuts + 1}); len(v.Mismatches) == 0 {
		t.Error("a column of the ledger was changed, and nothing was found")
	}
	w.exec("ALTER TABLE ledger UPDATE key = '' WHERE key = 'forged' SETTINGS mutations_sync = 2", "TRUNCATE TABLE event_log")
	if v := w.verify(verify.Config{From: cuts + 1}); len(v.Mismatches) == 0 {
		t.Error("the cuts took events in, the log is empty, and nothing was found")
	}
}

// An empty database has nothing to find.
func TestEmpty(t *testing.T) {
	if v := newWorld(t).verify(verify.Config{}); len(v.Mismatches) > 0 || v.Cuts != 0 {
		t.Errorf("%+v", v)
	}
}
