package audit

import (
	"fmt"

	"photofinish/announce"
	"photofinish/rules"
)

// Check is one line of the audit. It holds until a problem is found.
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

// Problem adds what does not hold, in words.
func (c *Check) Problem(format string, args ...any) {
	c.OK = false
	if len(c.Problems) < maxProblems {
		c.Problems = append(c.Problems, fmt.Sprintf(format, args...))
	}
}

// Result is what was checked of a world, and what was counted in it.
type Result struct {
	Checks []Check `json:"checks"`
	Counts []Count `json:"counts"`
}

// Count is a number that is no guarantee but worth knowing.
type Count struct {
	Name string `json:"name"`
	N    int    `json:"n"`
}

// OK reports whether every check held.
func (a *Result) OK() bool { return len(a.Failed()) == 0 }

// Failed returns the guarantees whose checks failed, each once, in order.
func (a *Result) Failed() []string {
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
	*Tables
	truth   truth // the world's events
	through rules.Instant
	audit   Result
}

// check adds a line to the audit and returns it to be filled. It holds until a
// problem is found.
func (a *auditor) check(guarantee, name string) *Check {
	a.audit.Checks = append(a.audit.Checks, Check{Guarantee: guarantee, Name: name, OK: true, Problems: []string{}})
	return &a.audit.Checks[len(a.audit.Checks)-1]
}

func (a *auditor) count(name string, n int) { a.audit.Counts = append(a.audit.Counts, Count{name, n}) }

// Compare checks what stands in the tables against the world. A guarantee that does
// not hold is a Check that is not OK; an error means that it could not be compared.
func Compare(w *World, t *Tables) (*Result, error) {
	a := &auditor{World: w, Tables: t, truth: w.Events, through: w.ends()}
	stands := a.fold()
	a.checkAcknowledged()
	a.checkOrigins()
	a.checkOnce()
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
	v := a.Replay
	if a.ReplayErr != nil {
		c.Problem("%v", a.ReplayErr)
		c.Checked = "the replay failed"
		return
	}
	c.Checked = fmt.Sprintf("%d cuts with %s events and %s entries decided again", v.Cuts, announce.Grouped(v.Events), announce.Grouped(v.Entries))
	for _, m := range v.Mismatches {
		c.Problem("%s", m)
	}
	if uint64(v.Cuts) != a.Cuts {
		c.Problem("%d cuts were replayed, %d were settled", v.Cuts, a.Cuts)
	}
}

func (a *auditor) addCounts() {
	identities := map[rules.Identity]bool{}
	for _, r := range a.Rows {
		identities[r.Identity] = true
	}
	late := uint64(0)
	kinds := map[string]int{}
	conflicts := 0
	for i := range a.Entries {
		switch e := &a.Entries[i]; e.Kind {
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
		if m.Refused {
			refused++
		}
	}
	a.count("duplicates found on arrival", a.Faults.DuplicatesRefused)
	a.count("duplicates in the log, removed when counting", len(a.Rows)-len(identities)-conflicts)
	a.count("events that came after their hour was settled", int(late))
	a.count("events kept by servers that were cut off", a.Faults.Buffered)
	a.count("requests of servers, over HTTP", a.Faults.Requests)
	a.count("answers lost after the node took the request", a.Faults.AnswersLost)
	a.count("requests cut on their way", a.Faults.RequestsCut)
	a.count("requests that came behind their copies", a.Faults.RequestsLate)
	a.count("requests sent again", a.Faults.Retries)
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
