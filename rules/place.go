package rules

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"
)

// Placement is a claim and the place it takes. Tied says that another claim could
// not be told apart from it, whether the tie was then shared or broken.
type Placement struct {
	Place int
	Claim Claim
	Tied  bool
}

// Place gives the first places to claims of distinct subjects. Those that no other
// certainly precedes take the first place, are taken away, and so on. By tie they
// share it and the next place follows after all of them (1, 1, 3); or the one with
// the likeliest earliest instant takes it, then the one whose subject sorts first;
// or the one drawn by seed. The result is by place, then instant, then subject,
// and does not depend on the order of claims.
func Place(claims []Claim, places int, tie string, draw Draw) []Placement {
	f := newField(claims)
	tied := map[string]bool{} // subjects that were not the only ones in front
	var placed []Placement
	for len(placed) < places {
		front := f.front()
		if len(front) == 0 {
			break
		}
		for _, i := range front {
			tied[f.claims[i].Subject] = tied[f.claims[i].Subject] || len(front) > 1
		}
		taken := front
		switch tie {
		case TieEarliest:
			taken = front[:1]
		case TieDraw:
			taken = []int{slices.MinFunc(front, func(i, j int) int {
				return draw.compare(f.claims[i].Subject, f.claims[j].Subject)
			})}
		}
		place := len(placed) + 1
		for _, i := range taken {
			placed = append(placed, Placement{Place: place, Claim: f.claims[i].Claim, Tied: tied[f.claims[i].Subject]})
		}
		f.remove(taken)
	}
	return placed
}

// Draw is a lottery that anyone can compute again: lots are drawn by the SHA-256
// of the seed, the rule, the scope, the window and the name. The seed's own digest
// stands in the ledger before the result can be known, so nobody can choose it
// afterwards. The zero Draw orders by digest too, without a secret.
type Draw struct {
	Seed   []byte
	Rule   string
	Scope  string
	Window Window
}

// lot returns the digest that name draws. The lowest wins.
func (d Draw) lot(name string) []byte {
	h := sha256.New()
	for _, s := range []string{string(d.Seed), d.Rule, d.Scope, name} {
		hashText(h, s)
	}
	hashNumber(h, uint64(d.Window.Opens))
	hashNumber(h, uint64(d.Window.Closes))
	return h.Sum(nil)
}

func (d Draw) compare(a, b string) int {
	return cmp.Or(bytes.Compare(d.lot(a), d.lot(b)), cmp.Compare(a, b))
}
