package rules

import (
	"maps"
	"slices"
	"strconv"
)

// settleSale serves the queue from its front. An attempt is served once nothing that still
// comes can be before it, once its hold is over, or when nothing is left, since waiting
// cannot better that. The first that has to wait stops those behind it. A lottery is drawn when
// its window is over and nobody is waited for, at most Hold after its end.
//
//	attempt ──▶ reserved   a unit is kept; nothing is charged or delivered yet
//	        │      └──▶ sold_out, declined   corrected: somebody came before
//	        ├─▶ sold_out   the stock was gone
//	        └─▶ declined   one player may have only so many, or it came too late
//
// Who was refused, sold out or declined, stays so for ever. Later evidence moves a reserved
// unit to whoever came first (Transfer) as long as the attempt that has it is not
// final; under Keep what was reserved stays and only the rest of the stock is served.
// Either way the stock is never exceeded.
//
// b is nil where no attempt is doubted; see saleTrusting.
func (c Contest) settleSale(ev Evidence, st *Standing, m Moment, b *behind) Decision {
	var d Decision
	if len(ev.Attempts) > 0 {
		d.Entries = c.commit(ev, st, 1)
	}
	entries, attempts := c.tooLate(ev.Attempts, st, m)
	d.Entries = append(d.Entries, entries...)
	s := selling{Contest: c, st: st, m: m, draw: c.draw(ev.Secret), desk: counter{c.Rule, c.Rule.Stock, map[string]int64{}}, allocations: st.Allocations(), behind: b}
	s.draw.single = true
	if ev.Unanswered {
		attempts = s.withReserved(attempts)
	}
	s.unseen = m.Cut.Unseen(c.Scope, s.regions(attempts))
	d.Entries = append(d.Entries, s.standing(attempts)...)
	if c.Rule.Queue == QueueLottery && !s.drawing() {
		d.Waits = true
		return d
	}
	serving := true
	for _, w := range s.line(attempts) {
		old, known := st.allocations[w.Identity()]
		if !known {
			if w.Drawn && !st.committed(1) {
				d.Again, serving = AgainDraw, false
			}
			if serving = serving && s.due(w); !serving {
				d.Waits, d.Line = true, append(d.Line, w.Player)
				continue
			}
		}
		state, reason := s.desk.serve(w.Record)
		if known && old.Allocation.State == state {
			continue
		}
		if !known && state != Reserved && b.has(w.Identity()) && b.wanted[w.Identity()] {
			d.Waits, d.Line = true, append(d.Line, w.Player)
			continue
		}
		if known {
			d.Entries = append(d.Entries, c.move(old, state, "earlier attempts came to light")...)
		}
		d.Entries = append(d.Entries, s.allocation(w, state, reason, old.ID))
	}
	slices.Sort(d.Line)
	d.Line = slices.Compact(d.Line)
	return d
}

// tooLate declines the attempts that are new and past the time in which one counts,
// and returns the others.
func (c Contest) tooLate(attempts []Record, st *Standing, m Moment) (entries []Entry, others []Record) {
	s := selling{Contest: c, st: st, m: m}
	attempts = slices.SortedFunc(slices.Values(attempts), func(a, b Record) int { return a.Identity().Compare(b.Identity()) })
	for i := range attempts {
		rec := &attempts[i]
		if _, known := st.allocations[rec.Identity()]; !known && c.TooLate(rec, st, m) {
			entries = append(entries, s.allocation(waiting{Record: rec}, Declined, "it came too late", ""))
			continue
		}
		others = append(others, *rec)
	}
	return entries, others
}

// TooLate reports whether an event that is new in the moment's cut and counts in the
// contest changes nothing there any more, though it would add something. A purchase
// counts until its own instant and the rule's time for corrections, window or not; one
// that was there in time may wait in the queue for longer than that.
func (c Contest) TooLate(rec *Record, st *Standing, m Moment) bool {
	if c.Rule.Kind == Sale {
		return m.final(rec.Instant.Add(c.Rule.Correct)) && !m.known(rec)
	}
	amount, _ := c.Rule.Amount(&rec.Event)
	return !amount.IsZero() && !c.Open(st, m)
}

// regions returns the regions that anybody has asked from, sorted.
func (s *selling) regions(attempts []Record) []string {
	regions := map[string]bool{}
	for i := range attempts {
		regions[attempts[i].Region] = true
	}
	for _, e := range s.allocations {
		regions[e.Allocation.Region] = true
	}
	return slices.Sorted(maps.Keys(regions))
}

// withReserved adds the attempts that have a unit, as the ledger tells of them: what is
// written of an attempt there is all that its place in the line depends on. Where the
// stock is not limited only those of the same players matter.
func (s *selling) withReserved(attempts []Record) []Record {
	there, asks := map[Identity]bool{}, map[string]bool{}
	for i := range attempts {
		there[attempts[i].Identity()] = true
		asks[attempts[i].Player] = true
	}
	for _, e := range s.allocations {
		if e.Allocation.State == Reserved && !there[e.Allocation.Attempt] && (s.Rule.Stock > 0 || asks[e.Allocation.Player]) {
			attempts = append(attempts, e.Allocation.attempt())
		}
	}
	return attempts
}

// attempt returns the record of the attempt, as far as the ledger tells.
func (a *Allocation) attempt() Record {
	return Record{
		Event: Event{
			Server: a.Attempt.Server, ID: a.Attempt.ID, Region: a.Region, Type: TypePurchase, At: a.At, Seq: a.Seq, Player: a.Player, Count: a.Units,
		},
		Instant: a.Instant, Earliest: a.Earliest, Latest: a.Latest,
	}
}

