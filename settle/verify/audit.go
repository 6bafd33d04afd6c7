package verify

import (
	"maps"
	"slices"

	"photofinish/rules"
)

// audit adds up the ledger, to check what no single cut shows.
type audit struct {
	events uint64
	keys   map[string]string                                       // the entry of each effect
	sales  map[rules.ContestID]map[rules.Identity]rules.Allocation // that hold units
}

func newAudit() *audit {
	return &audit{keys: map[string]string{}, sales: map[rules.ContestID]map[rules.Identity]rules.Allocation{}}
}

// add takes in the entries of a cut: no effect has two keys or two effects one, and at
// the end of a cut no stock is exceeded.
func (a *audit) add(entries []rules.Entry, v *Verification) {
	touched := map[rules.ContestID]bool{}
	for _, e := range entries {
		if e.Key != "" {
			if other, twice := a.keys[e.Key]; twice {
				v.mismatch("cut %d, entry %d: effect %s was in the ledger before, as %s", e.Cut, e.N, e.Key, other)
			}
			a.keys[e.Key] = e.ID
		}
		switch {
		case !complete(&e):
		case e.Kind == rules.KindSettled:
			a.events += e.Settled.Events
		case e.Kind == rules.KindAllocation:
			id := contestOf(&e)
			if touched[id] = true; a.sales[id] == nil {
				a.sales[id] = map[rules.Identity]rules.Allocation{}
			}
			delete(a.sales[id], e.Allocation.Attempt)
			if e.Allocation.State == rules.Reserved {
				a.sales[id][e.Allocation.Attempt] = *e.Allocation
			}
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(touched), rules.ContestID.Compare) {
		reserved, stock := int64(0), int64(0)
		for _, attempt := range slices.SortedFunc(maps.Keys(a.sales[id]), rules.Identity.Compare) {
			held := a.sales[id][attempt]
			reserved += held.Units
			if stock = max(stock, held.Stock); held.Stock == 0 {
				stock = int64(rules.Never) // unlimited
			}
		}
		// The rule may have said more when the units were reserved than it says now.
		if reserved > stock {
			v.mismatch("rule %s, window %s: %d units are reserved of a stock of %d", id.Rule, id.Window.Opens, reserved, stock)
		}
	}
}
