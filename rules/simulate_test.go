package rules_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"photofinish/rules"
	"photofinish/rules/rulestest"
)

func marshal(t *testing.T, v any) string {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// The order in which rows stand in the log, and rows that stand in it twice, never
// change one byte of the ledger.
func TestShuffledLogSameLedger(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 9))
	for range 3 {
		h := rulestest.Random(t, rng, rulestest.Wilds()["everything"])
		want := marshal(t, rules.Simulate(h.Log, secret, h.Cuts))
		for round := range 100 {
			log := append(slices.Clone(h.Log), h.Log[:rng.IntN(len(h.Log))]...)
			rng.Shuffle(len(log), func(i, j int) { log[i], log[j] = log[j], log[i] })
			if got := marshal(t, rules.Simulate(log, secret, h.Cuts)); got != want {
				t.Fatalf("round %d: got\n%s\nwant\n%s", round, got, want)
			}
		}
	}
}

// Settling once more with the same evidence adds nothing but the mark that it was
// settled. So a settlement may leave a contest alone that nothing new came to.
func TestSettlingAgainAddsNothing(t *testing.T) {
	eachHistory(t, 30, func(t *testing.T, _ *rand.Rand, h rulestest.History) {
		var cuts []rules.SimulatedCut
		for _, c := range h.Cuts {
			again := c
			c.Cut.Number, again.Cut.Number = uint64(len(cuts)+1), uint64(len(cuts)+2)
			cuts = append(cuts, c, again)
		}
		for i, entries := range rules.Simulate(h.Log, secret, cuts) {
			if i%2 == 1 && len(entries) > 1 {
				t.Errorf("cut %d repeats the one before and adds %s\n%s", i+1, marshal(t, entries), cuts[i].Ruleset.Source)
				return
			}
		}
	})
}

// What must hold of every ledger: no effect twice, no stock and no limit of a
// player exceeded, nothing corrected that does not exist, the events of the cuts
// add up, and a contest that no rule has any more is left alone.
func TestLedgerInvariants(t *testing.T) {
	kinds := map[rules.EntryKind]int{}
	eachHistory(t, 30, func(t *testing.T, _ *rand.Rand, h rulestest.History) {
		keys, ids := map[string]string{}, map[string]bool{}
		sold := map[string]map[rules.Identity]*rules.Allocation{}
		events := uint64(0)
		for i, entries := range rules.Simulate(h.Log, secret, h.Cuts) {
			last := entries[len(entries)-1].Settled
			events += last.Events
			if last.Late > last.Events || int(last.Entries) != len(entries)-1 {
				t.Errorf("cut %d: %+v", i+1, last)
			}
			for _, e := range entries {
				kinds[e.Kind]++
				if e.Key != "" && keys[e.Key] != "" {
					t.Errorf("effect %s twice: %s and %s", e.Key, keys[e.Key], marshal(t, e))
				}
				keys[e.Key] = marshal(t, e)
				if id := correctsOf(e); id != "" && !ids[id] {
					t.Errorf("there is no entry %s that %s could be about", id, marshal(t, e))
				}
				ids[e.ID] = true
				if a := e.Allocation; a != nil {
					sale := e.Rule + " " + e.Scope + " " + marshal(t, e.Window)
					if sold[sale] == nil {
						sold[sale] = map[rules.Identity]*rules.Allocation{}
					}
					sold[sale][a.Attempt] = a
				}
			}
			if len(h.Cuts) == 1 || h.Cuts[0].Ruleset == h.Cuts[len(h.Cuts)-1].Ruleset {
				checkSold(t, sold, h.Cuts[i].Ruleset)
			}
		}
		if seen := len(identities(h)); uint64(seen) != events {
			t.Errorf("the cuts took in %d events, the log holds %d", events, seen)
		}
	})
	for _, kind := range []rules.EntryKind{
		rules.KindAward, rules.KindBoard, rules.KindPrize, rules.KindAllocation, rules.KindCorrection,
		rules.KindCompensation, rules.KindCommitment, rules.KindConflict, rules.KindSettled,
	} {
		if kinds[kind] == 0 {
			t.Errorf("the histories never made an entry of kind %s", kind)
		}
	}
}

// correctsOf returns the ID of the entry that e is about, if any.
func correctsOf(e rules.Entry) string {
	switch {
	case e.Correction != nil:
		return e.Correction.Corrects
	case e.Compensation != nil:
		return e.Compensation.Because
	case e.Award != nil:
		return e.Award.Corrects
	case e.Board != nil:
		return e.Board.Corrects
	case e.Allocation != nil:
		return e.Allocation.Corrects
	}
	return ""
}

