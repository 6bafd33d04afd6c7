package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"photofinish/announce"
	"photofinish/rules"
	"photofinish/settle"
)

// settle settles the hour that ended last, and loads its report from the ledger.
func (w *World) settle(ctx context.Context) error {
	hour := len(w.Hours) + 1
	through := w.now.Add(-step)
	var err error
	switch hour {
	case settlersCrashAfter:
		err = w.settleCrashing(ctx, through)
	case settlersRaceAfter:
		err = w.settleRacing(ctx, through)
	default:
		err = w.settleOnce(ctx, through, nil)
	}
	if err != nil {
		return err
	}
	reports, err := announce.Load(ctx, w.conn, announce.One(uint64(hour)))
	if err != nil {
		return err
	}
	notes := w.chronicle(through)
	switch hour {
	case settlersCrashAfter:
		notes = append(notes, clockText(through.Time().Sub(epoch.Time()))+" the settlement crashes at three of its steps, and is started again each time")
	case settlersRaceAfter:
		notes = append(notes, clockText(through.Time().Sub(epoch.Time()))+" two settlements of this hour run at the same time")
	}
	w.Hours = append(w.Hours, Hour{Notes: notes, Report: reports[0]})
	if w.cfg.Each != nil {
		w.cfg.Each(&w.Hours[hour-1])
	}
	return nil
}

// settleOnce runs a settlement as the hourly job does: with nothing in memory.
// Nodes that lag are recorded, and what they may still change is held.
func (w *World) settleOnce(ctx context.Context, through rules.Instant, stop func(settle.Step) error) error {
	s, err := settle.New(w.conn, w.log, settle.Config{Stop: stop})
	if err != nil {
		return err
	}
	_, err = s.Run(ctx, w.set, settle.Until{Through: through})
	return err
}

// settleCrashing crashes after the cut is recorded, after it is decided, and after
// it is in the ledger; then it runs through.
func (w *World) settleCrashing(ctx context.Context, through rules.Instant) error {
	for _, at := range []settle.Step{settle.StepCut, settle.StepEvidence, settle.StepAppend} {
		err := w.settleOnce(ctx, through, func(s settle.Step) error {
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
	return w.settleOnce(ctx, through, nil)
}

// settleRacing runs two settlements that wait for each other twice: both propose
// the cut, and both have decided before either appends.
func (w *World) settleRacing(ctx context.Context, through rules.Instant) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	proposing, appending := newMeeting(), newMeeting()
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			err := w.settleOnce(ctx, through, func(s settle.Step) error {
				switch s {
				case settle.StepPropose:
					return proposing.wait(ctx)
				case settle.StepEvidence:
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