// selling serves one sale at one cut.
type selling struct {
	Contest
	st     *Standing
	m      Moment
	draw   Draw
	unseen Instant
	desk   counter

	allocations []Entry // that stand, by (cut, n)
	behind      *behind
}

// behind is which attempts are doubted. Of nil none is.
type behind struct {
	last   map[Identity]bool // served after all others
	wanted map[Identity]bool // which attempts would have a unit if nothing were doubted
}

func (b *behind) has(id Identity) bool { return b != nil && b.last[id] }

// line returns the queue. What is doubted stands behind all others, whose order it does not
// change; of that, what has a unit first, and before who asked after it had got that.
func (s *selling) line(attempts []Record) []waiting {
	queue := s.inQueue(attempts)
	var doubted []Record
	if s.behind != nil {
		sure := make([]Record, 0, len(queue))
		for i := range queue {
			if s.behind.has(queue[i].Identity()) {
				doubted = append(doubted, queue[i])
			} else {
				sure = append(sure, queue[i])
			}
		}
		queue = sure
	}
	line := s.Rule.queued(queue, s.draw)
	var last []waiting
	for _, w := range s.Rule.queued(doubted, s.draw) {
		given, known := s.st.allocations[w.Identity()]
		if !known {
			last = append(last, w)
			continue
		}
		at := slices.IndexFunc(line, func(o waiting) bool {
			return !o.Drawn && o.Instant >= given.Allocation.Behind && !s.behind.has(o.Identity())
		})
		if at < 0 {
			at = len(line)
		}
		line = slices.Insert(line, at, w)
	}
	return append(line, last...)
}

// stays reports whether a reserved unit stays where it is.
func (s *selling) stays(a *Allocation) bool {
	return s.Rule.OnCorrection == Keep || s.m.final(a.FinalAt)
}

// standing sets aside the units that stay where they are, and releases those of
// attempts that do not count any more, since the rule has changed.
func (s *selling) standing(attempts []Record) []Entry {
	counts := map[Identity]bool{}
	for i := range attempts {
		counts[attempts[i].Identity()] = true
	}
	var entries []Entry
	for _, old := range s.allocations {
		a := old.Allocation
		switch {
		case a.State != Reserved:
		case s.stays(a):
			s.desk.take(a.Player, a.Units)
		case !counts[a.Attempt] && s.Rule.Stock > 0:
			now := *a
			now.State, now.Reason, now.Corrects = Declined, "the attempt does not count", old.ID
			e := s.entry(KindAllocation)
			e.Allocation = &now
			entries = append(append(entries, s.move(old, Declined, now.Reason)...), e)
		}
	}
	return entries
}

// inQueue returns the attempts that stand in the queue: those that were not refused,
// and have no unit that stays with them.
func (s *selling) inQueue(attempts []Record) []Record {
	var queue []Record
	for i := range attempts {
		old, known := s.st.allocations[attempts[i].Identity()]
		if !known || old.Allocation.State == Reserved && !s.stays(old.Allocation) {
			queue = append(queue, attempts[i])
		}
	}
	return queue
}

// drawing reports whether a lottery is due.
func (s *selling) drawing() bool {
	closes := s.Window.Closes
	return !s.Window.Forever() && closes <= s.m.Cut.Through && (closes <= s.unseen || s.m.over(closes.Add(s.Rule.Hold)))
}

// due reports whether an attempt is served now.
func (s *selling) due(w waiting) bool {
	if s.Rule.Queue == QueueLottery || s.Rule.Stock > 0 && s.desk.left <= 0 {
		return true
	}
	until := w.Instant
	if s.Rule.Tie == TieDraw {
		until = w.Until
	}
	return until < s.unseen || s.m.over(w.Instant.Add(s.Rule.Hold))
}

// allocation returns the entry of what an attempt gets. corrects is the entry that
// it puts right, "" where there is none.
func (s *selling) allocation(w waiting, state AllocationState, reason, corrects string) Entry {
	rec, r := w.Record, s.Rule
	e := s.entry(KindAllocation)
	e.Allocation = &Allocation{
		Attempt: rec.Identity(), Player: rec.Player, Region: rec.Region, At: rec.At, Seq: rec.Seq, Instant: rec.Instant,
		Earliest: rec.Earliest, Latest: rec.Latest, Units: max(rec.Count, 1), State: state, Tied: w.Tied, Reason: reason,
		Price: r.Price, Item: r.Item, Stock: r.Stock, FinalAt: rec.Instant.Add(r.Correct), Corrects: corrects,
	}
	if s.behind.has(rec.Identity()) {
		e.Allocation.Behind = s.m.Cut.Through
	}
	if w.Drawn && s.st.committed(1) {
		e.Allocation.Seed = seedText(s.draw.Seed(1))
	}
	if state == Reserved {
		a := e.Allocation
		e.Key = s.key("sell", []string{
			a.Player, a.Attempt.Server, a.Attempt.ID, strconv.FormatInt(a.Units, 10),
			strconv.FormatInt(a.Price.Amount, 10), a.Price.Currency, a.Item,
		}, 0)
	}
	return e
}

// move says what a correction does to an attempt whose unit goes to another.
func (c Contest) move(old Entry, state AllocationState, why string) []Entry {
	player := old.Allocation.Player
	correction := c.entry(KindCorrection)
	correction.Correction = &Correction{
		Corrects: old.ID, Subject: player, Loses: []string{player}, Policy: Transfer,
		Reason: why + ": " + string(old.Allocation.State) + " becomes " + string(state),
	}
	e := c.compensation(Compensation{Kind: Transfer, Subject: player, Because: old.ID, Item: old.Allocation.Item, Takes: true})
	e.Key = c.key("release", []string{player, old.Key}, 0)
	return []Entry{correction, e}
}
