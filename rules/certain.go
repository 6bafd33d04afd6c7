package rules

import (
	"cmp"
	"slices"
)

// The order of claims.
//
// An order of two subjects' counted events is possible if it agrees with every
// event's interval (x before y where x's latest is before y's earliest) and with
// every server's own order. A claim certainly precedes another if its N-th event
// comes first in every possible order: there are no N events of the other that can
// be had with fewer than N of its own before them. Nobody else's events matter, and
// evidence elsewhere never costs the exact order of the server on which a finish
// happened.
//
// So a does not precede b if N events of b can be chosen that need fewer than N of a
// before them. Trying every choice is not needed. Let M be the last of the earliest
// ends of the chosen events. The events of a whose latest end is before M come first
// in any case: they are over. Of the others, those must come first that their server
// puts before a chosen event: they are the cost of the choice. What a server puts
// before an event it also puts before its later ones, so the first k events of b on a
// server cost what the k-th alone costs. That leaves one table for each server, of
// the most events of b to be had for each cost, and the tables are combined. An M
// matters only from where there can be N events of b to where N of a are over.

// paretoLimit bounds how many combinations of servers are kept apart, and workLimit
// how many events one comparison looks at, a combination counting as several: about a
// second. Beyond them nothing is certain: who cannot be told apart shares a place rather
// than losing it.
const (
	paretoLimit = 4096
	workLimit   = 1 << 26
	combineWork = 8 // of one combination: they are sorted
)

// certainly compares runs; it keeps its buffers. The zero value is ready.
type certainly struct {
	events []pairEvent
	ends   []span
	had    []price
	more   []price
	steps  []price
	work   int
	values map[string]int  // the event that counts for each of a's values, until some are left out; nil: not a distinct measure
	free   map[string]bool // values of b that cost nothing
}

// pairEvent is an event of one of the two runs that are compared.
type pairEvent struct {
	*countedEvent
	first bool // of a, the run that is to be first
	drop  bool // another event of a counts for its value
}

// price says how much of b is to be had at most if so much of a comes before it.
type price struct{ cost, gain Amount }

// precedes reports whether a certainly precedes b, both of them having reached n.
func (c *certainly) precedes(a, b *Run, n Amount) bool {
	c.merge(a, b)
	c.until(n)
	c.work = 0
	for _, m := range c.starts(n) {
		if c.work += len(c.events); c.work > workLimit {
			return false
		}
		over := Amount{}
		for j := range c.events {
			if ev := &c.events[j]; ev.first && !ev.drop && c.ends[j].l < m {
				over = over.Add(ev.amount)
			}
		}
		if over.Compare(n) < 0 && c.hadBy(m, over, n) {
			return false
		}
	}
	return true
}

// until leaves out the events that begin after n of a are over: those of b come later in
// any case, and of a no server puts them before others. So it does not depend on what
// either did later, however much that is.
func (c *certainly) until(n Amount) {
	ofA := make([]int, 0, len(c.events))
	for i := range c.events {
		if c.events[i].first && !c.events[i].drop {
			ofA = append(ofA, i)
		}
	}
	slices.SortFunc(ofA, func(x, y int) int { return cmp.Compare(c.ends[x].l, c.ends[y].l) })
	over, sum := Never, Amount{}
	for _, i := range ofA {
		if sum = sum.Add(c.events[i].amount); sum.Compare(n) >= 0 {
			over = c.ends[i].l
			break
		}
	}
	kept := 0
	for i := range c.events {
		if c.ends[i].e <= over {
			c.events[kept], c.ends[kept] = c.events[i], c.ends[i]
			kept++
		}
	}
	c.events, c.ends = c.events[:kept], c.ends[:kept]
}

// starts returns the earliest ends of b's events by which there can be n of them, sorted,
// each once.
func (c *certainly) starts(n Amount) []Instant {
	ofB := make([]int, 0, len(c.events))
	for i := range c.events {
		if !c.events[i].first {
			ofB = append(ofB, i)
		}
	}
	slices.SortFunc(ofB, func(x, y int) int { return cmp.Compare(c.ends[x].e, c.ends[y].e) })
	var starts []Instant
	sum := Amount{}
	for k, i := range ofB {
		sum = sum.Add(c.events[i].amount)
		if last := k == len(ofB)-1 || c.ends[ofB[k+1]].e > c.ends[i].e; last && sum.Compare(n) >= 0 {
			starts = append(starts, c.ends[i].e)
		}
	}
	return starts
}

// merge lays the events of both runs out in the order of compareServerOrder, with their
// ends made to agree.
func (c *certainly) merge(a, b *Run) {
	c.events = c.events[:0]
	i, j := 0, 0
	for i < len(a.events) || j < len(b.events) {
		if j == len(b.events) || i < len(a.events) && compareServerOrder(&a.events[i], &b.events[j]) <= 0 {
			c.events = append(c.events, pairEvent{countedEvent: &a.events[i], first: true})
			i++
		} else {
			c.events = append(c.events, pairEvent{countedEvent: &b.events[j]})
			j++
		}
	}
	c.ends = slices.Grow(c.ends[:0], len(c.events))[:len(c.events)]
	agreeInto(c.ends, len(c.events), func(i int) *countedEvent { return c.events[i].countedEvent })
	c.values = nil
	if a.distinct {
		c.values = map[string]int{}
		c.oneForEachValue()
	}
}