func checkSold(t *testing.T, sold map[string]map[rules.Identity]*rules.Allocation, set *rules.Ruleset) {
	t.Helper()
	for sale, attempts := range sold {
		name, _, _ := strings.Cut(sale, " ")
		rule := set.Rule(name)
		units, players := int64(0), map[string]int64{}
		for _, a := range attempts {
			if a.State == rules.Reserved {
				units += a.Units
				players[a.Player] += a.Units
			}
		}
		if units > rule.Stock {
			t.Errorf("%s: %d units of %d are reserved", sale, units, rule.Stock)
		}
		for player, n := range players {
			if n > rule.PerPlayer {
				t.Errorf("%s: %s has %d units of %d", sale, player, n, rule.PerPlayer)
			}
		}
	}
}

func identities(h rulestest.History) map[rules.Identity]bool {
	last := h.Cuts[len(h.Cuts)-1].Cut
	seen := map[rules.Identity]bool{}
	for _, r := range h.Log {
		if last.Holds(r.Node, r.Offset, r.Instant) {
			seen[r.Identity()] = true
		}
	}
	return seen
}

// However a time is cut into pieces, the same awards, boards and sales stand at its
// end, as long as no evidence is late. Where the clocks are certain that holds even
// of rules that keep what was decided: nothing was decided wrong.
func TestCutsDoNotMatter(t *testing.T) {
	for name, w := range map[string]rulestest.Wildness{"certain clocks": {Keep: true}, "uncertain clocks": {Clocks: true}} {
		t.Run(name, func(t *testing.T) {
			for round := range 60 {
				h := rulestest.Random(t, rand.New(rand.NewPCG(uint64(round), 9)), w)
				last := h.Cuts[len(h.Cuts)-1]
				last.Cut.Number = 1
				set := last.Ruleset
				pieces := stands(t, set, rules.Simulate(h.Log, secret, h.Cuts))
				whole := stands(t, set, rules.Simulate(h.Log, secret, []rules.SimulatedCut{last}))
				if !maps.Equal(pieces, whole) {
					t.Fatalf("round %d: in %d pieces\n%s\nin one\n%s\n%s", round, len(h.Cuts), list(pieces), list(whole), set.Source)
				}
			}
		})
	}
}

func list(m map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), "\n")
}

// stands returns who stands where after the entries.
func stands(t *testing.T, set *rules.Ruleset, cuts [][]rules.Entry) map[string]bool {
	t.Helper()
	standings := map[string]*rules.Standing{}
	for _, entries := range cuts {
		for _, e := range entries {
			if e.Rule != "" {
				name := fmt.Sprintf("%s %s %d", e.Rule, e.Scope, e.Window.Opens)
				if standings[name] == nil {
					standings[name] = &rules.Standing{}
				}
				standings[name].Apply(e)
			}
		}
	}
	found := map[string]bool{}
	for name, st := range standings {
		for _, e := range st.Awards() {
			found[fmt.Sprintf("%s: %d %s", name, e.Award.Place, e.Award.Claim.Subject)] = true
		}
		if b := st.Board(); b != nil {
			for _, l := range b.Board.Lines {
				found[fmt.Sprintf("%s: line %d %s %d", name, l.Place, l.Subject, l.Score)] = true
			}
		}
		for _, e := range st.Allocations() {
			found[fmt.Sprintf("%s: %s %s", name, e.Allocation.Attempt.ID, e.Allocation.State)] = true
		}
	}
	if len(set.Rules) == 0 {
		t.Fatal("no rules")
	}
	return found
}

// A standing is a fold: entries that came back from the ledger's JSON make the same
// decisions as those that never left memory.
func TestEntriesSurviveTheLedger(t *testing.T) {
	eachHistory(t, 5, func(t *testing.T, _ *rand.Rand, h rulestest.History) {
		for _, entries := range rules.Simulate(h.Log, secret, h.Cuts) {
			for _, e := range entries {
				var back rules.Entry
				body := marshal(t, e)
				if err := json.Unmarshal([]byte(body), &back); err != nil {
					t.Fatal(err)
				}
				if again := marshal(t, back); again != body {
					t.Errorf("wrote %s, read %s", body, again)
				}
			}
		}
	})
}
