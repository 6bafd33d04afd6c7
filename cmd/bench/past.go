package main

import (
	"context"
	"fmt"

	"photofinish/rules"
)

// champions are the players of a slice who reach the threshold in it: each has extra
// kills there, so that no other player has as many.
const (
	champions = 10
	extra     = 50
)

// past is a scene with a history, after which new events come hour by hour.
type past struct {
	*scene
	players   uint64
	n         uint64 // events of the history
	events    uint64 // that were told so far
	slices    int    // likewise
	threshold uint64
	through   rules.Instant // of the last cut, or of what was told after it
}

// begin tells of the history and settles it in one cut, by one rule. A history lasts
// sixty days, and half of it the morning after.
func (p *past) begin(ctx context.Context) (usage, error) {
	half := p.n / 2
	at := fmt.Sprintf("if(e < %d, %d + e * %d, %d + (e - %[1]d) * %[5]d) + cityHash64(e) %% 1000",
		half, day()-60*24*hour, uint64(60*24*hour)/half, day(), uint64(12*hour)/half)
	p.through = noon()
	if err := p.tell(ctx, crowd{at: at, player: p.inTurn(), target: mixed}, p.n, 1_000_000, p.through); err != nil {
		return usage{}, err
	}
	p.events = p.n
	var most uint64
	const ask = "SELECT max(c) FROM (SELECT count() AS c FROM event_log WHERE target = 'rabbit' GROUP BY player)"
	if err := p.conn.Conn.QueryRow(ctx, ask).Scan(&most); err != nil {
		return usage{}, err
	}
	p.threshold = most + extra - 10 // others get fewer kills in all slices together
	err := p.rule(ctx, fmt.Sprintf("{id: first, kind: world_first, when: {type: kill, target: rabbit}, threshold: %d, places: 1000, prize: {item: foot}}", p.threshold))
	if err != nil {
		return usage{}, err
	}
	used, err := p.settle(ctx, p.through)
	if err != nil {
		return usage{}, err
	}
	return used, p.check(ctx)
}

// inTurn is the player of an event: each has one in every round.
func (p *past) inTurn() string {
	return fmt.Sprintf("concat('p', leftPad(toString((e + intDiv(e, %d)) %% %[1]d), 7, '0'))", p.players)
}

// mixed is the target of an event: half of each round, and half of each player's events
// in eight rounds, are rabbits.
const mixed = "if(intDiv(e, 4) % 2 = 0, 'rabbit', 'wolf')"

// news is what is new in an hour.
type news struct {
	events uint64
	late   uint64 // one of so many is of a day a month before; 0: none
	copies uint64 // after so many events follows a copy of an earlier one; 0: none
}

// tellNew tells of the new events of the next hour. The i-th of them is a champion's
// where i is a multiple of a step that gives each champion the extra kills.
func (p *past) tellNew(ctx context.Context, n news) error {
	if n.events < 2*champions*extra || p.players < champions*20 || p.slices == 10 {
		return fmt.Errorf("%d new events of %d players, slice %d: too few or too many for %d champions", n.events, p.players, p.slices+1, champions)
	}
	i := fmt.Sprintf("(e - %d)", p.events)
	step := n.events / (champions * extra)
	champion := fmt.Sprintf("(%s %% %d = 0 AND intDiv(%[1]s, %[2]d) < %d)", i, step, champions*extra)
	when, player := fmt.Sprint(int64(p.through)), p.inTurn()
	if n.late > 0 {
		late := fmt.Sprintf("%s %% %d = %d", i, n.late, n.late-1)
		when = fmt.Sprintf("if(%s, %d, %d)", late, day()-30*24*hour, p.through)
		// What is late is never a champion's, whose award it would correct.
		player = fmt.Sprintf("if(%s, concat('p', leftPad(toString(%d + e %% %d), 7, '0')), %s)", late, champions*10, p.players-champions*10, player)
	}
	c := crowd{
		event: fmt.Sprintf("n - %d + %d", p.told, p.events),
		at:    fmt.Sprintf("%s + %s * %d", when, i, uint64(hour)/n.events),
		player: fmt.Sprintf("if(%s, concat('p', leftPad(toString(%d + intDiv(%s, %d) %% %d), 7, '0')), %s)",
			champion, p.slices*champions, i, step, champions, player),
		target: "if(" + champion + ", 'rabbit', " + mixed + ")",
	}
	rows := n.events
	if n.copies > 0 {
		rows += n.events / n.copies
		row := fmt.Sprintf("(n - %d)", p.told)
		c.event = fmt.Sprintf("%d + if(%s %% %d = %d, intDiv(intDiv(%[2]s, 2), %[3]d) * %[4]d, %[2]s - intDiv(%[2]s, %[3]d))",
			p.events, row, n.copies+1, n.copies)
	}
	p.through += hour
	p.slices++
	if err := p.tell(ctx, c, rows/2*2, 100_000, p.through); err != nil {
		return err
	}
	p.events += n.events
	return nil
}

// check compares the awards with what the log itself says: who had how many kills when,
// each identity once. The champions of all slices reached the threshold and nobody else.
func (p *past) check(ctx context.Context) error {
	want, err := finishes(ctx, p.conn.Conn, nthSQL(p.through, p.threshold))
	if err != nil {
		return err
	}
	if len(want) != p.slices*champions {
		return void("%d players reached the threshold, the log was made for %d", len(want), p.slices*champions)
	}
	return p.awarded(ctx, want)
}

// nthSQL asks the log who killed so many rabbits before an instant, and when, for those
// who have as many rows: each identity once, as any of its copies says.
func nthSQL(through rules.Instant, threshold uint64) string {
	return fmt.Sprintf(`SELECT player, at
FROM
(
    SELECT player, server, id, any(instant_ns) AS at
    FROM event_log
    WHERE target = 'rabbit' AND instant_ns < %d
        AND player IN (SELECT player FROM event_log WHERE target = 'rabbit' AND instant_ns < %[1]d GROUP BY player HAVING count() >= %d)
    GROUP BY player, server, id
)
ORDER BY player, at
LIMIT 1 OFFSET %d BY player`, through, threshold, threshold-1)
}