// oneForEachValue drops all but one of a's events of each value. A value counts once,
// on however many servers it was seen; the event that is over first is kept.
func (c *certainly) oneForEachValue() {
	for i := range c.events {
		ev := &c.events[i]
		if !ev.first {
			continue
		}
		other, seen := c.values[ev.value]
		switch {
		case !seen:
			c.values[ev.value] = i
		case c.ends[i].l < c.ends[other].l:
			c.events[other].drop = true
			c.values[ev.value] = i
		default:
			ev.drop = true
		}
	}
}

// hadBy reports whether n can be had of b's events with an earliest end of at most m
// while a has less than n: counting what is over and what the servers put before the
// chosen events.
func (c *certainly) hadBy(m Instant, over, n Amount) bool {
	c.had = append(c.had[:0], price{})
	if c.values != nil {
		c.free = map[string]bool{}
		// Values that cost nothing anywhere are had once; the rest are looked at then.
		c.eachServer(func(start, end int) bool { c.serverSteps(start, end, m, true); return true })
		c.had[0].gain = Whole(int64(len(c.free)))
	}
	sure := c.eachServer(func(start, end int) bool {
		c.serverSteps(start, end, m, false)
		return len(c.steps) == 0 || c.combine(over, n)
	})
	return !sure || c.had[len(c.had)-1].gain.Compare(n) >= 0
}

// eachServer calls f with the events of each server, until it says false.
func (c *certainly) eachServer(f func(start, end int) bool) bool {
	for start := 0; start < len(c.events); {
		end := start + 1
		for end < len(c.events) && c.events[end].server == c.events[start].server {
			end++
		}
		if !f(start, end) {
			return false
		}
		start = end
	}
	return true
}

// serverSteps fills steps with one server's table: for each cost, which is how much of
// a that is not over the server puts before them, the most of b's events to be had. Of
// a distinct measure it is called twice. With free it only notes the values that cost
// nothing; then it leaves these out, and has each other value from the first event in
// which the server saw it.
func (c *certainly) serverSteps(start, end int, m Instant, free bool) {
	c.steps = c.steps[:0]
	var gain Amount
	var seen map[string]bool
	var stamp Instant
	var before, numbered Amount // a's of earlier stamps; and of smaller numbers too
	var all Amount              // and of the whole stamp
	for i := start; i < end; {
		first := &c.events[i]
		if i == start || first.at != stamp {
			stamp, before, numbered = first.at, all, all
		}
		cost, own := before, Amount{}
		if first.seq != 0 {
			cost = numbered
		}
		for ; i < end && c.events[i].at == stamp && c.events[i].seq == first.seq; i++ {
			ev := &c.events[i]
			switch {
			case ev.first:
				if !ev.drop && c.ends[i].l >= m {
					own = own.Add(ev.amount)
				}
			case c.ends[i].e > m:
			case ev.value != "" && free:
				if cost.IsZero() {
					c.free[ev.value] = true
				}
			case ev.value != "" && (c.free[ev.value] || seen[ev.value]):
			default:
				if ev.value != "" {
					if seen == nil {
						seen = map[string]bool{}
					}
					seen[ev.value] = true
				}
				gain = gain.Add(ev.amount)
				if last := len(c.steps) - 1; last >= 0 && c.steps[last].cost == cost {
					c.steps[last].gain = gain
				} else {
					c.steps = append(c.steps, price{cost, gain})
				}
			}
		}
		all = all.Add(own)
		if first.seq != 0 {
			numbered = numbered.Add(own)
		}
	}
}

// combine adds a server's table to had, which holds, for each cost that together with
// what is over stays below n, the most to be had; costs and gains both grow along it.
// It reports false where there are too many combinations to keep apart, or were too many.
func (c *certainly) combine(over, n Amount) bool {
	c.more = c.more[:0]
	for _, h := range c.had {
		if !c.steps[0].cost.IsZero() { // what costs nothing is always taken
			c.more = append(c.more, h)
		}
		for _, s := range c.steps {
			cost := h.cost.Add(s.cost)
			if over.Add(cost).Compare(n) >= 0 {
				break
			}
			c.more = append(c.more, price{cost, h.gain.Add(s.gain)})
			if len(c.more) > 64*paretoLimit {
				return false
			}
		}
	}
	if c.work += combineWork * len(c.more); c.work > workLimit {
		return false
	}
	slices.SortFunc(c.more, func(a, b price) int {
		return cmp.Or(a.cost.Compare(b.cost), b.gain.Compare(a.gain))
	})
	c.had = c.had[:0]
	for _, p := range c.more {
		if len(c.had) == 0 || p.gain.Compare(c.had[len(c.had)-1].gain) > 0 {
			c.had = append(c.had, p)
		}
	}
	return len(c.had) <= paretoLimit
}
