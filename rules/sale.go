package rules

import (
	"cmp"
	"fmt"
	"slices"
)

// AllocationState is how far a purchase attempt has come.
type AllocationState string

// The states that a settlement gives. Delivery adds what the services answer.
const (
	Reserved AllocationState = "reserved" // a unit is kept for the attempt
	SoldOut  AllocationState = "sold_out" // the stock was gone before it; it stays so
	Declined AllocationState = "declined" // refused, with the reason in words; it stays so
)

// waiting is a purchase attempt in the queue of a sale.
type waiting struct {
	*Record
	Placement
}

// queued returns the attempts in the order in which they are served. By arrival that
// is the order of claims to one event each: the clocks' intervals and each server's
// own order decide, and where they leave it open the rule's tie does; TieEarliest goes
// by point estimate, then player. By lottery every player draws one lot, however often
// they ask. Where nothing is limited the order only has to be the same every time.
func (r *Rule) queued(attempts []Record, draw Draw) []waiting {
	queue := make([]waiting, len(attempts))
	for i := range attempts {
		queue[i].Record = &attempts[i]
		queue[i].Until = attempts[i].Latest
	}
	if r.Queue != QueueLottery && r.Stock > 0 {
		return r.arrivals(queue, draw)
	}
	lots := map[string]string{}
	for _, w := range queue {
		if _, drawn := lots[w.Player]; !drawn && r.Queue == QueueLottery {
			lots[w.Player] = string(draw.lot(1, w.Player))
		}
	}
	slices.SortFunc(queue, func(a, b waiting) int {
		return cmp.Or(cmp.Compare(lots[a.Player], lots[b.Player]), cmp.Compare(a.Instant, b.Instant), comparePosition(a.Record, b.Record))
	})
	for i := range queue {
		queue[i].Drawn = r.Queue == QueueLottery
	}
	return queue
}

// arrivals orders attempts as claims.
func (r *Rule) arrivals(queue []waiting, draw Draw) []waiting {
	runs := make([]*Run, len(queue))
	attempts := make(map[*Run]*Record, len(queue))
	for i, w := range queue {
		runs[i] = w.asRun()
		attempts[runs[i]] = w.Record
	}
	tie := cmp.Or(r.Tie, TieEarliest)
	for i, p := range Place(runs, Whole(1), len(runs), tie, draw) {
		queue[i] = waiting{attempts[p.Run], p}
	}
	return queue
}

// asRun returns the attempt as a claim that one event makes. Each attempt is a subject of
// its own, named so that attempts sort by player first.
func (w waiting) asRun() *Run {
	rec := w.Record
	return &Run{
		Claim: Claim{
			Subject: rec.Player + "\x00" + rec.Server + "\x00" + rec.ID, At: rec.At, Point: min(max(rec.Instant, rec.Earliest), rec.Latest),
			Earliest: rec.Earliest, Latest: rec.Latest, Decided: rec.Identity(), Region: rec.Region,
		},
		events: []countedEvent{{server: rec.Server, at: rec.At, seq: rec.Seq, id: rec.ID, e: rec.Earliest, l: rec.Latest, amount: Whole(1)}},
		lot:    rec.Player,
	}
}

// counter is where units are served.
type counter struct {
	rule   *Rule
	left   int64            // of a limited stock
	bought map[string]int64 // units by player
}

// serve says what the attempt gets: whole or not at all.
func (c *counter) serve(rec *Record) (AllocationState, string) {
	units := max(rec.Count, 1)
	switch {
	case c.rule.PerPlayer > 0 && units > c.rule.PerPlayer-c.bought[rec.Player]:
		return Declined, fmt.Sprintf("one player may have %d", c.rule.PerPlayer)
	case c.rule.Stock > 0 && c.left <= 0:
		if c.rule.Stock == 1 {
			return SoldOut, "the only one is sold"
		}
		return SoldOut, fmt.Sprintf("all %d are sold", c.rule.Stock)
	case c.rule.Stock > 0 && units > c.left:
		return SoldOut, fmt.Sprintf("%d wanted, %d left", units, c.left)
	}
	c.take(rec.Player, units)
	return Reserved, ""
}

func (c *counter) take(player string, units int64) {
	c.bought[player] += units
	c.left -= units
}
