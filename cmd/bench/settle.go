package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

const settleHelp = `settle measures what a cut costs beside its floor, in rows read and CPU seconds, on
logs that are made inside the engine. Wrong answers void the figures and exit 1.

  go run ./cmd/bench settle                                  # everything, up to 100,000,000 events
  go run ./cmd/bench settle --history 1000000,10000000       # M6 without the longest history
  go run ./cmd/bench settle --only M5,M7                     # some of it
  go run ./cmd/bench settle --only M6 --keep DIR             # leave the databases in DIR

  M5      the first to the N-th event of 10 M, 2 % of them copies, in 40 parts: ≤ 1.5 × a plain count
  M6      the same new events after histories of several lengths: rows within 5 %
  M7      copies and late events: ≤ 1.3 × the same without
  M9      the top 100 of 200 boards at their close: ≤ 1.2 × a bare group-by
  growth  n/4, n/2 and n achievers, conflicts, tied claims and rules: no faster than n log n
`

// measures are what can be measured, by name, in order.
func measures() []measure {
	return []measure{{"M5", measureNth}, {"M6", measureHistory}, {"M7", measureDuplicates}, {"M9", measureBoards}, {"growth", measureGrowth}}
}

type measure struct {
	name string
	run  func(context.Context, *lab) error
}

// lab is a run of measures in one engine, and how large they are.
type lab struct {
	report
	dir  string // of the engine
	keep bool   // the databases
	sizes
}

// sizes are how many events and subjects the measures have.
type sizes struct {
	histories []uint64 // events, M6
	players   uint64
	slice     uint64 // new events, M6 and M7
	small     uint64 // new events, M6
	nth       uint64 // events, M5
	boards    uint64 // events, M9
	targets   uint64 // M9; for each there is a board on each server
	repeats   int    // of a cut of M7, and thrice of an empty one of M6
	doublings int    // growth
	achievers uint64 // growth, as those that follow
	conflicts uint64
	ties      uint64
	rules     uint64
}

func fullSizes() sizes {
	return sizes{
		histories: []uint64{1_000_000, 10_000_000, 100_000_000}, players: 100_000, slice: 1_000_000, small: 10_000,
		nth: 10_000_000, boards: 10_000_000, targets: 10, repeats: 3, doublings: 2, achievers: 100_000, conflicts: 100_000, ties: 20_000, rules: 1000,
	}
}

func runSettle(ctx context.Context, args []string) (err error) {
	f := flags("settle", settleHelp)
	l := &lab{report: report{w: os.Stdout}, sizes: fullSizes()}
	history := f.String("history", "1000000,10000000,100000000", "events before those that are measured, M6")
	only := f.String("only", "", "names of what to measure; empty is everything")
	scale := f.Uint64("scale", 1, "divide the number of events and subjects of everything but --history by it; figures count at 1")
	f.StringVar(&l.dir, "keep", "", "folder for the engine's data, which is left there")
	if err := f.Parse(args); err != nil {
		return err
	}
	if l.histories, err = numbers(*history); err != nil {
		return err
	}
	if *scale == 0 {
		return errors.New("--scale must be at least 1")
	}
	l.divide(*scale)
	chosen := measures()
	if *only != "" {
		names := strings.Split(*only, ",")
		chosen = slices.DeleteFunc(chosen, func(m measure) bool { return !slices.Contains(names, m.name) })
		if len(chosen) != len(names) {
			return fmt.Errorf("--only %q: the names are M5, M6, M7, M9 and growth", *only)
		}
	}
	l.keep = l.dir != ""
	closeEngine, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeEngine()) }()
	for _, m := range chosen {
		if err := m.run(ctx, l); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	l.note("\nAll answers are right. %d figures are over their limit.", l.over)
	return nil
}

// open starts the engine of the lab.
func (l *lab) open(ctx context.Context) (func() error, error) {
	dir, remove := l.dir, func() error { return nil }
	if dir == "" {
		made, err := os.MkdirTemp("", "photofinish-bench-*")
		if err != nil {
			return nil, err
		}
		l.dir, remove = made, func() error { return os.RemoveAll(made) }
	}
	server, err := openEngine(ctx, l.dir)
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	return func() error { return errors.Join(server.Close(), remove()) }, nil
}

// in runs work in a database of its own.
func (l *lab) in(ctx context.Context, name string, work func(*scene) error) (err error) {
	s, err := newScene(ctx, l.dir, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.leave(ctx, s)) }()
	return work(s)
}

// leave ends a scene, and takes its database away unless databases are kept.
func (l *lab) leave(ctx context.Context, s *scene) error {
	if l.keep {
		return s.server.Close()
	}
	return s.drop(ctx)
}

// divide makes all sizes but those of histories smaller, for development.
func (s *sizes) divide(by uint64) {
	for _, n := range []*uint64{&s.players, &s.slice, &s.small, &s.nth, &s.boards, &s.achievers, &s.conflicts, &s.ties, &s.rules} {
		*n /= by
	}
}

// numbers reads whole numbers separated by commas.
func numbers(text string) ([]uint64, error) {
	var all []uint64
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("%q is not a list of numbers from 1 on", text)
		}
		all = append(all, n)
	}
	return all, nil
}
