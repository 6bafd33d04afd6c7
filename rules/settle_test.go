package rules_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"photofinish/rules"
	"photofinish/rules/rulestest"
)

// The order of the evidence never changes what a contest decides, whatever stands,
// and the evidence is left as it was.
func TestShuffledEvidenceSameEntries(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	decided := map[rules.Kind]int{}
	for range 10 {
		set := rulestest.Ruleset(t, rng, rulestest.Wildness{Keep: true})
		for i := range set.Rules {
			rule := &set.Rules[i]
			window, _ := rule.Window.At(rulestest.Minutes(90))
			scope := map[string]string{rules.ScopeWorld: "world", rules.ScopeRegion: "region:eu", rules.ScopeServer: "server:eu-0"}[rule.Scope]
			contest := rules.Contest{Rule: rule, Scope: scope, Window: window}
			standing := &rules.Standing{}
			for cut := range uint64(3) {
				ev := randomEvidence(rng, rule)
				h := rules.Horizon{Through: rulestest.Minutes(300), Complete: rulestest.Minutes(50 + rng.IntN(250)), Reach: rulestest.Minutes(50 + rng.IntN(250)), Told: rulestest.Minutes(int(cut) * 60)}
				before := marshal(t, ev)
				entries := contest.Settle(ev, standing, h)
				want := marshal(t, entries)
				decided[rule.Kind] += len(entries)
				for range 100 {
					again := rules.Evidence{Seed: ev.Seed}
					again.Claims, again.Scores, again.Attempts = shuffled(rng, ev.Claims), shuffled(rng, ev.Scores), shuffled(rng, ev.Attempts)
					if got := marshal(t, contest.Settle(again, standing, h)); got != want {
						t.Fatalf("got\n%s\nwant\n%s", got, want)
					}
				}
				if marshal(t, ev) != before {
					t.Fatal("the evidence was changed")
				}
				for _, e := range rules.Seal(cut+1, entries, rules.Settled{}) {
					standing.Apply(e)
				}
			}
		}
	}
	for _, kind := range []rules.Kind{rules.WorldFirst, rules.Achievement, rules.Leaderboard, rules.Sale} {
		if decided[kind] == 0 {
			t.Errorf("nothing was decided of kind %s", kind)
		}
	}
}

func shuffled[T any](rng *rand.Rand, s []T) []T {
	s = slices.Clone(s)
	rng.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
	return s
}

// randomEvidence returns claims, scores and attempts of a dozen players, some equal
// in everything but the name.
func randomEvidence(rng *rand.Rand, rule *rules.Rule) rules.Evidence {
	ev := rules.Evidence{Seed: []byte("seed")}
	for id := range 12 {
		r := rulestest.Event(rng, id, rulestest.Wildness{Clocks: true})
		r.Instant -= r.Instant % (rulestest.Minutes(20) - rulestest.Minutes(0))
		subject := "p" + r.ID
		claim := rules.Claim{Subject: subject, At: r.Instant, Earliest: r.Earliest(), Latest: r.Latest(), Decided: r.Identity(), Prize: "p"}
		if rng.IntN(2) == 0 {
			claim.Server, claim.ServerAt, claim.Seq = r.Server, r.At, r.Seq
		}
		switch rule.Kind {
		case rules.Sale:
			ev.Attempts = append(ev.Attempts, r)
		case rules.Leaderboard:
			ev.Scores = append(ev.Scores, rules.Score{Subject: subject, Score: 1 + r.Count, Reached: claim})
		default:
			ev.Claims = append(ev.Claims, claim)
		}
	}
	return ev
}
