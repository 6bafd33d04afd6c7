package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"photofinish/rules"
	"photofinish/rules/hour"
	"photofinish/settle"
)

// How the settlement waits.
const (
	// nap bounds a sleep, so that a clock that is set is noticed: sleeping goes by a
	// clock that nobody can set.
	nap = 10 * time.Second
	// firstAgain and lastAgain are the waits after a run that failed, doubled each time.
	firstAgain = time.Second
	lastAgain  = time.Minute
	// slowRun is after how long a run that goes on is told of, and again each time.
	slowRun = 10 * time.Minute
)

// Plan is what the settlement works by.
type Plan struct {
	Rules    *rules.Ruleset // nil: nothing is settled
	Schedule Schedule
	Hour     hour.Config
}

// Settler settles everything that is due, as settle.Settler does.
type Settler interface {
	Run(ctx context.Context, set *rules.Ruleset, now hour.Now) (settle.Result, error)
}

// Settlement runs settlements by a schedule, one at a time. Whatever was missed is in the
// next run, since a run settles all that is due: so a clock that jumps, or a machine that
// slept, makes one run and not many. Any number of processes may do this at once; they come
// to the same ledger, so a second one is a standby that needs no election.
type Settlement struct {
	opened <-chan struct{}
	make   func(hour.Config) (Settler, error)
	log    *slog.Logger
	now    func() time.Time

	observe func(seconds float64) // told of every run

	plan   atomic.Pointer[Plan]
	change chan struct{} // holds a token after Change

	mu    sync.Mutex
	state SettlementState
}

// SettlementState is how the settlement goes.
type SettlementState struct {
	Idle      bool      // there are no rules
	Running   time.Time // since when a run goes on; zero: none does
	Next      time.Time // when the next run begins
	Success   time.Time // when the last run that succeeded ended; zero: none has yet
	Failures  int       // runs that failed since the last success
	Failed    int       // runs that failed, of all
	Err       error     // of the last run; nil: it succeeded
	Warnings  []string  // of the last run that succeeded
	Last      uint64    // the last cut that this process settled; 0: none
	LastBound rules.Instant
}

// NewSettlement returns a settlement that begins once opened is closed and makes its
// settler, again after a change of the rhythm, with newSettler.
func NewSettlement(plan Plan, opened <-chan struct{}, newSettler func(hour.Config) (Settler, error), log *slog.Logger, now func() time.Time) *Settlement {
	s := &Settlement{opened: opened, make: newSettler, log: log, now: now, observe: func(float64) {}, change: make(chan struct{}, 1)}
	s.plan.Store(&plan)
	s.state.Idle = plan.Rules == nil
	return s
}

// Change makes the next run go by another plan. A run that is under way goes on as it
// began.
func (s *Settlement) Change(plan Plan) {
	s.plan.Store(&plan)
	select {
	case s.change <- struct{}{}:
	default:
	}
}

// State returns how it goes.
func (s *Settlement) State() SettlementState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

func (s *Settlement) set(change func(*SettlementState)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.state)
}

// Settled takes down a cut that the settler has settled.
func (s *Settlement) Settled(cut rules.Cut) {
	s.set(func(state *SettlementState) { state.Last, state.LastBound = cut.Number, cut.Through })
}

// Run settles until ctx is done; then it returns nil. It makes up at once what was missed
// before it began. A run that fails is tried again soon, for ever; only a settler that
// cannot be made ends Run.
func (s *Settlement) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.opened:
	}
	var settler Settler
	var rhythm hour.Config
	due := s.now()
	for {
		plan := s.plan.Load()
		now := s.now()
		if next := plan.Schedule.Next(now); next.Before(due) {
			due = next // the clock was set back, or the plan was changed
		}
		s.set(func(state *SettlementState) { state.Idle, state.Next = plan.Rules == nil, due })
		if plan.Rules == nil || now.Before(due) || ctx.Err() != nil {
			wait := due.Sub(now)
			if plan.Rules == nil {
				wait = nap
			}
			if !s.sleep(ctx, wait) {
				return nil
			}
			continue
		}
		if settler == nil || rhythm != plan.Hour {
			var err error
			if settler, err = s.make(plan.Hour); err != nil {
				return fmt.Errorf("settle: %w", err)
			}
			rhythm = plan.Hour
		}
		s.once(ctx, settler, plan.Rules)
		now = s.now()
		due = plan.Schedule.Next(now)
		if failures := s.State().Failures; failures > 0 {
			if again := now.Add(again(failures)); again.Before(due) {
				due = again
			}
		}
	}
}

// again is how long to wait after so many runs that failed.
func again(failures int) time.Duration {
	return min(firstAgain<<min(failures-1, 10), lastAgain)
}

// sleep waits, not longer than a nap; less when the plan is changed. It reports false when
// ctx is done.
func (s *Settlement) sleep(ctx context.Context, wait time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	timer := time.NewTimer(min(wait, nap))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-s.change:
	}
	return true
}

// once makes one run.
func (s *Settlement) once(ctx context.Context, settler Settler, set *rules.Ruleset) {
	began := s.now()
	s.set(func(state *SettlementState) { state.Running = began })
	stop := s.watch(ctx, began)
	result, err := settler.Run(ctx, set, hour.Now{Mode: hour.Scheduled, T: rules.Instant(began.UnixNano())})
	stop()
	end := s.now()
	if ctx.Err() != nil {
		return // told to stop: the next start goes on from what is recorded
	}
	s.observe(end.Sub(began).Seconds())
	s.set(func(state *SettlementState) {
		state.Running, state.Err = time.Time{}, err
		if err != nil {
			state.Failures++
			state.Failed++
			return
		}
		state.Failures, state.Success, state.Warnings = 0, end, result.Warnings
	})
	for _, w := range result.Warnings {
		s.log.WarnContext(ctx, "settlement warns", "warning", w)
	}
	switch {
	case errors.Is(err, settle.ErrHoles):
		s.log.ErrorContext(ctx, "settlement waits for events that the log lacks", "err", err)
	case err != nil:
		s.log.WarnContext(ctx, "settlement failed and is tried again", "err", err)
	default:
		s.log.InfoContext(ctx, "settlement ran", "cuts", result.Cuts, "entries", result.Entries, "seconds", end.Sub(began).Seconds())
	}
}

// watch tells of a run that takes long, until the function it returns is called.
func (s *Settlement) watch(ctx context.Context, began time.Time) (stop func()) {
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		ticker := time.NewTicker(slowRun)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				s.log.ErrorContext(ctx, "settlement still runs", "since", began, "last_cut", s.State().Last)
			}
		}
	})
	return func() {
		close(done)
		watching.Wait()
	}
}
