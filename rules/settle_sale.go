package rules

import "encoding/hex"

// settleSale serves the attempts that nothing earlier can come before any more: by
// arrival those before the complete instant, by lottery all when the window is over.
//
//	attempt ──▶ reserved   a unit is kept; delivery goes on from here
//	        ──▶ sold_out   the stock was gone
//	        ──▶ declined   one player may have only so many, or it does not count after all
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
		// What was served stays in the queue even if a changed rule waits longer.
		_, known := st.allocations[ev.Attempts[i].Identity()]
		if known || ev.Attempts[i].Instant < h.Complete {
			attempts = append(attempts, ev.Attempts[i])
		}
	}
	draw := c.draw(ev.Seed)
	stands := func(a *Allocation) bool { return c.Rule.OnCorrection == Keep || a.FinalAt <= h.Told }
	entries := c.vanished(ev.Attempts, st, stands)
	for _, a := range c.Rule.allocate(attempts, draw, st, stands) {
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
			entries = append(entries, c.move(old, a.state, "earlier attempts came to light")...)
		}
		entries = append(entries, e)
	}
	return entries
}

// vanished releases the units of attempts that do not count any more, since the
// rule or what is known of their time has changed.
func (c Contest) vanished(attempts []Record, st *Standing, stands func(*Allocation) bool) []Entry {
	counts := map[Identity]bool{}
	for i := range attempts {
		counts[attempts[i].Identity()] = true
	}
	var entries []Entry
	for _, old := range st.Allocations() {
		if old.Allocation.State != Reserved || counts[old.Allocation.Attempt] || stands(old.Allocation) {
			continue
		}
		now := *old.Allocation
		now.State, now.Reason, now.Corrects = Declined, "the attempt does not count", old.ID
		e := c.entry(KindAllocation)
		e.Allocation = &now
		entries = append(append(entries, c.move(old, Declined, "the attempt does not count")...), e)
	}
	return entries
}

// move says what a correction does to an attempt that has another state now.
func (c Contest) move(old Entry, state AllocationState, why string) []Entry {
	player := old.Allocation.Player
	correction := c.entry(KindCorrection)
	correction.Correction = &Correction{
		Corrects: old.ID, Subject: player, Policy: Transfer,
		Reason: why + ": " + string(old.Allocation.State) + " becomes " + string(state),
	}
	if state == Reserved {
		correction.Correction.Found = player
	}
	entries := []Entry{correction}
	switch {
	case old.Allocation.State == Reserved:
		e := c.compensation(Compensation{Kind: Transfer, Subject: player, Because: old.ID, Item: old.Allocation.Item, Takes: true})
		e.Key = c.key("release", player, old.Key, 0)
		entries = append(entries, e)
	case state == Reserved:
		entries = append(entries, c.compensation(Compensation{Kind: Transfer, Subject: player, Because: old.ID, Item: c.Rule.Item}))
	}
	return entries
}
