package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomClaims returns claims of distinct subjects that are crowded into a few
// instants, so that they touch, overlap, coincide and contradict each other.
func randomClaims(rng *rand.Rand) []Claim {
	claims := make([]Claim, 2+rng.IntN(7))
	for i := range claims {
		at := Instant(rng.IntN(30))
		c := Claim{Subject: fmt.Sprintf("s%d", i), At: at, Earliest: at - Instant(rng.IntN(6)), Latest: at + Instant(rng.IntN(6))}
		if rng.IntN(4) > 0 {
			c.Server, c.ServerAt, c.Seq = fmt.Sprintf("server-%d", rng.IntN(2)), Instant(rng.IntN(4)), uint64(rng.IntN(4))
		}
		claims[i] = c
	}
	return claims
}

// claimsOfRecords returns the claims that random records make, on servers whose
// clock estimates jump about.
func claimsOfRecords(rng *rand.Rand) []Claim {
	rule := &Rule{Kind: WorldFirst, Subject: SubjectPlayer, Scope: ScopeWorld, Measure: Measure{Kind: MeasureCount}}
	var claims []Claim
	for i := range 2 + rng.IntN(6) {
		subject := fmt.Sprintf("s%d", i)
		var records []Record
		for j := range 1 + rng.IntN(4) {
			e := Event{
				Server: fmt.Sprintf("server-%d", rng.IntN(2)), ID: fmt.Sprintf("%s-%d", subject, j), Type: TypeKill,
				Player: subject, Count: int64(rng.IntN(3)), At: Instant(rng.IntN(10)), Seq: uint64(rng.IntN(4)),
			}
			instant := e.At + Instant(rng.IntN(12)) // the offset of the clock is anyone's guess
			records = append(records, Record{Event: e, Node: "n", Offset: 1, Instant: instant, ErrNs: int64(rng.IntN(5))})
		}
		if c, ok := rule.Claim(subject, records, int64(1+rng.IntN(3))); ok {
			claims = append(claims, c)
		}
	}
	return claims
}

// The order of claims is a strict partial order whatever the clocks say: nobody is
// before themselves, no two are before each other, and being before is transitive.
// It says at least what certain intervals say across servers, and what one server
// saw; and front is who has nobody before them.
func TestOrderIsStrictPartial(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 10_000 {
		claims := randomClaims(rng)
		if round%2 == 1 {
			claims = claimsOfRecords(rng)
		}
		f := newField(claims)
		for i := range f.claims {
			a := &f.claims[i]
			if a.e > a.l || a.e > a.Earliest || a.l < a.Latest {
				t.Fatalf("round %d: the interval of %+v was not widened", round, *a)
			}
			if before(a, a) {
				t.Fatalf("round %d: %+v is before itself", round, *a)
			}
			for j := range f.claims {
				b := &f.claims[j]
				if before(a, b) && before(b, a) {
					t.Fatalf("round %d: %+v and %+v are each before the other", round, *a, *b)
				}
				if sawFirst(&a.Claim, &b.Claim) && !before(a, b) {
					t.Fatalf("round %d: the server saw %+v before %+v", round, *a, *b)
				}
				for k := range f.claims {
					if c := &f.claims[k]; before(a, b) && before(b, c) && !before(a, c) {
						t.Fatalf("round %d: %+v is before %+v is before %+v, but not the first before the last", round, *a, *b, *c)
					}
				}
			}
		}
		checkFront(t, f)
	}
}

func checkFront(t *testing.T, f *field) {
	t.Helper()
	var want []string
	for i := range f.claims {
		if !slices.ContainsFunc(f.claims, func(c runner) bool { return before(&c, &f.claims[i]) }) {
			want = append(want, f.claims[i].Subject)
		}
	}
	var got []string
	for _, i := range f.front() {
		got = append(got, f.claims[i].Subject)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("front is %v, nobody is before %v, of %+v", got, want, f.claims)
	}
}

// Where no server contradicts itself nothing is widened: intervals that do not
// touch are told apart, and those that do are not.
func TestOrderOfIntervals(t *testing.T) {
	claim := func(subject string, earliest, latest Instant) Claim {
		return Claim{Subject: subject, At: earliest, Earliest: earliest, Latest: latest}
	}
	for _, test := range []struct {
		a, b Claim
		want bool
	}{
		{claim("a", 0, 10), claim("b", 11, 20), true},
		{claim("a", 0, 10), claim("b", 10, 20), false},
		{claim("a", 0, 10), claim("b", 5, 7), false},
		{claim("a", 11, 20), claim("b", 0, 10), false},
	} {
		f := newField([]Claim{test.a, test.b})
		i := slices.IndexFunc(f.claims, func(c runner) bool { return c.Subject == "a" })
		if got := before(&f.claims[i], &f.claims[1-i]); got != test.want {
			t.Errorf("%+v before %+v is %t, want %t", test.a, test.b, got, test.want)
		}
	}
}

// Nobody is placed before or beside someone who certainly came before them, nor at
// all while such a one has no place; whoever shares a place cannot be told apart;
// places run on from the number of those before; and it all does not depend on the
// order in which the claims come.
func TestPlaceKeepsTheOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 10_000 {
		claims := randomClaims(rng)
		places := 1 + rng.IntN(4)
		f := newField(claims)
		for _, tie := range []string{TieShare, TieEarliest, TieDraw} {
			draw := Draw{Seed: []byte{byte(round)}}
			placed := Place(claims, places, tie, draw)
			place := map[string]int{}
			for i, p := range placed {
				place[p.Claim.Subject] = p.Place
				if first := slices.IndexFunc(placed, func(o Placement) bool { return o.Place == p.Place }); p.Place != first+1 || p.Place > places {
					t.Fatalf("round %d, %s: placement %d of %d places has place %d", round, tie, i, places, p.Place)
				}
			}
			if len(placed) < min(places, len(claims)) {
				t.Fatalf("round %d, %s: %d of %d places are given to %d claims", round, tie, len(placed), places, len(claims))
			}
			for i := range f.claims {
				for j := range f.claims {
					a, b := &f.claims[i], &f.claims[j]
					of, other := place[a.Subject], place[b.Subject]
					if before(a, b) && other > 0 && (of == 0 || of >= other) {
						t.Fatalf("round %d, %s: %+v is before %+v but has place %d, not before %d", round, tie, *a, *b, of, other)
					}
				}
			}
			shuffled := slices.Clone(claims)
			rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			if again := Place(shuffled, places, tie, draw); !slices.Equal(again, placed) {
				t.Fatalf("round %d, %s: shuffled %+v, before %+v", round, tie, again, placed)
			}
		}
	}
}
