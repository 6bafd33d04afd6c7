package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"photofinish/rules"
	"photofinish/settle"
	"photofinish/settle/ledger"
)

// noise is by how much a step may grow faster than n log n before it is said to. Less
// than a trifle is not looked at.
const (
	noise        = 1.25
	trifleCPU    = 100 * time.Millisecond
	trifleAllocs = 20_000 // objects: other goroutines allocate as well
)

// growing is something of which a cut has n.
type growing struct {
	name  string
	most  uint64
	tell  func(n uint64) (c crowd, rows uint64)
	rules func(n uint64) []string
	check func(ctx context.Context, s *scene, n uint64) error
}

// measureGrowth measures a cut that has n/4, n/2 and n of something, step by step.
func measureGrowth(ctx context.Context, l *lab) error {
	for _, g := range l.growths() {
		l.note("\nGrowth with %s\n%-14s%-10s%14s%11s%14s%10s%10s", g.name, "step", "n", "rows read", "CPU", "allocations", "CPU grew", "at most")
		var before []usage
		for i := range l.doublings + 1 {
			n := g.most >> (l.doublings - i)
			var steps []usage
			err := l.in(ctx, fmt.Sprintf("growth_%s_%d", strings.ReplaceAll(g.name, " ", "_"), n), func(s *scene) (err error) {
				steps, err = g.run(ctx, s, n)
				return err
			})
			if err != nil {
				return fmt.Errorf("%d %s: %w", n, g.name, err)
			}
			l.grown(n, steps, before)
			before = steps
		}
	}
	return nil
}

// run settles one cut that has n of it and returns what its steps used.
func (g *growing) run(ctx context.Context, s *scene, n uint64) ([]usage, error) {
	s.lapped = true
	c, rows := g.tell(n)
	if err := s.tell(ctx, c, (rows+1)/2*2, 1_000_000, noon()); err != nil {
		return nil, err
	}
	if err := s.rule(ctx, g.rules(n)...); err != nil {
		return nil, err
	}
	if err := s.rest(ctx); err != nil {
		return nil, err
	}
	if _, err := s.settle(ctx, noon()); err != nil {
		return nil, err
	}
	if err := s.wake(ctx); err != nil {
		return nil, err
	}
	return []usage{
		s.lap(settle.StepCut, settle.StepTaken), s.lap(settle.StepTaken, settle.StepDecided), s.lap(settle.StepDecided, settle.StepAppend),
	}, g.check(ctx, s, n)
}

// grown prints the steps of a cut beside those of one with half as many: each may grow
// as n log n does, and a little more for noise, in rows, CPU and allocations.
func (l *lab) grown(n uint64, steps, before []usage) {
	most := 2 * math.Log2(float64(n)) / math.Log2(float64(n)/2) * noise
	for i, name := range []string{"taken in", "decided", "appended"} {
		u := steps[i]
		grew, verdict, limit := "", "", ""
		if before != nil {
			b := before[i]
			grew, limit = times(float64(u.cpu)/float64(b.cpu)), times(most)
			verdict = l.verdict((float64(u.cpu) <= most*float64(b.cpu) || u.cpu < trifleCPU) &&
				(float64(u.allocs) <= most*float64(b.allocs) || u.allocs < trifleAllocs) && float64(u.rows) <= most*float64(b.rows))
		}
		l.note("%-14s%-10s%14s%11s%14s%10s%10s %s", name, grouped(n), grouped(u.rows), seconds(u.cpu), grouped(u.allocs), grew, limit, verdict)
	}
}

// growths are what a cut may have many of.
func (l *lab) growths() []growing {
	inTurn := func(n uint64) string { return fmt.Sprintf("concat('p', toString(e %% %d))", n) }
	at := fmt.Sprintf("%d + e", day())
	return []growing{
		{
			name: "achievers", most: l.achievers,
			tell: func(n uint64) (crowd, uint64) { return crowd{at: at, player: inTurn(n)}, 2 * n },
			rules: func(uint64) []string {
				return []string{"{id: first, kind: achievement, when: {type: kill}, threshold: 2, prize: {item: foot}}"}
			},
			check: has(rules.KindAward),
		},
		{
			name: "conflicts", most: l.conflicts,
			tell: func(n uint64) (crowd, uint64) {
				id := "leftPad(toString(intDiv(e, 2)), 12, '0')"
				return crowd{at: at, player: inTurn(2 * n), server: "'eu-0'", id: id}, 2 * n
			},
			rules: func(uint64) []string {
				return []string{"{id: first, kind: world_first, when: {type: kill}, threshold: 2, prize: {item: foot}}"}
			},
			check: has(rules.KindConflict),
		},
		{
			name: "tied claims", most: l.ties,
			tell: func(n uint64) (crowd, uint64) {
				return crowd{at: fmt.Sprint(int64(day())), seq: "0", player: inTurn(n)}, n
			},
			rules: func(uint64) []string {
				return []string{"{id: first, kind: world_first, when: {type: kill}, threshold: 1, tie: share, prize: {item: foot}}"}
			},
			check: has(rules.KindAward),
		},
		{
			name: "rules", most: l.rules,
			tell: func(n uint64) (crowd, uint64) {
				return crowd{at: at, player: "'ana'", target: fmt.Sprintf("concat('t', toString(e %% %d))", n)}, 10 * n
			},
			rules: func(n uint64) []string {
				var all []string
				for i := range n {
					all = append(all, fmt.Sprintf("{id: r%d, kind: world_first, when: {type: kill, target: t%[1]d}, threshold: 10, prize: {item: foot}}", i))
				}
				return all
			},
			check: has(rules.KindAward),
		},
	}
}

// has returns a check that the first cut has n entries of a kind, for different subjects,
// rules or identities, and no others.
func has(kind rules.EntryKind) func(context.Context, *scene, uint64) error {
	return func(ctx context.Context, s *scene, n uint64) error {
		entries, err := ledger.New(s.conn.Conn).Entries(ctx, 1)
		if err != nil {
			return err
		}
		different := map[string]bool{}
		for i := range entries[:len(entries)-1] {
			e := &entries[i]
			if e.Kind != kind {
				return void("entry %d is %s, want %s", i, e.Kind, kind)
			}
			name := e.Rule + " " + e.Subject()
			if e.Conflict != nil {
				name = e.Conflict.ID
			}
			different[name] = true
		}
		if uint64(len(different)) != n {
			return void("the cut has %d different entries of kind %s, want %d", len(different), kind, n)
		}
		return nil
	}
}
