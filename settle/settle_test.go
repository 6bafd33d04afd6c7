package settle_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"photofinish/cmd/clickhouse"
	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/rules"
	"photofinish/rules/hour"
	"photofinish/rules/rulefile"
	"photofinish/settle"
	"photofinish/settle/cost"
	"photofinish/settle/ledger"
)

// every settles by another period than the hour.
func every(period time.Duration) settle.Config {
	return settle.Config{Hour: hour.Config{Period: period}}
}

// oneCut is a period longer than any log.
const oneCut = 100 * 365 * 24 * time.Hour

// The oracle's answers come out however the logs get in: in any order, twice, over
// two nodes; and however they are settled: in one step or hour by hour.
func TestAnswers(t *testing.T) {
	inputs, want, through := days(t)
	backwards := slices.Clone(inputs)
	slices.Reverse(backwards)
	for _, test := range []struct {
		name string
		in   func(*world)
		cfg  settle.Config
	}{
		{"one step", func(w *world) { w.importLogs("a", inputs...) }, every(oneCut)},
		{"hour by hour", func(w *world) { w.importLogs("a", inputs...) }, settle.Config{}},
		{"backwards, one by one", func(w *world) {
			for _, in := range backwards {
				w.importLogs("a", in)
			}
		}, settle.Config{}},
		{"twice", func(w *world) {
			first := w.importLogs("a", inputs...)
			again := w.importLogs("a", backwards...)
			if again.Accepted != 0 || again.Duplicates != first.Accepted {
				w.Errorf("the second import: %+v", again)
			}
		}, settle.Config{}},
		{"over two nodes", func(w *world) {
			for i, in := range inputs {
				w.importLogs([]string{"a", "b"}[i%2], in)
			}
		}, settle.Config{}},
		{"copies on two nodes", func(w *world) {
			w.importLogs("a", inputs...)
			w.copyLog("a", "b")
		}, every(6 * time.Hour)},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, clickhousetest.New(t))
			test.in(w)
			w.run(test.cfg, through)
			w.verify()
			differ(t, test.name, w.outcome(), want)
			if again := w.run(test.cfg, through); again.First != 0 {
				t.Errorf("settling again made cuts %d to %d", again.First, again.Last)
			}
		})
	}
}

// copyLog makes the log look as if every event had reached a second node too,
// past the check that an import makes.
func (w *world) copyLog(from, to string) {
	w.Helper()
	for _, statement := range []string{
		"INSERT INTO event_log SELECT * REPLACE ('" + to + "' AS node) FROM event_log WHERE node = '" + from + "'",
		"INSERT INTO arrivals SELECT * REPLACE ('" + to + "' AS node) FROM arrivals WHERE node = '" + from + "'",
		"INSERT INTO identities SELECT * REPLACE ('" + to + "' AS node) FROM identities WHERE node = '" + from + "'",
		"INSERT INTO progress SELECT * REPLACE ('" + to + "' AS node) FROM progress WHERE node = '" + from + "'",
	} {
		if err := w.conn.Exec(context.Background(), statement); err != nil {
			w.Fatal(err)
		}
	}
}

// Two settlers that race come to one ledger, byte for byte that of one alone.
func TestTwoSettlers(t *testing.T) {
	inputs, want, through := days(t)
	alone := newWorld(t, clickhousetest.New(t))
	alone.importLogs("a", inputs...)
	alone.run(settle.Config{}, through)

	w := newWorld(t, clickhousetest.New(t))
	w.importLogs("a", inputs...)
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			if _, err := w.try(settle.Config{}, through); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	w.verify()
	differ(t, "two settlers", w.outcome(), want)
	if !slices.Equal(w.decisions(), alone.decisions()) {
		t.Error("two settlers made another ledger than one")
	}
}

// A settler in whose cut another one comes at any step decides what that one has decided,
// also of an achievement, whose standing is read from the ledger subject by subject.
func TestSecondSettlerAtEachStep(t *testing.T) {
	inputs, _, through := days(t)
	source, err := os.ReadFile("../configs/counter-strike.yaml")
	if err != nil {
		t.Fatal(err)
	}
	set, err := rulefile.Parse("with an achievement", append(source, "  - {id: ten, kind: achievement, when: {type: kill}, threshold: 10}\n"...))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []settle.Step{settle.StepCut, settle.StepDecided} {
		t.Run(string(step), func(t *testing.T) {
			w := newWorld(t, clickhousetest.New(t))
			w.set = set
			w.importLogs("a", inputs...)
			for at := through.Add(-48 * time.Hour); at <= through; at = at.Add(24 * time.Hour) {
				cfg := every(24 * time.Hour)
				cfg.Stop = func(s settle.Step) error {
					if s == step {
						w.run(every(24*time.Hour), at)
					}
					return nil
				}
				w.run(cfg, at)
			}
			w.verify()
		})
	}
}

