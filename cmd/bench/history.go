package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"photofinish/rules"
	"photofinish/settle/ledger"
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

// champions are the players of a slice who reach the threshold in it: each has extra
// kills there, so many that no other player has as many.
const (
	champions = 10
	extra     = 50
)

// measureHistory is M6: the same cuts after histories of different lengths.
func measureHistory(ctx context.Context, l *lab) error {
	l.section(fmt.Sprintf("M6  the same new events after histories of %d players on 20 servers", l.players))
	l.note("A history lasts 60 days, half of it on the day of what is new; of that 1 in 101 is late, of a day a month before.")
	l.note("A cut is a whole run with its plan. Rows are what the server read for it; the floor reads each new event once.")
	var all []*pastCuts
	for _, n := range l.histories {
		p := &pastCuts{lab: l, n: n}
		if err := l.in(ctx, fmt.Sprintf("history_%d", n), func(s *scene) error { p.scene = s; return p.run(ctx) }); err != nil {
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
	*scene
	n         uint64 // events of the history
	threshold uint64
	through   rules.Instant
	cuts      []pastCut
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
	if err := p.past(ctx); err != nil {
		return err
	}
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
			memory.stop()
			return err
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

// past tells of the history and settles it in one cut.
func (p *pastCuts) past(ctx context.Context) error {
	half := p.n / 2
	at := fmt.Sprintf("if(e < %d, %d + e * %d, %d + (e - %[1]d) * %[5]d) + cityHash64(e) %% 1000",
		half, day()-60*24*hour, uint64(60*24*hour)/half, day(), uint64(12*hour)/half)
	if err := p.tell(ctx, crowd{at: at, player: p.inTurn(), target: mixed}, p.n, 1_000_000, noon()); err != nil {
		return err
	}
	p.through = noon()
	var most uint64
	const ask = "SELECT max(c) FROM (SELECT count() AS c FROM event_log WHERE target = 'rabbit' GROUP BY player)"
	if err := p.conn.Conn.QueryRow(ctx, ask).Scan(&most); err != nil {
		return err
	}
	p.threshold = most + extra - 10 // others get at most a few kills in all slices
	err := p.rule(ctx, fmt.Sprintf("{id: first, kind: world_first, when: {type: kill, target: rabbit}, threshold: %d, places: 1000, prize: {item: foot}}", p.threshold))
	if err != nil {
		return err
	}
	used, err := p.settle(ctx, p.through)
	if err != nil {
		return err
	}
	p.note("  the first cut, of the whole history: %s, %s rows read", used, grouped(used.rows))
	return p.check(ctx, 0)
}

// inTurn is the player of an event: each has one in every round.
func (p *pastCuts) inTurn() string {
	return fmt.Sprintf("concat('p', leftPad(toString((e + intDiv(e, %d)) %% %[1]d), 7, '0'))", p.players)
}

// mixed is the target of an event: half of each round, and half of each player's events
// in eight rounds, are rabbits.
const mixed = "if(intDiv(e, 4) % 2 = 0, 'rabbit', 'wolf')"

// newEvents tells of the new events of the next hour. The i-th of them is a champion's where
// i is a multiple of a step that gives each champion the extra kills.
func (p *pastCuts) newEvents(ctx context.Context, which int, n uint64) error {
	first := p.told
	i := fmt.Sprintf("(e - %d)", first)
	champion := fmt.Sprintf("(%s %% %d = 0 AND %[1]s < %[3]d)", i, n/(champions*extra), n)
	c := crowd{
		at: fmt.Sprintf("if(%s %% 101 = 100, %d, %d) + %[1]s * %[4]d", i, day()-30*24*hour, p.through, uint64(hour)/(n+n/100+1)),
		player: fmt.Sprintf("if(%s, concat('p', leftPad(toString(%d + intDiv(%s, %d) %% %d), 7, '0')), %s)",
			champion, which*champions, i, n/(champions*extra), champions, p.inTurn()),
		target: "if(" + champion + ", 'rabbit', " + mixed + ")",
	}
	return p.tell(ctx, c, (n+n/100)/2*2, 100_000, p.through+hour)
}

// cut makes and measures one cut.
func (p *pastCuts) cut(ctx context.Context, which int) error {
	c := &p.cuts[which]
	if err := p.rest(ctx); err != nil {
		return err
	}
	first := p.told
	if err := p.newEvents(ctx, which, c.new); err != nil {
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
	p.through += hour
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
	return p.check(ctx, (which+1)*champions)
}

// empty measures cuts in which nothing is new.
func (p *pastCuts) empty(ctx context.Context) error {
	var walls, cpus []time.Duration
	for range 9 {
		p.through += hour
		if err := p.tell(ctx, crowd{}, 0, 1, p.through); err != nil {
			return err
		}
		used, err := p.settle(ctx, p.through)
		if err != nil {
			return err
		}
		walls, cpus = append(walls, used.wall), append(cpus, used.cpu)
	}
	slices.Sort(walls)
	slices.Sort(cpus)
	half := len(walls) / 2
	p.within("  a cut with nothing new, median wall of 9", millis(walls[half]), millis(maxEmpty), walls[half] <= maxEmpty)
	p.note("  it took %s at least, and %s of CPU", millis(walls[0]), millis(cpus[half]))
	return nil
}

// check compares the awards with what the log itself says: who had how many kills when.
// The log has no copies. Everybody who reached the threshold is in a place, and there
// are as many as there should be.
func (p *pastCuts) check(ctx context.Context, awards int) error {
	const ask = `SELECT player, instant_ns
FROM event_log
WHERE target = 'rabbit' AND instant_ns < %d
    AND player IN (SELECT player FROM event_log WHERE target = 'rabbit' AND instant_ns < %[1]d GROUP BY player HAVING count() >= %d)
ORDER BY player, instant_ns
LIMIT 1 OFFSET %d BY player`
	want, err := finishes(ctx, p.conn.Conn, fmt.Sprintf(ask, p.through, p.threshold, p.threshold-1))
	if err != nil {
		return err
	}
	if len(want) != awards {
		return void("%d players reached the threshold, the log was made for %d", len(want), awards)
	}
	return p.awarded(ctx, want)
}

// finish is who reached a threshold when.
type finish struct {
	subject string
	at      rules.Instant
}

// awarded voids the figures if the awards of the rule "first" are not the finishes, in
// the order of their time.
func (s *scene) awarded(ctx context.Context, want []finish) error {
	entries, err := ledger.New(s.conn.Conn).OfRule(ctx, "first")
	if err != nil {
		return err
	}
	var got []finish
	for i := range entries {
		e := &entries[i]
		if e.Kind != rules.KindAward || e.Award.Place != len(got)+1 {
			return void("entry %d of cut %d is %s, want the award of place %d", e.N, e.Cut, e.Kind, len(got)+1)
		}
		got = append(got, finish{e.Award.Claim.Subject, e.Award.Claim.At})
	}
	if !slices.Equal(got, want) {
		return void("the awards are %v, the log says %v", got, want)
	}
	return nil
}
