package main

import (
	"context"
	"errors"
	"fmt"
)

// maxDuplicates is the limit of M7: CPU beside that of the same events without.
const maxDuplicates = 1.3

// measureDuplicates is M7: what copies and lateness cost a cut.
func measureDuplicates(ctx context.Context, l *lab) (err error) {
	l.section(fmt.Sprintf("M7  the same %s new events, with copies and late ones", grouped(l.slice)))
	l.note("CPU and rows of a cut: the median of %d, after a history of %s. The floor is the cut without copies and late\nones. Copies come on top of the events; late ones are of a day a month before.", l.repeats, grouped(l.slice))
	kinds := []struct {
		what string
		news
	}{
		{"none", news{events: l.slice}},
		{"2 % copies", news{events: l.slice, copies: 50}},
		{"20 % copies", news{events: l.slice, copies: 5}},
		{"5 % late", news{events: l.slice, late: 20}},
		{"20 % copies, 5 % late", news{events: l.slice, copies: 5, late: 20}},
	}
	pasts := make([]*past, len(kinds))
	for i := range kinds {
		s, err := newScene(ctx, l.dir, fmt.Sprintf("copies_%d", i))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, l.leave(ctx, s)) }()
		pasts[i] = &past{scene: s, players: l.players, n: l.slice}
		if _, err := pasts[i].begin(ctx); err != nil {
			return err
		}
	}
	if err := pasts[0].rest(ctx); err != nil {
		return err
	}
	used := make([][]usage, len(kinds))
	for range l.repeats { // in turn, so that whatever else the machine does falls on all
		for i, p := range pasts {
			if err := p.tellNew(ctx, kinds[i].news); err != nil {
				return err
			}
			u, err := p.settle(ctx, p.through)
			if err != nil {
				return err
			}
			used[i] = append(used[i], u)
			if err := p.check(ctx); err != nil {
				return fmt.Errorf("%s: %w", kinds[i].what, err)
			}
		}
	}
	none := median(used[0])
	for i, k := range kinds {
		limit := maxDuplicates
		if i == 0 {
			limit = 0
		}
		l.cpu("  "+k.what+", CPU", median(used[i]), none, limit)
		l.rows("  "+k.what+", rows", median(used[i]).rows, none.rows, 0)
	}
	return pasts[0].wake(ctx)
}
