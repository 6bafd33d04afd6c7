package demo

import (
	"context"
	"fmt"

	"photofinish/announce"
	"photofinish/rules"
)

// Check is one line of the audit.
type Check struct {
	Guarantee string   `json:"guarantee"` // as in the design: G1 to G10
	Name      string   `json:"name"`
	Checked   string   `json:"checked"` // what was compared, with numbers
	OK        bool     `json:"ok"`
	Problems  []string `json:"problems"` // in words, the first few
}

// maxProblems bounds how many problems a check lists: one event lost can show in
// many places.
const maxProblems = 5

func (c *Check) problem(format string, args ...any) {
	c.OK = false
	if len(c.Problems) < maxProblems {
		c.Problems = append(c.Problems, fmt.Sprintf(format, args...))
	}
}

// Audit is what was checked of a world, and what was counted in it.
type Audit struct {
	Checks []Check `json:"checks"`
	Counts []Count `json:"counts"`
}

// Count is a number that is no guarantee but worth knowing.
type Count struct {
	Name string `json:"name"`
	N    int    `json:"n"`
}

// OK reports whether every check held.
func (a *Audit) OK() bool { return len(a.Failed()) == 0 }

// Failed returns the guarantees whose checks failed, each once, in order.
func (a *Audit) Failed() []string {
	var failed []string
	for _, c := range a.Checks {
		if !c.OK && (len(failed) == 0 || failed[len(failed)-1] != c.Guarantee) {
			failed = append(failed, c.Guarantee)
		}
	}
	return failed
}

// auditor compares a world with its tables.
type auditor struct {
	*World
	*tables
	through rules.Instant
	audit   Audit
}

// check adds a line to the audit and returns it to be filled. It holds until a
// problem is found.
func (a *auditor) check(guarantee, name string) *Check {
	a.audit.Checks = append(a.audit.Checks, Check{Guarantee: guarantee, Name: name, OK: true, Problems: []string{}})
	return &a.audit.Checks[len(a.audit.Checks)-1]
}

func (a *auditor) count(name string, n int) { a.audit.Counts = append(a.audit.Counts, Count{name, n}) }

// Audit compares what stands in the tables with the truth. An error means that it
// could not be compared; a guarantee that does not hold is a Check that is not OK.
func (w *World) Audit(ctx context.Context) (*Audit, error) {
	t, err := readTables(ctx, w.conn)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	audit, err := w.compare(t)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return audit, nil
}

// compare makes the audit of a world from its tables.
func (w *World) compare(t *tables) (*Audit, error) {
	a := &auditor{World: w, tables: t, through: epoch.Add(w.length())}
	stands := a.fold()
	a.checkAcknowledged()
	a.checkOrigins()
	a.checkCounted()
	a.checkConflicts()
	a.checkFirsts(stands)
	a.checkAchievements(stands)
	a.checkBoards(stands)
	a.checkRaffle(stands)
	a.checkOneLedger()
	a.checkSales(stands)
	a.checkCorrections(stands)
	a.checkPrinted()
	a.checkReplay()
	a.checkRefused()
	if err := a.checkNames(); err != nil {
		return nil, err
	}
	a.addCounts()
	return &a.audit, nil
}

// checkReplay asks the project itself to decide everything again. What it finds is
// not independent of the deciding code, but it is of what happened on the way.
func (a *auditor) checkReplay() {
	c := a.check("G9", "every cut replays to the same bytes")
	v := a.replay
	if a.replayErr != nil {
		c.problem("%v", a.replayErr)
		c.Checked = "the replay failed"
		return
	}
	c.Checked = fmt.Sprintf("%d cuts with %s events and %s entries decided again", v.Cuts, announce.Grouped(v.Events), announce.Grouped(v.Entries))
	for _, m := range v.Mismatches {
		c.problem("%s", m)
	}
	if uint64(v.Cuts) != a.cuts {
		c.problem("%d cuts were replayed, %d were settled", v.Cuts, a.cuts)
	}
}

func (a *auditor) addCounts() {
	identities := map[rules.Identity]bool{}
	for _, r := range a.rows {
		identities[r.Identity] = true
	}
	late := uint64(0)
	kinds := map[string]int{}
	conflicts := 0
	for i := range a.entries {
		switch e := &a.entries[i]; e.Kind {
		case rules.KindSettled:
			late += e.Settled.Late
		case rules.KindConflict:
			conflicts++
		case rules.KindCompensation:
			kinds[e.Compensation.Kind]++
		}
	}
	refused := 0
	for _, m := range a.truth {
		if m.refused {
			refused++
		}
	}
	a.count("duplicates found on arrival", a.Faults.DuplicatesRefused)
	a.count("duplicates in the log, removed when counting", len(a.rows)-len(identities)-conflicts)
	a.count("events that came after their hour was settled", int(late))
	a.count("events kept by servers that were cut off", a.Faults.Buffered)
	a.count("batches sent again", a.Faults.Retries)
	a.count("batches sent to two nodes", a.Faults.Failovers)
	a.count("batches overtaken by later ones", a.Faults.Strays)
	a.count("crashes of nodes", a.Faults.NodeCrashes)
	a.count("crashes of settlements", a.Faults.SettlerCrashes)
	a.count("conflicts", conflicts)
	a.count("events refused", refused)
	for _, kind := range []string{rules.DuplicateAward, rules.Transfer, rules.Keep} {
		if kinds[kind] > 0 {
			a.count("compensations: "+kind, kinds[kind])
		}
	}
}
