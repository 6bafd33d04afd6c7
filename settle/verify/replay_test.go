package verify

import (
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"photofinish/rules"
	"photofinish/rules/rulestest"
)

// On many random histories, without a database, the replay decides what the simulation
// decides. The simulation looks at every contest in every cut, the replay at those where
// something came or waits: a decision that time alone changes, or that asking again
// changes, shows here. Those in which it once did are always among them. They are the
// histories of the settler's test, by the same numbers, and much cheaper to try:
// PFTEST_HISTORIES asks for more of each kind, PFTEST_FIRST_HISTORY for those from a
// number on.
func TestReplay(t *testing.T) {
	rounds, first := 30, 0
	if testing.Short() {
		rounds = 5
	}
	if n, err := strconv.Atoi(os.Getenv("PFTEST_HISTORIES")); err == nil {
		rounds = n
	}
	if n, err := strconv.Atoi(os.Getenv("PFTEST_FIRST_HISTORY")); err == nil {
		first = n
	}
	wilds := rulestest.Wilds()
	once := map[string][]int{"failovers": {53}, "hours": {5002}, "trusting": {517, 899, 5920}}
	for _, name := range slices.Sorted(maps.Keys(wilds)) {
		replayed := func(number int) {
			h := rulestest.Random(t, rand.New(rand.NewPCG(uint64(number), 7)), wilds[name])
			for _, mismatch := range replayAgainstSimulation(h) {
				t.Errorf("%s, history %d: %s", name, number, mismatch)
				break
			}
		}
		for _, number := range once[name] {
			replayed(number)
		}
		for number := first; number < first+rounds; number++ {
			replayed(number)
		}
		if rounds >= 500 {
			t.Logf("%s: %d histories from %d on", name, rounds, first)
		}
	}
}

// replayAgainstSimulation returns where the replay of a history decides something else.
func replayAgainstSimulation(h rulestest.History) []string {
	s := rules.NewSimulation("known")
	var cuts []rules.Cut
	var want [][]rules.Entry
	previous := ""
	for i := range h.Cuts {
		cut := h.Cuts[i].Cut
		cut.Previous = previous
		want = append(want, s.Settle(h.Log, &cut, h.Cuts[i].Ruleset))
		cuts, previous = append(cuts, cut), want[i][len(want[i])-1].ID
	}
	v := Verification{}
	r := newReplay("known", newHistory(h.Log, cuts, &v))
	for i := range cuts {
		compare(cuts[i].Number, r.settle(&cuts[i], h.Cuts[i].Ruleset), want[i], &v)
	}
	return v.Mismatches
}

// Of several contents that which came first counts, of its copies in that cut the one
// whose time is known best; a conflict is told once, in the cut that makes it, with the
// players that were known by then.
func TestHistory(t *testing.T) {
	row := func(offset uint64, player string, width rules.Instant) rules.Record {
		r := rules.Record{Event: rules.Event{Server: "s", ID: "1", Player: player}, Node: "n", Offset: offset, Latest: width}
		r.Content = r.Digest()
		return r
	}
	cut := func(number, offset uint64) rules.Cut {
		return rules.Cut{Number: number, Through: 1, Nodes: []rules.NodeLine{{Node: "n", Offset: offset}}}
	}
	log := []rules.Record{
		row(6, "dan", 0), row(5, "cyd", 0), row(4, "bo", 0), row(3, "ana", 1), row(2, "ana", 3), row(1, "ana", 5), row(7, "eve", 0), row(2, "ana", 3),
	}
	v := Verification{}
	h := newHistory(log, []rules.Cut{cut(1, 2), cut(2, 3), cut(3, 5), cut(4, 6)}, &v)
	if len(v.Mismatches) > 0 || h.events() != 1 {
		t.Errorf("%d events, %q", h.events(), v.Mismatches)
	}
	for i, rows := range []int{2, 1, 2, 1} {
		in := &h.cuts[i]
		fresh, conflicts := 0, 0
		if i == 0 {
			fresh = 1
		}
		if i == 2 {
			conflicts = 1
		}
		if len(in.rows) != rows || len(in.fresh) != fresh || len(in.conflicts) != conflicts {
			t.Errorf("cut %d: rows %v, fresh %v, conflicts %v", i+1, in.rows, in.fresh, in.conflicts)
		}
	}
	if best := &h.log[h.cuts[0].fresh[0]]; best.Offset != 2 {
		t.Errorf("the copy that counts is at offset %d, want 2", best.Offset)
	}
	if c := h.cuts[2].conflicts[0].Conflict; c.Counts != log[5].Content || !slices.Equal(c.Players, []string{"ana", "bo", "cyd"}) {
		t.Errorf("%+v", c)
	}
}
