package rules

import (
	"cmp"
	"slices"
)

// field is a set of claims with the strict partial order that says which of them
// certainly came first.
//
// Claims of one server are ordered as the server saw them. Any two claims are
// ordered if one interval ends before the other begins. To make the two agree, the
// intervals of a server's claims are first widened so that neither end ever runs
// backwards in the server's own order: estimates of a clock that change or
// contradict each other make finishes undecidable, never wrong. With e and l the
// widened ends, a is before b if l(a) < e(b), or if one server saw both and saw a
// first. This is transitive: if a server saw a before b, then e(a) ≤ e(b) and
// l(a) ≤ l(b), so a is before whatever b's interval ends before, and b is after
// whatever a's interval begins after. It is irreflexive because e ≤ l. A property
// test shows both.
type field struct {
	claims []runner // by (e, subject)
}

// runner is a claim in a field with its widened interval.
type runner struct {
	Claim
	e, l Instant
}

// newField orders claims of distinct subjects.
func newField(claims []Claim) *field {
	f := &field{claims: make([]runner, len(claims))}
	for i, c := range claims {
		f.claims[i] = runner{c, c.Earliest, c.Latest}
	}
	slices.SortFunc(f.claims, func(a, b runner) int {
		return cmp.Or(cmp.Compare(a.Server, b.Server), compareSeen(&a.Claim, &b.Claim), cmp.Compare(a.Subject, b.Subject))
	})
	for i := 1; i < len(f.claims); i++ {
		if a, b := &f.claims[i-1], &f.claims[i]; a.Server == b.Server && b.Server != "" {
			b.l = max(b.l, a.l)
		}
	}
	for i := len(f.claims) - 2; i >= 0; i-- {
		if a, b := &f.claims[i], &f.claims[i+1]; a.Server == b.Server && b.Server != "" {
			a.e = min(a.e, b.e)
		}
	}
	slices.SortFunc(f.claims, func(a, b runner) int {
		return cmp.Or(cmp.Compare(a.e, b.e), cmp.Compare(a.Subject, b.Subject))
	})
	return f
}

// compareSeen orders claims of one server by (ServerAt, Seq).
func compareSeen(a, b *Claim) int {
	return cmp.Or(cmp.Compare(a.ServerAt, b.ServerAt), cmp.Compare(a.Seq, b.Seq))
}

// sawFirst reports whether one server saw a before b. Events of one instant are
// told apart only by a running number that both have.
func sawFirst(a, b *Claim) bool {
	if a.Server == "" || a.Server != b.Server {
		return false
	}
	if a.ServerAt == b.ServerAt && (a.Seq == 0 || b.Seq == 0) {
		return false
	}
	return compareSeen(a, b) < 0
}

// before reports whether a certainly came before b.
func before(a, b *runner) bool { return a.l < b.e || sawFirst(&a.Claim, &b.Claim) }

// front returns the indexes of the claims that no other claim certainly precedes,
// in the order of (At, Subject). It is empty only if the field is.
func (f *field) front() []int {
	if len(f.claims) == 0 {
		return nil
	}
	limit := f.claims[0].l
	for _, c := range f.claims {
		limit = min(limit, c.l)
	}
	var possible []int // those no interval precedes; the claims are sorted by e
	for i := range f.claims {
		if f.claims[i].e > limit {
			break
		}
		possible = append(possible, i)
	}
	front := slices.DeleteFunc(slices.Clone(possible), func(i int) bool {
		return slices.ContainsFunc(possible, func(j int) bool { return sawFirst(&f.claims[j].Claim, &f.claims[i].Claim) })
	})
	slices.SortFunc(front, func(i, j int) int { return compareClaims(&f.claims[i].Claim, &f.claims[j].Claim) })
	return front
}

// remove takes the claims at the indexes out of the field.
func (f *field) remove(indexes []int) {
	gone := slices.Sorted(slices.Values(indexes))
	for _, i := range slices.Backward(gone) {
		f.claims = slices.Delete(f.claims, i, i+1)
	}
}

// compareClaims is the stated order where nothing certain separates claims: the
// likeliest instant, then the subject.
func compareClaims(a, b *Claim) int {
	return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Subject, b.Subject))
}
