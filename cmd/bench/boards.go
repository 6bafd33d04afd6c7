package main

import (
	"context"
	"errors"
	"fmt"

	"photofinish/rules"
	"photofinish/settle/ledger"
)

// The boards of M9: one for each target and server.
const (
	servers   = 20
	top       = 100
	maxBoards = 1.2 // CPU beside a bare group-by
)

// measureBoards is M9: many boards that close at once.
func measureBoards(ctx context.Context, l *lab) error {
	l.section(fmt.Sprintf("M9  the top %d of %d boards, of %s events of a day", top, l.targets*servers, grouped(l.boards)))
	l.note("CPU. The floor groups the same rows by target, server and player and takes the top %d of each.", top)
	return l.in(ctx, "boards", func(s *scene) error {
		c := crowd{
			at:     fmt.Sprintf("%d + e * %d", day(), uint64(23*hour)/l.boards),
			player: fmt.Sprintf("concat('p', leftPad(toString(toUInt64(pow(cityHash64(e) / 18446744073709551616., 3) * %d)), 7, '0'))", l.players),
			target: fmt.Sprintf("concat('t', toString(cityHash64(e, 1) %% %d))", l.targets),
		}
		if err := s.tell(ctx, c, l.boards, 1_000_000, day()+23*hour); err != nil {
			return err
		}
		var boards []string
		for i := range l.targets {
			boards = append(boards, fmt.Sprintf("{id: board-%d, kind: leaderboard, when: {type: kill, target: t%[1]d}, scope: server, window: {every: day}, top: %d}", i, top))
		}
		if err := s.rule(ctx, boards...); err != nil {
			return err
		}
		if err := s.rest(ctx); err != nil {
			return err
		}
		taken, err := s.settle(ctx, day()+23*hour)
		if err != nil {
			return err
		}
		closed, err := s.settle(ctx, day()+24*hour)
		if err != nil {
			return err
		}
		if err := s.boardsRight(ctx); err != nil {
			return err
		}
		floor, err := s.floor(ctx, fmt.Sprintf(`SELECT target, server, groupArraySorted(%d)((-c, player))
FROM (SELECT target, server, player, toInt64(count()) AS c FROM event_log WHERE type = 'kill' GROUP BY target, server, player)
GROUP BY target, server`, top))
		if err != nil {
			return err
		}
		l.cpu("  closed, tallies carried: candidates, evidence, boards", closed, floor, maxBoards)
		l.cpu("  taken in and closed, two cuts", taken.plus(closed), floor, 0)
		l.rows("  rows read by the close", closed.rows, floor.rows, 0)
		return s.wake(ctx)
	})
}

// boardsRight voids the figures if a line of a board is not what the log says.
func (s *scene) boardsRight(ctx context.Context) error {
	const ask = `SELECT concat('board-', substring(target, 2), ' server:', server, ' ', player, ' ', toString(count())) AS line, max(at_ns) AS reached
FROM event_log
GROUP BY target, server, player
ORDER BY target, server, count() DESC, reached
LIMIT 100 BY target, server`
	type line struct {
		text    string
		reached rules.Instant
	}
	want := map[line]bool{}
	rows, err := s.conn.Conn.Query(ctx, ask)
	if err != nil {
		return err
	}
	for rows.Next() {
		var l line
		var at int64
		if err := rows.Scan(&l.text, &at); err != nil {
			return errors.Join(err, rows.Close())
		}
		l.reached = rules.Instant(at)
		want[l] = true
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	found := 0
	for i := range s.set.Rules {
		entries, err := ledger.New(s.conn.Conn).OfRule(ctx, s.set.Rules[i].ID)
		if err != nil {
			return err
		}
		for j := range entries {
			e := &entries[j]
			if e.Board == nil {
				return void("entry %d of cut %d is %s, want a board", e.N, e.Cut, e.Kind)
			}
			for _, l := range e.Board.Lines {
				text := fmt.Sprintf("%s %s %s %s", e.Rule, e.Scope, l.Subject, l.Score)
				if found++; !want[line{text, l.Reached}] {
					return void("the log does not say %q, reached %s", text, l.Reached)
				}
			}
		}
	}
	if found != len(want) {
		return void("the boards have %d lines, the log says %d", found, len(want))
	}
	return nil
}
