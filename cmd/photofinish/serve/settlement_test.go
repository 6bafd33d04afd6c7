package serve

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"photofinish/rules"
	"photofinish/rules/hour"
	"photofinish/settle"
)

// runs is a settler that takes down when it ran.
type runs struct {
	mu       sync.Mutex
	at       []string
	fails    int           // how many runs fail, from the first on
	takes    time.Duration // each run
	underWay int
	overlap  bool
}

func (r *runs) Run(ctx context.Context, _ *rules.Ruleset, now hour.Now) (settle.Result, error) {
	r.mu.Lock()
	r.underWay++
	r.overlap = r.overlap || r.underWay > 1
	r.at = append(r.at, now.T.Time().Format("15:04:05"))
	fails := len(r.at) <= r.fails
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.underWay--
	}()
	select {
	case <-time.After(r.takes):
	case <-ctx.Done():
		return settle.Result{}, ctx.Err()
	}
	if fails {
		return settle.Result{}, errors.New("the store is down")
	}
	return settle.Result{}, nil
}

// logBuffer keeps what is logged.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// world is a settlement under a clock that the test sets.
type world struct {
	*Settlement
	runs  runs
	log   logBuffer
	shift atomic.Int64 // nanoseconds, of the clock, from that of the bubble, which begins 2000-01-01 00:00 UTC
	stop  func() error
}

func begin(t *testing.T, schedule string, delay time.Duration, set *rules.Ruleset, change func(*world)) *world {
	t.Helper()
	w := &world{}
	if change != nil {
		change(w)
	}
	s, err := ParseSchedule(schedule, delay)
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan struct{})
	close(opened)
	w.Settlement = NewSettlement(Plan{Rules: set, Schedule: s}, opened, func(hour.Config) (Settler, error) { return &w.runs, nil },
		slog.New(slog.NewTextHandler(&w.log, nil)), func() time.Time { return time.Now().Add(time.Duration(w.shift.Load())) })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	synctest.Wait()
	w.stop = func() error { cancel(); return <-ended }
	return w
}

// wait lets time go by.
func (w *world) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) ran(t *testing.T, want ...string) {
	t.Helper()
	w.runs.mu.Lock()
	defer w.runs.mu.Unlock()
	if !slices.Equal(w.runs.at, want) {
		t.Errorf("runs at %v, want %v", w.runs.at, want)
	}
	if w.runs.overlap {
		t.Error("two runs at once")
	}
}

// One run at the start makes up what was missed; then one follows each hour after the delay.
func TestHourly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, "@hourly", 2*time.Minute, &rules.Ruleset{}, nil)
		w.wait(3 * time.Hour)
		w.ran(t, "00:00:00", "00:02:00", "01:02:00", "02:02:00")
		if s := w.State(); s.Next.UTC().Format("15:04") != "03:02" || s.Failures != 0 || s.Success.IsZero() {
			t.Errorf("the state is %+v", s)
		}
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A clock that jumps ahead by hours makes one run, not one for each; one that is set back
// does not stop the runs until it has caught up.
func TestClockJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, "@hourly", 0, &rules.Ruleset{}, nil)
		w.wait(30 * time.Minute)
		w.ran(t, "00:00:00")
		w.shift.Store(int64(5 * time.Hour))
		w.wait(nap)
		w.ran(t, "00:00:00", "05:30:10")
		w.wait(time.Hour)
		w.ran(t, "00:00:00", "05:30:10", "06:00:00")
		w.shift.Store(0)
		w.wait(time.Hour)
		w.ran(t, "00:00:00", "05:30:10", "06:00:00", "02:00:00")
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A run that takes longer than the schedule's step is not joined by another: the next one
// begins with the next instant after it.
func TestRunsDoNotOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, "@every 5s", 0, &rules.Ruleset{}, func(w *world) { w.runs.takes = 12 * time.Second })
		w.wait(30 * time.Second)
		w.ran(t, "00:00:00", "00:00:17")
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A run that fails is tried again after 1, 2, 4 … seconds, and the state says why.
func TestFailedRunsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, "@hourly", 0, &rules.Ruleset{}, func(w *world) { w.runs.fails = 3 })
		w.wait(5 * time.Second)
		w.ran(t, "00:00:00", "00:00:01", "00:00:03")
		if s := w.State(); s.Failures != 3 || s.Err == nil {
			t.Errorf("the state is %+v", s)
		}
		w.wait(30 * time.Minute)
		w.ran(t, "00:00:00", "00:00:01", "00:00:03", "00:00:07")
		if s := w.State(); s.Failures != 0 || s.Failed != 3 || s.Err != nil {
			t.Errorf("the state is %+v", s)
		}
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A run that hangs is told of, and can be stopped.
func TestHangingRunIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, "@hourly", 0, &rules.Ruleset{}, func(w *world) { w.runs.takes = 24 * time.Hour })
		w.wait(slowRun + time.Second)
		if !strings.Contains(w.log.String(), "settlement still runs") || w.State().Running.IsZero() {
			t.Errorf("the state is %+v, the log says %s", w.State(), w.log.String())
		}
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
}

// Without rules nothing runs; with the first ones a run begins at once.
func TestNoRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, "@hourly", 0, nil, nil)
		w.wait(90 * time.Minute)
		w.ran(t)
		if !w.State().Idle {
			t.Errorf("the state is %+v", w.State())
		}
		plan := *w.plan.Load()
		plan.Rules = &rules.Ruleset{}
		w.Change(plan)
		synctest.Wait()
		w.ran(t, "01:30:00")
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
}
