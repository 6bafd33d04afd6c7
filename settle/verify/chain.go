package verify

import (
	"slices"

	"photofinish/rules"
)

// chain checks that the cuts that are settled are those that are recorded, that each
// names the one before, that bounds only grow, and that each entry which ends a cut
// names that cut's record and the one before. What is behind a break cannot be replayed
// and is left out of settled.
func (b *books) chain(v *Verification) {
	b.follow(v)
	if b.taken > uint64(len(b.cuts)) {
		v.mismatch("table cuts: it ends at cut %d, and what cut %d took in is there: the last cuts were taken out", len(b.cuts), b.taken)
	}
	previous := ""
	for i := range b.cuts {
		cut := &b.cuts[i]
		if i > len(b.settled) {
			if cut.Number <= b.known { // otherwise it was made while verify read
				v.mismatch("cut %d is recorded, and cut %d before it is not settled", cut.Number, cut.Number-1)
			}
			continue
		}
		if cut.Previous != previous {
			v.mismatch("cut %d names %q as what ended the cut before, which is %q", cut.Number, cut.Previous, previous)
		}
		if i > 0 {
			growing(&b.cuts[i-1], cut, v)
		}
		if i == len(b.settled) {
			if _, err := b.ruleset(cut.Ruleset); err != nil {
				v.mismatch("cut %d is recorded and not settled: %v", cut.Number, err)
			}
			continue
		}
		end := b.settled[i][len(b.settled[i])-1]
		if end.Settled.Previous != previous {
			v.mismatch("cut %d: the entry that ends it names %q as the one before, which is %q", cut.Number, end.Settled.Previous, previous)
		}
		if digest := cut.Digest(); end.Settled.Record != digest {
			v.mismatch("cut %d: its record was changed: the ledger names %s, it is %s", cut.Number, end.Settled.Record, digest)
		}
		b.without(i, end.Settled.Lost, v)
		previous = end.ID
	}
}

// without takes from a cut what it was settled without, which must be offsets that it added.
func (b *books) without(i int, lost []rules.Loss, v *Verification) {
	cut, before := &b.cuts[i], &rules.Cut{}
	if i > 0 {
		before = &b.cuts[i-1]
	}
	for _, loss := range lost {
		l := cut.Line(loss.Node)
		if l == nil || !slices.Equal(l.Losses(before, []rules.Span{loss.Span}), []rules.Loss{loss}) {
			v.mismatch("cut %d: it was settled without offsets %d to %d of node %s, which it does not add", cut.Number, loss.First, loss.Last, loss.Node)
		}
	}
	*cut = cut.Without(lost)
}

// follow sets settled to what the ledger has of recorded cuts, from the first one to
// the first that is missing or not whole.
func (b *books) follow(v *Verification) {
	broken := false
	for _, w := range b.ledger {
		want := uint64(len(b.settled) + 1)
		switch {
		case w.cut == 0 || w.cut > uint64(len(b.cuts)):
			v.mismatch("table ledger, cut %d: the ledger has entries of it; cut %d is settled but not recorded", w.cut, w.cut)
			broken = broken || w.cut != 0
			continue
		case w.cut != want && !broken:
			v.mismatch("table ledger: cut %d has no entries, and cut %d has", want, w.cut)
			broken = true
		}
		for n := range w.entries {
			if w.entries[n].N != uint32(n) {
				v.mismatch("table ledger, cut %d: entry %d is missing", w.cut, n)
				break
			}
		}
		// What stands behind the entry that ends the cut is not part of it: it was added.
		for n := range w.entries {
			if w.entries[n].Settled != nil && n+1 < len(w.entries) {
				v.mismatch("table ledger, cut %d: %d entries stand behind the one that ends it", w.cut, len(w.entries)-n-1)
				w.entries = w.entries[:n+1]
				break
			}
		}
		if !complete(&w.entries[len(w.entries)-1]) || w.entries[len(w.entries)-1].Settled == nil {
			v.mismatch("cut %d: the entry that ends it is missing", w.cut)
			broken = true
		}
		if !broken {
			b.settled = append(b.settled, w.entries)
		}
	}
}

// growing checks that a cut claims to know no less than the one before.
func growing(before, cut *rules.Cut, v *Verification) {
	if cut.Through < before.Through || cut.AsOf < before.AsOf || cut.ClosedAt < before.ClosedAt {
		v.mismatch("cut %d goes back behind cut %d", cut.Number, before.Number)
	}
	if cut.Kind == rules.LateCut && cut.Through != before.Through {
		v.mismatch("cut %d is late and moves its end from %s to %s", cut.Number, before.Through, cut.Through)
	}
	for _, l := range before.Nodes {
		if cut.Offset(l.Node) < l.Offset {
			v.mismatch("cut %d reads less of node %s than cut %d", cut.Number, l.Node, before.Number)
		}
	}
}
