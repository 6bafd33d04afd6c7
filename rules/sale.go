package rules

import (
	"cmp"
	"fmt"
	"slices"
)

// AllocationState is how far an attempt to buy has come.
type AllocationState string

// The states that a settlement gives. Delivery adds what the services answer.
const (
	Reserved AllocationState = "reserved" // a unit is kept for the attempt
	SoldOut  AllocationState = "sold_out" // the stock was gone before it
	Declined AllocationState = "declined" // refused, with the reason in words
)

// allocated is an attempt and what it got.
type allocated struct {
	*Record
	state  AllocationState
	reason string
}

// queue returns the attempts in the order in which they are served. By arrival
// that is the corrected instant; a server's own order is never broken, for an
// attempt counts as no earlier than those its server saw before it. Across servers
// equal instants are ordered by server, then by what is unique. By lottery every
// player draws one lot, however often they ask.
func (r *Rule) queue(attempts []Record, draw Draw) []*Record {
	seen := make([]*Record, 0, len(attempts))
	for i := range attempts {
		seen = append(seen, &attempts[i])
	}
	slices.SortFunc(seen, func(a, b *Record) int {
		return cmp.Or(cmp.Compare(a.Server, b.Server), comparePosition(a, b))
	})
	type waiting struct {
		*Record
		from Instant
		lot  string
	}
	line := make([]waiting, 0, len(seen))
	for i, rec := range seen {
		w := waiting{Record: rec, from: rec.Instant}
		if i > 0 && seen[i-1].Server == rec.Server {
			w.from = max(w.from, line[i-1].from)
		}
		if r.Queue == QueueLottery {
			w.lot = string(draw.lot(rec.Player))
		}
		line = append(line, w)
	}
	slices.SortFunc(line, func(a, b waiting) int {
		return cmp.Or(cmp.Compare(a.lot, b.lot), cmp.Compare(a.from, b.from),
			cmp.Compare(a.Server, b.Server), comparePosition(a.Record, b.Record))
	})
	ordered := make([]*Record, len(line))
	for i, w := range line {
		ordered[i] = w.Record
	}
	return ordered
}

// allocate serves the queue: each attempt asks for its count of units, whole or
// not at all. What earlier cuts decided and stands says must stay is kept, whether
// or not its attempt still counts, and its units are set aside first. The units of
// all Reserved attempts never exceed Stock, nor those of one player PerPlayer, as
// long as those kept do not: a changed rule may say less than was sold.
func (r *Rule) allocate(attempts []Record, draw Draw, st *Standing, stands func(*Allocation) bool) []allocated {
	stock := r.Stock
	bought := map[string]int64{}
	for _, e := range st.Allocations() {
		if a := e.Allocation; a.State == Reserved && stands(a) {
			bought[a.Player] += a.Units
			stock -= a.Units
		}
	}
	line := r.queue(attempts, draw)
	left := max(stock, 0)
	served := make([]allocated, 0, len(line))
	for _, rec := range line {
		if e, known := st.allocations[rec.Identity()]; known && stands(e.Allocation) {
			served = append(served, allocated{rec, e.Allocation.State, e.Allocation.Reason})
			continue
		}
		a := allocated{Record: rec, state: Reserved}
		units := max(rec.Count, 1)
		switch {
		case r.PerPlayer > 0 && units > r.PerPlayer-bought[rec.Player]:
			a.state, a.reason = Declined, fmt.Sprintf("one player may have %d", r.PerPlayer)
		case r.Stock > 0 && units > left:
			a.state, a.reason = SoldOut, fmt.Sprintf("all %d are sold", r.Stock)
		default:
			bought[rec.Player] += units
			left -= units
		}
		served = append(served, a)
	}
	if r.Stock > 0 && left < 0 { // no attempt above took more than was left
		panic(fmt.Sprintf("rules: %s: %d more allocated than the stock of %d", r.ID, -left, r.Stock))
	}
	return served
}
