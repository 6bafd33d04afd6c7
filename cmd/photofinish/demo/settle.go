package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"photofinish/announce"
	"photofinish/rules/hour"
	"photofinish/settle"
)

// settle settles the hour that ended last, and loads its report from the ledger.
func (w *World) settle(ctx context.Context) error {
	number := len(w.Hours) + 1
	through := w.now.Add(-step)
	var err error
	switch number {
	case settlersCrashAfter:
		err = w.settleCrashing(ctx)
	case settlersRaceAfter:
		err = w.settleRacing(ctx)
	default:
		err = w.settleOnce(ctx, nil)
	}
	if err != nil {
		return err
	}
	reports, err := w.load(ctx)
	if err != nil {
		return err
	}
	notes := w.chronicle(through)
	switch number {
	case settlersCrashAfter:
		notes = append(notes, clockText(through.Time().Sub(epoch.Time()))+" the settlement crashes at three of its steps, and is started again each time")
	case settlersRaceAfter:
		notes = append(notes, clockText(through.Time().Sub(epoch.Time()))+" two settlements of this hour run at the same time")
	}
	w.Hours = append(w.Hours, Hour{Notes: notes, Report: reports[0]})
	if w.cfg.Each != nil {
		w.cfg.Each(&w.Hours[number-1])
	}
	return nil
}

// load loads the report of the cuts that were settled since the last one.
func (w *World) load(ctx context.Context) ([]announce.Report, error) {
	before := w.cuts
	if err := w.conn.QueryRow(ctx, "SELECT max(number) FROM cuts").Scan(&w.cuts); err != nil {
		return nil, fmt.Errorf("find the last cut: %w", err)
	}
	return announce.Load(ctx, w.conn, announce.Range(before+1, w.cuts))
}

// settleOnce runs a settlement as the hourly job does: with nothing in memory.
// Nodes that lag are recorded, and what they may still change is held.
func (w *World) settleOnce(ctx context.Context, stop func(settle.Step) error) error {
	s, err := settle.New(w.conn, w.log, settle.Config{Stop: stop})
	if err != nil {
		return err
	}
	_, err = s.Run(ctx, w.set, hour.Now{Mode: hour.Scheduled, T: w.now})
	return err
}

// settleCrashing crashes after the cut is recorded, after it is decided, and after
// it is in the ledger; then it runs through.
func (w *World) settleCrashing(ctx context.Context) error {
	for _, at := range []settle.Step{settle.StepCut, settle.StepDecided, settle.StepAppend} {
		err := w.settleOnce(ctx, func(s settle.Step) error {
			if s == at {
				return errCrash
			}
			return nil
		})
		if err == nil {
			return fmt.Errorf("the settlement was to crash at %q and did not", at)
		}
		if !errors.Is(err, errCrash) {
			return err
		}
		w.Faults.SettlerCrashes++
	}
	return w.settleOnce(ctx, nil)
}

// settleRacing runs two settlements that wait for each other twice: both propose
// the cut, and both have decided before either appends.
func (w *World) settleRacing(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	proposing, appending := newMeeting(), newMeeting()
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			err := w.settleOnce(ctx, func(s settle.Step) error {
				switch s {
				case settle.StepPropose:
					return proposing.wait(ctx)
				case settle.StepDecided:
					return appending.wait(ctx)
				}
				return nil
			})
			if err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	w.Faults.SettlerRaces++
	return context.Cause(ctx)
}

// meeting lets two goroutines wait for each other, once.
type meeting struct{ first, both chan struct{} }

func newMeeting() *meeting { return &meeting{make(chan struct{}, 1), make(chan struct{})} }

func (m *meeting) wait(ctx context.Context) error {
	select {
	case m.first <- struct{}{}:
	default:
		close(m.both)
	}
	select {
	case <-m.both:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
