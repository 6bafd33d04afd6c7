package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules/rulestest"
	"photofinish/settle/cost"
	"photofinish/settle/settletest"
)

const historiesHelp = `histories settles random histories and holds each, byte for byte, against the
simulation and against verify. A number is a history of each kind, as in the test
TestSimulation of package settle.

  go run ./cmd/bench histories --from 0 --to 300
  go run ./cmd/bench histories --from 0 --to 4000 --jobs 4
  go run ./cmd/bench histories --from 17 --to 18 --wild copies    # one of them alone

Most of the time goes into the settler's statements; where the disk is slow, TMPDIR=/dev/shm
helps. Interrupted, it says from which number to go on. A history that fails is named with
the command that runs it alone, and exit 1.
`

func runHistories(ctx context.Context, args []string) (err error) {
	f := flags("histories", historiesHelp)
	from := f.Int("from", 0, "first number")
	to := f.Int("to", 100, "number to end before")
	wild := f.String("wild", "", "only histories of this kind")
	jobs := f.Int("jobs", 2*runtime.NumCPU(), "histories at once")
	if err := f.Parse(args); err != nil {
		return err
	}
	wilds := slices.Sorted(maps.Keys(rulestest.Wilds()))
	if *wild != "" && !slices.Contains(wilds, *wild) {
		return fmt.Errorf("--wild %q: the kinds are %v", *wild, wilds)
	}
	if *from < 0 || *to < *from || *jobs < 1 {
		return fmt.Errorf("no histories from %d to %d in %d jobs", *from, *to, *jobs)
	}
	if *wild != "" {
		wilds = []string{*wild}
	}
	dir, err := os.MkdirTemp("", "photofinish-bench-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server, err := openEngine(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	h := &histories{meter: meter{cost.Wrap(server.Conn())}, dir: dir, wilds: wilds, from: *from, to: *to}
	return h.run(ctx, *jobs)
}

// histories is a run of them, by several jobs that take the next one each.
type histories struct {
	meter
	dir   string // of the engine
	wilds []string
	from  int
	to    int
	began usage

	mu    sync.Mutex
	taken int          // histories, in the order of their numbers and kinds
	busy  map[int]bool // those being settled, by how many were taken before
	done  int
	shown time.Time
}

// showEvery is how often the progress is printed.
const showEvery = 10 * time.Second

func (h *histories) all() int { return (h.to - h.from) * len(h.wilds) }

// number returns the number of the history before which so many are taken.
func (h *histories) number(taken int) int { return h.from + taken/len(h.wilds) }

// run settles the histories until all are done, one has failed, or ctx is done.
func (h *histories) run(ctx context.Context, jobs int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var err error
	if h.began, err = h.read(ctx); err != nil {
		return err
	}
	h.busy, h.shown = map[int]bool{}, time.Now()
	var wait sync.WaitGroup
	for job := range jobs {
		wait.Go(func() {
			if err := h.work(ctx, fmt.Sprintf("job_%d", job)); err != nil {
				cancel(err)
			}
		})
	}
	wait.Wait()
	h.show(context.WithoutCancel(ctx))
	if h.done < h.all() {
		first := h.taken
		for _, taken := range slices.Collect(maps.Keys(h.busy)) {
			first = min(first, taken)
		}
		fmt.Printf("go on with --from %d --to %d\n", h.number(first), h.to)
		return context.Cause(ctx)
	}
	return nil
}

// work settles one history after the other in a database of its own. It ends without
// an error where another job failed.
func (h *histories) work(ctx context.Context, database string) (err error) {
	s, err := newScene(ctx, h.dir, database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.server.Close()) }()
	for {
		taken, ok := h.take()
		if !ok || ctx.Err() != nil {
			return nil
		}
		number, wild := h.number(taken), h.wilds[taken%len(h.wilds)]
		err := checkHistory(ctx, s.conn.Conn, number, wild)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("history %d of kind %s: %w\nalone: go run ./cmd/bench histories --from %[1]d --to %[4]d --wild %[2]s", number, wild, err, number+1)
		}
		if err != nil {
			return nil // it was interrupted, and whoever did that knows why
		}
		h.finish(ctx, taken)
	}
}

// take returns the next history; false if there is none.
func (h *histories) take() (int, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.taken == h.all() {
		return 0, false
	}
	h.busy[h.taken] = true
	h.taken++
	return h.taken - 1, true
}

func (h *histories) finish(ctx context.Context, taken int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.busy, taken)
	h.done++
	if time.Since(h.shown) > showEvery {
		h.show(ctx)
	}
}

// show prints the progress, and what a history has taken so far.
func (h *histories) show(ctx context.Context) {
	h.shown = time.Now()
	now, err := h.read(ctx)
	if err != nil {
		return // the run has ended, or will say so itself
	}
	used := now.minus(h.began)
	fmt.Printf("%d of %d histories agree, %.2f a second, %.2f s of CPU each\n", h.done, h.all(),
		float64(h.done)/used.wall.Seconds(), used.cpu.Seconds()/float64(max(h.done, 1)))
}

// checkHistory settles one history in a database with empty tables, and empties them.
func checkHistory(ctx context.Context, conn driver.Conn, number int, wild string) error {
	h := rulestest.Random(fatal{}, rand.New(rand.NewPCG(uint64(number), 7)), rulestest.Wilds()[wild])
	if err := settletest.Check(ctx, conn, h, settletest.WayOf(number)); err != nil {
		return err
	}
	tables, err := texts(ctx, conn, "SELECT name FROM system.tables WHERE database = currentDatabase() AND total_rows > 0 ORDER BY name")
	if err != nil {
		return err
	}
	for _, table := range tables {
		if err := conn.Exec(ctx, "TRUNCATE TABLE "+table+" SYNC"); err != nil {
			return fmt.Errorf("empty the table %s: %w", table, err)
		}
	}
	return nil
}

// fatal stands for the test that rulestest asks for: a ruleset that cannot be read is a
// mistake in the program.
type fatal struct{ testing.TB }

func (fatal) Helper() {}

func (fatal) Fatal(args ...any) { panic(fmt.Sprint(args...)) }
