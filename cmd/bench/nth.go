package main

import (
	"context"
	"fmt"

	"photofinish/settle"
)

// maxNth is the limit of M5: CPU beside a plain count per player.
const maxNth = 1.5

// measureNth is M5: who is first to the N-th event of a log in 40 parts with copies.
func measureNth(ctx context.Context, l *lab) error {
	threshold := l.nth / 1000
	l.section(fmt.Sprintf("M5  first to %s of %s events, 2 %% copies, 40 parts", grouped(threshold), grouped(l.nth)))
	l.note("CPU. The floor is a plain count() per player over the same rows. Of players there are %s, some with many more\nevents than others.", grouped(l.players))
	return l.in(ctx, "nth", func(s *scene) error {
		s.lapped = true
		if err := s.exec(ctx, "SYSTEM STOP MERGES"); err != nil {
			return err
		}
		c := crowd{
			event:  "if(n % 50 = 49, intDiv(n, 100) * 50 + 1, n)",
			at:     fmt.Sprintf("%d + e * %d", day()-24*24*hour, uint64(24*24*hour)/l.nth), // February
			player: fmt.Sprintf("concat('p', leftPad(toString(toUInt64(pow(cityHash64(e) / 18446744073709551616., 3) * %d)), 7, '0'))", l.players),
		}
		if err := s.tell(ctx, c, l.nth, l.nth/40, noon()); err != nil {
			return err
		}
		rule := func(id string, threshold uint64) error {
			return s.rule(ctx, fmt.Sprintf("{id: %s, kind: world_first, when: {type: kill, target: rabbit}, threshold: %d, prize: {item: foot}}", id, threshold))
		}
		if err := rule("first", threshold); err != nil {
			return err
		}
		whole, err := s.settle(ctx, noon())
		if err != nil {
			return err
		}
		taken, decided := s.lap(settle.StepCut, settle.StepTaken), s.lap(settle.StepTaken, settle.StepDecided)
		want, err := finishes(ctx, s.conn.Conn, nthSQL(noon(), threshold))
		if err != nil {
			return err
		}
		if len(want) == 0 {
			return void("nobody has %d events", threshold)
		}
		if err := s.awarded(ctx, want[:1]); err != nil {
			return err
		}
		if err := rule("another", threshold+1); err != nil {
			return err
		}
		another, err := s.settle(ctx, noon()+hour)
		if err != nil {
			return err
		}
		return l.nthFigures(ctx, s, len(want), threshold, []usage{decided, another, taken, whole})
	})
}

// nthFigures prints what was used by the decision, by another rule, by taking in, and by
// the whole first cut.
func (l *lab) nthFigures(ctx context.Context, s *scene, candidates int, threshold uint64, used []usage) error {
	const from = "\nFROM event_log\nWHERE type = 'kill' AND target = 'rabbit'"
	floor, err := s.floor(ctx, "SELECT player, count()"+from+"\nGROUP BY player")
	if err != nil {
		return err
	}
	l.note("%d players have so many.", candidates)
	l.cpu("  decided, tallies carried: candidates and their evidence", used[0], floor, maxNth)
	l.cpu("  a new rule, nothing new: a start, its backfill, the decision", used[1], floor, maxNth)
	l.cpu("  taken in: slice, identities, tallies of all that is new", used[2], floor, 0)
	l.cpu("  the whole first cut: taken in, decided, appended", used[3], floor, maxNth)
	once := "(SELECT player, instant_ns, server, id" + from + "\nLIMIT 1 BY player, server, id)"
	for _, peer := range []struct{ what, statement string }{
		{"  peer: LIMIT 1 BY identity, then LIMIT 1 OFFSET N-1 BY player", fmt.Sprintf(
			"SELECT player, instant_ns FROM %s ORDER BY player, instant_ns LIMIT 1 OFFSET %d BY player", once, threshold-1)},
		{"  peer: LIMIT 1 BY identity, then row_number", fmt.Sprintf(
			"SELECT player, instant_ns FROM (SELECT player, instant_ns, row_number() OVER (PARTITION BY player ORDER BY instant_ns) AS k FROM %s) WHERE k = %d", once, threshold)},
	} {
		took, err := s.measure(ctx, func() error { return s.conn.Exec(ctx, peer.statement+" FORMAT Null") })
		if err != nil {
			return err
		}
		l.cpu(peer.what, took, floor, 0)
	}
	l.rows("  rows read by the decision", used[0].rows, floor.rows, 0)
	return s.wake(ctx)
}
