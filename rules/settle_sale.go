package rules

import "encoding/hex"

// settleSale serves the attempts that nothing earlier can come before any more: by
// arrival those before the complete instant, by lottery all when the window is over.
//
//	attempt ──▶ reserved   a unit is kept; delivery goes on from here
//	        ──▶ sold_out   the stock was gone
//	        ──▶ declined   one player may have only so many
//
// Later evidence moves a reserved unit to whoever came first (Transfer) as long as
// the attempt is not final; under Keep what was reserved stays and only the rest
// of the stock is served. Either way the stock is never exceeded.
func (c Contest) settleSale(ev Evidence, st *Standing, h Horizon) []Entry {
	if c.Rule.Queue == QueueLottery && (c.Window.Forever() || c.Window.Closes > h.Complete) {
		return nil
	}
	attempts := make([]Record, 0, len(ev.Attempts))
	for i := range ev.Attempts {
		if ev.Attempts[i].Instant < h.Complete {
			attempts = append(attempts, ev.Attempts[i])
		}
	}
	draw := c.draw(ev.Seed)
	stands := func(a *Allocation) bool { return c.Rule.OnCorrection == Keep || a.FinalAt <= h.Told }
	var entries []Entry
	for _, a := range c.Rule.allocate(attempts, draw, st.allocations, stands) {
		old, known := st.allocations[a.Identity()]
		if known && old.Allocation.State == a.state {
			continue
		}
		e := c.entry(KindAllocation)
		e.Allocation = &Allocation{
			Attempt: a.Identity(), Player: a.Player, At: a.Instant, Units: max(a.Count, 1), State: a.state, Reason: a.reason,
			Price: c.Rule.Price, Item: c.Rule.Item, Stock: c.Rule.Stock, FinalAt: a.Instant.Add(c.Rule.Correct),
		}
		if c.Rule.Queue == QueueLottery {
			e.Allocation.Seed = hex.EncodeToString(ev.Seed)
		}
		if a.state == Reserved {
			e.Key = c.key("sell", a.Player, a.Server+"/"+a.ID, st.sold[a.Identity()])
		}
		if known {
			e.Allocation.Corrects = old.ID
			entries = append(entries, c.move(a, old)...)
		}
		entries = append(entries, e)
	}
	return entries
}

// move says what a correction does to an attempt whose state changed.
func (c Contest) move(a allocated, old Entry) []Entry {
	correction := c.entry(KindCorrection)
	correction.Correction = &Correction{
		Corrects: old.ID, Subject: a.Player, Policy: Transfer,
		Reason: "earlier attempts came to light: " + string(old.Allocation.State) + " becomes " + string(a.state),
	}
	if a.state == Reserved {
		correction.Correction.Found = a.Player
	}
	entries := []Entry{correction}
	switch {
	case old.Allocation.State == Reserved:
		e := c.compensation(Compensation{Kind: Transfer, Subject: a.Player, Because: old.ID, Item: c.Rule.Item, Takes: true})
		e.Key = c.key("release", a.Player, old.Key, 0)
		entries = append(entries, e)
	case a.state == Reserved:
		entries = append(entries, c.compensation(Compensation{Kind: Transfer, Subject: a.Player, Because: old.ID, Item: c.Rule.Item}))
	}
	return entries
}