var errStopped = errors.New("stopped by the test")

// A run that ends between any two writes is resumed by the next one to the ledger
// of a run that was never stopped.
func TestStopAtEachStep(t *testing.T) {
	inputs, want, through := days(t)
	alone := newWorld(t, clickhousetest.New(t))
	alone.importLogs("a", inputs...)
	alone.run(every(12*time.Hour), through)
	for _, step := range settle.Steps() {
		t.Run(string(step), func(t *testing.T) {
			w := newWorld(t, clickhousetest.New(t))
			w.importLogs("a", inputs...)
			stops := 0
			for {
				n := 0
				_, err := w.try(settle.Config{Hour: hour.Config{Period: 12 * time.Hour}, Stop: func(s settle.Step) error {
					if s == step {
						if n++; n == 2 || step == settle.StepRuleset {
							return errStopped
						}
					}
					return nil
				}}, through)
				if err == nil {
					break
				}
				if !errors.Is(err, errStopped) {
					t.Fatal(err)
				}
				if stops++; step == settle.StepRuleset {
					w.run(every(12*time.Hour), through)
					break
				}
			}
			if stops == 0 {
				t.Fatal("the run was never stopped there")
			}
			differ(t, string(step), w.outcome(), want)
			if !slices.Equal(w.decisions(), alone.decisions()) {
				t.Error("the resumed runs made another ledger")
			}
		})
	}
}

