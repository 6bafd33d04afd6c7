package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The limits of M6.
const (
	maxSpread    = 1.05    // rows of the same cut after histories of different lengths
	maxFresh     = 2.0     // rows of a new process beside those of a running one
	maxHeap      = 300     // MB of this process
	maxSmall     = 200_000 // rows of a cut of few new events
	smallHistory = 10_000_000
	maxEmpty     = 20 * time.Millisecond
)

// measureHistory is M6: the same cuts after histories of different lengths.
func measureHistory(ctx context.Context, l *lab) error {
	l.section(fmt.Sprintf("M6  the same new events after histories of %d players on 20 servers", l.players))
	l.note("A history lasts 60 days, half of it on the day of what is new; of that 1 in 101 is late, of a day a month before.")
	l.note("A cut is a whole run with its plan. Rows are what the server read for it; the floor reads each new event once.")
	var all []*pastCuts
	for _, n := range l.histories {
		p := &pastCuts{lab: l}
		err := l.in(ctx, fmt.Sprintf("history_%d", n), func(s *scene) error {
			p.past = &past{scene: s, players: l.players, n: n}
			return p.run(ctx)
		})
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	if len(all) < 2 {
		return nil
	}
	for i, c := range all[0].cuts {
		least, most := c.rows, c.rows
		for _, p := range all[1:] {
			least, most = min(least, p.cuts[i].rows), max(most, p.cuts[i].rows)
		}
		limit := maxSpread
		if c.new != l.slice || c.fresh {
			limit = 0
		}
		l.rows("most beside least of "+c.what, most, least, limit)
	}
	return nil
}

// pastCuts are the cuts that are measured after one history.
type pastCuts struct {
	*lab
	*past
	cuts []pastCut
}

type pastCut struct {
	what   string
	new    uint64
	merged bool
	fresh  bool // by a settler that starts with it
	usage
}

func (p *pastCuts) run(ctx context.Context) error {
	p.note("\n%s events", grouped(p.n))
	used, err := p.begin(ctx)
	if err != nil {
		return err
	}
	p.note("  the first cut, of the whole history: %s, %s rows read", used, grouped(used.rows))
	small, slice := grouped(p.small), grouped(p.slice)
	p.cuts = []pastCut{
		{what: small + " new, parts as they fell", new: p.small},
		{what: small + " new, parts merged", new: p.small, merged: true},
		{what: slice + " new, parts as they fell", new: p.slice},
		{what: slice + " new, parts merged", new: p.slice, merged: true},
		{what: slice + " new, a process that starts", new: p.slice, fresh: true},
	}
	memory := watchMemory(ctx, p.scene)
	for i := range p.cuts {
		if err := p.cut(ctx, i); err != nil {
			_, stopErr := memory.stop()
			return errors.Join(err, stopErr)
		}
	}
	peak, err := memory.stop()
	if err != nil {
		return err
	}
	p.rows("  a start beside a running process", p.cuts[4].rows, p.cuts[2].rows, maxFresh)
	p.within("  most heap of this process", megabytes(peak.heap), fmt.Sprint(maxHeap), peak.heap <= maxHeap<<20)
	p.note("  most memory resident in this process %s, used by the engine %s", megabytes(peak.resident), megabytes(peak.engine))
	return p.empty(ctx)
}

// cut makes and measures one cut.
func (p *pastCuts) cut(ctx context.Context, which int) error {
	c := &p.cuts[which]
	if err := p.rest(ctx); err != nil {
		return err
	}
	first := p.told
	if err := p.tellNew(ctx, news{events: c.new + c.new/100, late: 101}); err != nil {
		return err
	}
	if c.merged {
		if err := p.wake(ctx); err != nil {
			return err
		}
		if err := p.merge(ctx); err != nil {
			return err
		}
		if err := p.rest(ctx); err != nil {
			return err
		}
	}
	if c.fresh {
		if err := p.restart(ctx); err != nil {
			return err
		}
	}
	var err error
	if c.usage, err = p.settle(ctx, p.through); err != nil {
		return err
	}
	floor, err := p.floor(ctx, fmt.Sprintf("SELECT player, count() FROM arrivals WHERE node IN ('eu', 'us') AND offset > %d GROUP BY player", first/2))
	if err != nil {
		return err
	}
	limit := 0.0
	if c.new == p.small && p.n == smallHistory {
		limit = float64(maxSmall) / float64(floor.rows)
	}
	p.rows("  "+c.what+", rows", c.rows, floor.rows, limit)
	p.cpu("  "+c.what+", CPU", c.usage, floor, 0)
	if err := p.wake(ctx); err != nil {
		return err
	}
	return p.check(ctx)
}

// empty measures cuts in which nothing is new, once the engine has merged what fell.
func (p *pastCuts) empty(ctx context.Context) error {
	if err := p.rest(ctx); err != nil {
		return err
	}
	floor, err := p.bareCut(ctx)
	if err != nil {
		return err
	}
	var runs []usage
	for range 3 * p.repeats {
		p.through += hour
		if err := p.tell(ctx, crowd{}, 0, 1, p.through); err != nil {
			return err
		}
		used, err := p.settle(ctx, p.through)
		if err != nil {
			return err
		}
		runs = append(runs, used)
	}
	half := median(runs)
	p.cpu("  a cut with nothing new, CPU, beside a bare cut", half, floor, 0)
	slices.SortFunc(runs, func(a, b usage) int { return cmp.Compare(a.wall, b.wall) })
	wall := runs[(len(runs)-1)/2].wall
	p.within(fmt.Sprintf("  a cut with nothing new, median wall of %d", len(runs)), millis(wall), millis(maxEmpty), wall <= maxEmpty)
	p.note("  %d statements; the fastest took %s, a bare cut %s", half.sent, millis(runs[0].wall), millis(floor.wall))
	return p.wake(ctx)
}
