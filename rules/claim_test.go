package rules_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"photofinish/rules"
	"photofinish/rules/rulestest"
)

// An event that can only have happened after a claim never changes it, not in one
// field: a settlement may keep the claim and need not read its events again. Nor
// does the order of the records, and the likeliest instant lies in the interval.
func TestLaterEventsNeverChangeClaim(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	measures := []rules.Measure{
		{Kind: rules.MeasureCount}, {Kind: rules.MeasureSum, Key: "attrs.damage"}, {Kind: rules.MeasureDistinct, Key: "target"},
	}
	later := 0
	for round := range 10_000 {
		rule := &rules.Rule{Measure: measures[round%len(measures)], Prize: rules.Prize{ByAttr: "class", Items: map[string]string{"mage": "staff"}}}
		var records []rules.Record
		for id := range 1 + rng.IntN(8) {
			r := rulestest.Event(rng, id, rulestest.Wildness{Clocks: true})
			r.Server = fmt.Sprint(rng.IntN(2))
			records = append(records, r)
		}
		n := int64(1 + rng.IntN(4))
		want, ok := rule.Claim("s", records, n)
		if !ok {
			continue
		}
		if want.Earliest > want.At || want.At > want.Latest {
			t.Fatalf("round %d: %+v", round, want)
		}
		more := slices.Clone(records)
		for id := range 4 {
			if r := rulestest.Event(rng, 100+id, rulestest.Wildness{Clocks: true}); r.Earliest() > want.Latest {
				later++
				more = append(more, r)
			}
		}
		rng.Shuffle(len(more), func(i, j int) { more[i], more[j] = more[j], more[i] })
		if got, _ := rule.Claim("s", more, n); got != want {
			t.Fatalf("round %d: with later events %+v, without %+v", round, got, want)
		}
	}
	if later < 500 {
		t.Errorf("only %d events came later", later)
	}
}

// The instant of a claim on both sides of the number that it makes full.
func TestClaimAtItsBoundary(t *testing.T) {
	rule := &rules.Rule{Measure: rules.Measure{Kind: rules.MeasureCount}}
	record := func(id string, at rules.Instant, count int64) rules.Record {
		return rules.Record{Event: rules.Event{Server: "s", ID: id, At: at, Count: count}, Instant: at, ErrNs: 2}
	}
	records := []rules.Record{record("c", 30, 1), record("a", 10, 3), record("b", 20, 0)}
	for _, test := range []struct {
		n    int64
		want rules.Instant
		ok   bool
	}{{1, 10, true}, {3, 10, true}, {4, 30, true}, {5, 0, false}} {
		claim, ok := rule.Claim("ash", records, test.n)
		if ok != test.ok || ok && (claim.At != test.want || claim.Earliest != test.want-2 || claim.Latest != test.want+2) {
			t.Errorf("claim of %d: %+v, %t; want %d, %t", test.n, claim, ok, test.want, test.ok)
		}
	}
}
