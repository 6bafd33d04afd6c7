package settle_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"photofinish/announce"
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

// outcomeOf says what stands, as the reports show it.
func outcomeOf(r *announce.Report) outcome {
	var o outcome
	for _, a := range r.Awards {
		o = append(o, fmt.Sprintf("%s place %d: %s at %s", a.Rule, a.Place, a.Subject, a.At))
	}
	for _, b := range r.Leaderboards {
		for _, l := range b.Standings {
			o = append(o, fmt.Sprintf("board %s place %d: %s with %d", b.Window.Opens.String()[:10], l.Place, l.Subject, l.Score))
		}
	}
	skus := map[string]string{"awp-drop": "awp", "deagle-drop": "deagle", "g3sg1-drop": "g3sg1"}
	for _, s := range r.Sales {
		unit := 0
		for _, a := range s.Attempts {
			if a.State == rules.Reserved {
				unit++
				o = append(o, fmt.Sprintf("sale %s %s unit %d: %s at %s", s.Window.Opens.String()[:10], skus[s.Rule], unit, a.Player, a.At))
			}
		}
	}
	slices.Sort(o)
	return o
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
// a small log of our own, or what PHOTOFINISH_CS_LOGS names, a folder of archives
// with answers.json beside them.
func days(t *testing.T) (inputs []string, want outcome, through rules.Instant) {
	t.Helper()
	dir := os.Getenv("PHOTOFINISH_CS_LOGS")
	if dir != "" {
		archives, err := filepath.Glob(filepath.Join(dir, "*.tar.xz"))
		if err != nil || len(archives) == 0 {
			t.Fatalf("no archives in PHOTOFINISH_CS_LOGS=%s: %v", dir, err)
		}
		want, through = readAnswers(t, filepath.Join(dir, "answers.json"))
		return archives, want, through
	}
	want, through = readAnswers(t, "testdata/answers.json")
	return unpackDays(t, "testdata/logs.tar.gz"), want, through
}
