package settle_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"photofinish/rules"
)

// answers are what the oracle says about the logs. It is a plain pass over their
// lines in another language and shares nothing with this module.
type answers struct {
	Events      map[string]uint64 `json:"events"`
	LastAt      string            `json:"last_at"`
	WorldFirsts []struct {
		ID         string   `json:"id"`
		FirstThree []finish `json:"first_three"`
	} `json:"world_first"`
	Boards map[string][]struct {
		Place  int    `json:"place"`
		Player string `json:"player"`
		Kills  int64  `json:"kills"`
	} `json:"daily_kills_top10"`
	Sales []struct {
		Day    string   `json:"day"`
		SKU    string   `json:"sku"`
		Buyers []finish `json:"buyers"`
	} `json:"sales"`
}

type finish struct {
	Player string `json:"player"`
	At     string `json:"at"`
}

// outcome is the same, in lines that compare and read well.
type outcome []string

func readAnswers(t *testing.T, path string) (outcome, rules.Instant) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var a answers
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatal(err)
	}
	var o outcome
	for _, w := range a.WorldFirsts {
		for i, f := range w.FirstThree {
			o = append(o, fmt.Sprintf("%s place %d: %s at %s", w.ID, i+1, f.Player, f.At))
		}
	}
	for day, lines := range a.Boards {
		for _, l := range lines {
			o = append(o, fmt.Sprintf("board %s place %d: %s with %d", day, l.Place, l.Player, l.Kills))
		}
	}
	for _, s := range a.Sales {
		for i, b := range s.Buyers {
			o = append(o, fmt.Sprintf("sale %s %s unit %d: %s at %s", s.Day, s.SKU, i+1, b.Player, b.At))
		}
	}
	if len(o) == 0 {
		t.Fatalf("%s has no answers", path)
	}
	slices.Sort(o)
	last, err := rules.ParseInstant(a.LastAt)
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * 3600 * 1e9
	return o, last - last%day + day
}

// outcome says what stands by the ledger.
func (w *world) outcome() outcome {
	w.Helper()
	var o outcome
	skus := map[string]string{"awp-drop": "awp", "deagle-drop": "deagle", "g3sg1-drop": "g3sg1"}
	standings := w.standings()
	for _, id := range slices.SortedFunc(maps.Keys(standings), rules.ContestID.Compare) {
		st := standings[id]
		for _, e := range st.Awards() {
			o = append(o, fmt.Sprintf("%s place %d: %s at %s", e.Rule, e.Award.Place, e.Award.Claim.Subject, e.Award.Claim.At))
		}
		if b := st.Board(); b != nil {
			for _, l := range b.Board.Lines {
				o = append(o, fmt.Sprintf("board %s place %d: %s with %s", b.Window.Opens.String()[:10], l.Place, l.Subject, l.Score))
			}
		}
		unit := 0
		allocations := st.Allocations()
		slices.SortStableFunc(allocations, func(a, b rules.Entry) int {
			return cmp.Or(cmp.Compare(a.Allocation.At, b.Allocation.At), cmp.Compare(a.Allocation.Seq, b.Allocation.Seq))
		})
		for _, e := range allocations {
			if e.Allocation.State == rules.Reserved {
				unit++
				o = append(o, fmt.Sprintf("sale %s %s unit %d: %s at %s", e.Window.Opens.String()[:10], skus[e.Rule], unit, e.Allocation.Player, e.Allocation.At))
			}
		}
	}
	slices.Sort(o)
	return o
}

// entries returns every entry of the ledger, in order.
func (w *world) entries() []rules.Entry {
	w.Helper()
	var all []rules.Entry
	for _, body := range w.ledger() {
		var e rules.Entry
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			w.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// standings folds the ledger.
func (w *world) standings() map[rules.ContestID]*rules.Standing {
	w.Helper()
	standings := map[rules.ContestID]*rules.Standing{}
	for _, e := range w.entries() {
		if e.Rule == "" {
			continue
		}
		id := rules.ContestID{Rule: e.Rule, Scope: e.Scope, Window: e.Window}
		if standings[id] == nil {
			standings[id] = &rules.Standing{}
		}
		standings[id].Apply(e)
	}
	return standings
}

// differ fails the test with the lines that only one side has.
func differ(t *testing.T, what string, got, want outcome) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("%s: missing: %s", what, line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("%s: wrong:   %s", what, line)
		}
	}
	if !t.Failed() {
		t.Errorf("%s: lines are repeated: got %d, want %d", what, len(got), len(want))
	}
}

// days returns the logs as a list of inputs, by time, and the oracle's answers:
// a small log of our own, or what PFTEST_CS_LOGS names, a folder of archives
// with answers.json beside them.
func days(t *testing.T) (inputs []string, want outcome, through rules.Instant) {
	t.Helper()
	dir := os.Getenv("PFTEST_CS_LOGS")
	if dir != "" {
		archives, err := filepath.Glob(filepath.Join(dir, "*.tar.xz"))
		if err != nil || len(archives) == 0 {
			t.Fatalf("no archives in PFTEST_CS_LOGS=%s: %v", dir, err)
		}
		want, through = readAnswers(t, filepath.Join(dir, "answers.json"))
		return archives, want, through
	}
	want, through = readAnswers(t, "testdata/answers.json")
	return unpackDays(t, "testdata/logs.tar.gz"), want, through
}
