package announce

import (
	"cmp"
	"maps"
	"slices"

	"photofinish/rules"
)

// saleOf returns a sale from the purchase attempts that the report's cuts decided, the last
// entry of each, and of a limited sale from all that hold a unit now.
func saleOf(c rules.ContestID, decided, held map[rules.Identity]*rules.Entry) Sale {
	unserved := queue(decided, func(a *rules.Allocation) bool { return a.State != rules.Reserved })
	holders := queue(decided, func(a *rules.Allocation) bool { return a.State == rules.Reserved })
	newest := slices.MaxFunc(append(slices.Clone(unserved), holders...), compareEntries)
	terms := newest.Allocation
	s := Sale{Rule: c.Rule, Scope: string(c.Scope), Window: c.Window, Attempts: []PurchaseAttempt{}, Item: terms.Item, Seed: terms.Seed}
	if terms.Price.Amount != 0 {
		s.Price = &rules.Money{Amount: terms.Price.Amount, Currency: terms.Price.Currency}
	}
	limit := MaxUnlimitedHeld
	if terms.Stock > 0 {
		stock := terms.Stock
		s.Stock = &stock
		holders = queue(held, func(*rules.Allocation) bool { return true })
		limit = len(holders)
	}
	for i := range holders {
		s.Sold += holders[i].Allocation.Units
	}
	for i := range unserved {
		if unserved[i].Allocation.State == rules.SoldOut {
			s.SoldOut++
		} else {
			s.Declined++
		}
	}
	s.show(holders, limit)
	s.show(unserved, MaxUnserved)
	return s
}

// show adds the first attempts, and counts the others.
func (s *Sale) show(entries []*rules.Entry, limit int) {
	for i := range entries {
		if i == limit {
			s.AttemptsOmitted += len(entries) - limit
			return
		}
		a := entries[i].Allocation
		s.Attempts = append(s.Attempts, PurchaseAttempt{
			Player: a.Player, At: a.At, State: a.State, Server: a.Attempt.Server, ID: a.Attempt.ID,
			Region: a.Region, Tied: a.Tied, Earliest: a.Earliest, Latest: a.Latest, UncertaintyNs: int64(a.Latest-a.Earliest) / 2,
			Units: a.Units, Reason: Text(a.Reason), Outcome: entries[i].ID,
		})
	}
}

// queue returns the entries that are wanted by the instant of the attempt, then as
// in the ledger.
func queue(entries map[rules.Identity]*rules.Entry, wanted func(*rules.Allocation) bool) []*rules.Entry {
	list := make([]*rules.Entry, 0, len(entries))
	for e := range maps.Values(entries) { // the order does not matter: sorted below by what is unique
		if wanted(e.Allocation) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b *rules.Entry) int {
		return cmp.Or(cmp.Compare(a.Allocation.Instant, b.Allocation.Instant), compareEntries(a, b))
	})
	return list
}

func compareEntries(a, b *rules.Entry) int {
	return cmp.Or(cmp.Compare(a.Cut, b.Cut), cmp.Compare(a.N, b.N))
}

// shownUnserved is how many attempts that got nothing a page lists of a sale. They
// are many and alike; the counts say the rest, and the JSON has them.
const shownUnserved = 5

// shown returns the attempts that a page lists: those that hold a unit, which come
// first, and a few of the others; and how many it leaves out.
func (s *Sale) shown() (attempts []PurchaseAttempt, omitted int) {
	holders := 0
	for holders < len(s.Attempts) && s.Attempts[holders].State != rules.SoldOut && s.Attempts[holders].State != rules.Declined {
		holders++
	}
	n := min(len(s.Attempts), maxRows, holders+shownUnserved)
	return s.Attempts[:n], len(s.Attempts) - n + s.AttemptsOmitted
}