// A recorded cut of which rows are gone is not decided from what is left: the run says
// which they are, and the next one, with the rows sent again, comes to the ledger of a
// run that missed nothing.
func TestRecordedCutLacksRows(t *testing.T) {
	inputs, _, through := days(t)
	alone := newWorld(t, clickhousetest.New(t))
	alone.importLogs("a", inputs[0])
	alone.run(every(oneCut), through)

	w := newWorld(t, clickhousetest.New(t))
	w.importLogs("a", inputs[0])
	cfg := every(oneCut)
	cfg.Stop = func(s settle.Step) error {
		if s == settle.StepCut {
			return errStopped
		}
		return nil
	}
	if _, err := w.try(cfg, through); !errors.Is(err, errStopped) {
		t.Fatal(err)
	}
	run := func(statement string) {
		t.Helper()
		if err := w.conn.Exec(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	run("CREATE TABLE aside AS arrivals")
	run("INSERT INTO aside SELECT * FROM arrivals WHERE offset BETWEEN 11 AND 13")
	run("DELETE FROM arrivals WHERE offset BETWEEN 11 AND 13")
	before := len(w.ledger())
	_, err := w.try(every(oneCut), through)
	if !errors.Is(err, settle.ErrHoles) || !strings.Contains(err.Error(), "offsets 11 to 13 of node a") {
		t.Fatalf("the error is %v", err)
	}
	if n := len(w.ledger()); n != before {
		t.Fatalf("%d entries were written", n-before)
	}
	run("INSERT INTO arrivals SELECT * FROM aside")
	w.run(every(oneCut), through)
	if !slices.Equal(w.decisions(), alone.decisions()) {
		t.Error("the healed log made another ledger")
	}
}

// What a node counted before the engine was restarted is not read until it was counted
// again; then it is decided as if nothing had happened.
func TestCountedBeforeARestart(t *testing.T) {
	inputs, _, through := days(t)
	alone := newWorld(t, clickhousetest.New(t))
	alone.importLogs("a", inputs[0])
	alone.run(every(oneCut), through)
	w := newWorld(t, clickhousetest.New(t))
	w.importLogs("a", inputs[0])
	if err := w.conn.Exec(context.Background(), "TRUNCATE TABLE life"); err != nil { // as a restart does
		t.Fatal(err)
	}
	if r := w.run(every(oneCut), through); r.Cuts != 0 || len(r.Warnings) != 1 {
		t.Fatalf("%+v", r)
	}
	w.importLogs("a", inputs[0]) // again: only duplicates, and its node counts
	w.run(every(oneCut), through)
	if !slices.Equal(w.decisions(), alone.decisions()) {
		t.Error("the log that was counted again made another ledger")
	}
}

// Offsets that are named as lost and as void, or as lost twice, are skipped once: they
// hide no hole behind them.
func TestHoleBehindOverlappingSpans(t *testing.T) {
	inputs, _, through := days(t)
	for _, spans := range []string{"[(3, 4)] AS lost, [(3, 4)] AS void", "[(3, 4), (3, 4)] AS lost"} {
		w := newWorld(t, clickhousetest.New(t))
		w.importLogs("a", inputs[0])
		for _, statement := range []string{
			"DELETE FROM arrivals WHERE offset IN (3, 4, 20, 21)",
			"INSERT INTO progress SELECT * REPLACE (published + 1 AS published, " + spans + ") FROM progress ORDER BY published DESC LIMIT 1",
		} {
			if err := w.conn.Exec(context.Background(), statement); err != nil {
				t.Fatal(err)
			}
		}
		w.run(every(oneCut), through)
		cuts, err := ledger.New(w.conn).Cuts(context.Background(), 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		if line := cuts[0].Nodes[0]; line.Offset != 19 {
			t.Errorf("with %s the line ends at %d, want 19", spans, line.Offset)
		}
	}
}

// store is one of which a power cut took something, or did not.
type store struct {
	intact   bool
	restored int
}

func (s *store) Intact() bool { return s.intact }

func (s *store) Restored() error {
	s.intact = true
	s.restored++
	return nil
}

// Every cut says in the log what it has cost; together that is what the run has cost.
func TestCostOfEachCut(t *testing.T) {
	inputs, _, through := days(t)
	w := newWorld(t, clickhousetest.New(t))
	w.importLogs("a", inputs...)
	conn := cost.Wrap(w.conn)
	var text strings.Builder
	s, err := settle.New(conn, slog.New(slog.NewJSONHandler(&text, nil)), every(48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	result, err := s.Run(context.Background(), w.set, hour.Now{Mode: hour.Through, T: through})
	if err != nil {
		t.Fatal(err)
	}
	var sum cost.Cost
	cuts := 0
	for line := range strings.Lines(text.String()) {
		var said struct {
			Msg       string
			Queries   uint64
			RowsRead  uint64 `json:"rows_read"`
			BytesRead uint64 `json:"bytes_read"`
		}
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Fatal(err)
		}
		if said.Msg != "cut settled" {
			continue
		}
		if cuts++; said.Queries == 0 || said.RowsRead == 0 || said.BytesRead == 0 {
			t.Errorf("a cut that cost nothing: %s", line)
		}
		sum.Queries, sum.RowsRead, sum.BytesRead = sum.Queries+said.Queries, sum.RowsRead+said.RowsRead, sum.BytesRead+said.BytesRead
	}
	total := conn.Meter.Total()
	if cuts != result.Cuts || sum.RowsRead > total.RowsRead || total.Queries-sum.Queries > 5 { // the last plan finds nothing due
		t.Errorf("%d of %d cuts cost %+v, the run %+v", cuts, result.Cuts, sum, total)
	}
}

// A start restores what may have been lost, and says so; where nothing was lost it does
// not take in again what is settled.
func TestStartRestores(t *testing.T) {
	inputs, _, through := days(t)
	w := newWorld(t, clickhousetest.New(t))
	w.importLogs("a", inputs...)
	st := &store{intact: true}
	cfg := every(24 * time.Hour)
	cfg.Store = st
	const day = rules.Instant(24 * time.Hour)
	w.run(cfg, through-3*day)
	for n := range 3 {
		if err := w.conn.Exec(context.Background(), "TRUNCATE TABLE touches"); err != nil {
			t.Fatal(err)
		}
		st.intact, st.restored = n != 1, 0
		last := w.run(cfg, through-day*rules.Instant(2-n)).First - 1
		var again uint64
		if err := w.conn.QueryRow(context.Background(), fmt.Sprint("SELECT count() FROM touches WHERE cut = ", last)).Scan(&again); err != nil {
			t.Fatal(err)
		}
		if restored := again > 0; restored != (n == 1) || st.restored > 0 != restored {
			t.Errorf("run %d wrote %d touches of the settled cut %d, and said so %d times", n+1, again, last, st.restored)
		}
	}
	w.verify()
}

const (
	killDir  = "PFTEST_SETTLE_DIR"
	killStep = "PFTEST_SETTLE_STEP"
	killTo   = "PFTEST_SETTLE_THROUGH"
)

// settleAndDieIfAsked is the other process of TestKillAtEachStep: it settles and
// kills itself when it reaches the step for the second time.
func settleAndDieIfAsked() {
	dir := os.Getenv(killDir)
	if dir == "" {
		return
	}
	err := func() error {
		ctx := context.Background()
		server, err := clickhouse.Open(ctx, clickhouse.Config{Dir: dir}, quiet())
		if err != nil {
			return err
		}
		n := 0
		s, err := settle.New(server.Conn(), quiet(), settle.Config{Stop: func(step settle.Step) error {
			if string(step) == os.Getenv(killStep) {
				if n++; n == 2 || step == settle.StepRuleset {
					return syscall.Kill(os.Getpid(), syscall.SIGKILL)
				}
			}
			return nil
		}})
		if err != nil {
			return err
		}
		source, err := os.ReadFile("../configs/counter-strike.yaml")
		if err != nil {
			return err
		}
		set, err := rulefile.Parse("counter-strike.yaml", source)
		if err != nil {
			return err
		}
		to, err := strconv.ParseInt(os.Getenv(killTo), 10, 64)
		if err != nil {
			return err
		}
		_, err = s.Run(ctx, set, hour.Now{Mode: hour.Through, T: rules.Instant(to)})
		return err
	}()
	fmt.Println("settled without being killed:", err)
	os.Exit(0)
}

// A settling process that is killed (-9) at each step, over and over, leaves what
// the next one finishes; and so does ClickHouse itself.
func TestKillAtEachStep(t *testing.T) {
	inputs, want, through := days(t)
	dir := t.TempDir()
	server := clickhousetest.Start(t, dir)
	w := newWorld(t, server.Conn())
	w.importLogs("a", inputs...)
	killed := 0
	for range 2 {
		for _, step := range settle.Steps() {
			cmd := exec.Command(os.Args[0], "-test.run=^$")
			cmd.Env = append(os.Environ(), killDir+"="+dir, killStep+"="+string(step), killTo+"="+strconv.FormatInt(int64(through), 10))
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || !strings.Contains(exit.String(), "killed") {
				t.Fatalf("at %q: the process was not killed: %v\n%s", step, err, out)
			}
			killed++
		}
	}
	w.run(settle.Config{}, through)
	w.verify()
	differ(t, "killed", w.outcome(), want)
	t.Logf("killed %d times", killed)
}

// Evidence that comes after it was needed is taken in by corrections: the awards
// end as if it had been there, and every change is in the report.
func TestLateEvidence(t *testing.T) {
	inputs, want, through := days(t)
	w := newWorld(t, clickhousetest.New(t))
	for i, in := range inputs {
		if i == 0 || i == 2 || i == 4 {
			w.importLogs("a", in)
		}
	}
	w.run(settle.Config{}, through)
	before := w.standings()
	for i, in := range inputs {
		if i == 1 || i == 3 || i == 5 || i == 6 {
			w.importLogs("a", in)
		}
	}
	result := w.run(settle.Config{}, through)
	after := w.standings()
	w.verify()
	differ(t, "late evidence", w.outcome(), want)
	late, corrected, compensations, corrections := uint64(0), map[string]bool{}, 0, 0
	for _, e := range w.entries() {
		switch e.Kind {
		case rules.KindSettled:
			late = e.Settled.Late
		case rules.KindCorrection:
			corrected[e.Correction.Corrects] = true
			corrections++
		case rules.KindCompensation:
			compensations++
		}
		if e.Award != nil && e.Award.Refines != "" {
			corrected[e.Award.Refines] = true
		}
		if e.Board != nil && e.Board.Refines != "" {
			corrected[e.Board.Refines] = true
		}
	}
	if result.First != result.Last || late == 0 {
		t.Errorf("cuts %d to %d took %d late events in, want one cut with some", result.First, result.Last, late)
	}
	// Whatever was announced and no longer stands is named by a correction or refinement.
	changed := 0
	for _, id := range slices.SortedFunc(maps.Keys(before), rules.ContestID.Compare) {
		was, is := before[id], after[id]
		for _, e := range was.Awards() {
			if !slices.ContainsFunc(is.Awards(), func(a rules.Entry) bool { return a.ID == e.ID }) {
				if changed++; !corrected[e.ID] {
					t.Errorf("%s place %d of %s changed silently", e.Rule, e.Award.Place, e.Award.Claim.Subject)
				}
			}
		}
		if b := was.Board(); b != nil && is.Board().ID != b.ID {
			if changed++; !corrected[b.ID] {
				t.Errorf("the board %s of %s changed silently", b.Rule, b.Window.Opens)
			}
		}
	}
	if changed == 0 || compensations == 0 {
		t.Errorf("%d outcomes changed, %d compensations: the test shows nothing", changed, compensations)
	}
	t.Logf("%d outcomes changed, %d corrections and %d compensations", changed, corrections, compensations)
}

// Rows of a recorded cut are gone, and the node has named them as lost since: the cut is
// settled without them, which its last entry names, and verify decides the same. It stays so
// when the rows turn up after all, and for a settler that starts then.
func TestRecordedCutLostRows(t *testing.T) {
	inputs, _, through := days(t)
	w := newWorld(t, clickhousetest.New(t))
	w.importLogs("a", inputs[0])
	cfg := every(oneCut)
	cfg.Stop = func(s settle.Step) error {
		if s == settle.StepCut {
			return errStopped
		}
		return nil
	}
	if _, err := w.try(cfg, through); !errors.Is(err, errStopped) {
		t.Fatal(err)
	}
	run := func(statement string) {
		t.Helper()
		if err := w.conn.Exec(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	tables := []string{"arrivals", "event_log", "identities"}
	for _, table := range tables {
		run("CREATE TABLE aside_" + table + " AS " + table)
		run("INSERT INTO aside_" + table + " SELECT * FROM " + table + " WHERE offset IN (11, 12, 13, 40)")
		run("DELETE FROM " + table + " WHERE offset IN (11, 12, 13, 40)")
	}
	publishAs := func(column, spans string) {
		t.Helper()
		run("INSERT INTO progress SELECT * REPLACE (published + 1 AS published, " + spans + "::Array(Tuple(first UInt64, last UInt64)) AS " + column + ") " +
			"FROM progress ORDER BY published DESC LIMIT 1")
	}
	publish := func(lost string) {
		t.Helper()
		publishAs("lost", lost)
	}
	publishAs("void", "[(11, 13), (40, 40)]") // what a recorded cut reads was acknowledged: it cannot be void
	if _, err := w.try(every(oneCut), through); !errors.Is(err, settle.ErrHoles) || !strings.Contains(err.Error(), "offsets 11 to 13 of node a") {
		t.Fatalf("with rows that are void only since: %v", err)
	}
	publishAs("void", "[]")
	publish("[(11, 13)]")
	if _, err := w.try(every(oneCut), through); !errors.Is(err, settle.ErrHoles) || !strings.Contains(err.Error(), "offsets 40 to 40 of node a") {
		t.Fatalf("with one row neither there nor lost: %v", err)
	}
	publish("[(11, 13), (40, 40)]")
	result := w.run(every(oneCut), through)
	if result.Cuts != 1 || len(result.Warnings) != 2 || !strings.Contains(result.Warnings[0], "without offsets 11 to 13 of node a") {
		t.Errorf("%+v", result)
	}
	entries := w.entries()
	said := entries[len(entries)-1].Settled
	want := []rules.Loss{{Node: "a", Span: rules.Span{First: 11, Last: 13}}, {Node: "a", Span: rules.Span{First: 40, Last: 40}}}
	if said == nil || !slices.Equal(said.Lost, want) {
		t.Fatalf("the entry that ends the cut: %+v", said)
	}
	w.verify()
	for _, table := range tables {
		run("INSERT INTO " + table + " SELECT * FROM aside_" + table)
	}
	run("DELETE FROM progress WHERE notEmpty(lost)") // what was lost stays lost, also where that is forgotten
	w.verify()
	for _, input := range inputs[1:] {
		w.importLogs("b", input)
	}
	w.run(every(oneCut), through.Add(48*time.Hour))
	w.verify()
}
