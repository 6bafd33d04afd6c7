package scenario_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"photofinish/rules/scenario"
)

var update = flag.Bool("update", false, "write what the ledger says into the scenarios; review the difference")

// Every file of testdata/scenarios is a story a game designer can read: with these
// rules and events, this is what the ledger says. -update writes what it says now.
func TestScenarios(t *testing.T) {
	paths, err := filepath.Glob("testdata/scenarios/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, want, err := scenario.Run(filepath.Base(path), file)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(path, scenario.Update(file, got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// The example of the help is a scenario that can be run.
func TestHelpExample(t *testing.T) {
	_, example, _ := strings.Cut(scenario.Help, "gets it too.\n")
	example, _, _ = strings.Cut(example, "\nEmpty lines")
	lines := strings.Split(example, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	got, want, err := scenario.Run("help", []byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	wanted := strings.Split(strings.TrimSpace(want), "\n")
	for i, line := range strings.Split(strings.TrimSpace(got), "\n")[:len(wanted)] {
		if begin := strings.TrimSuffix(wanted[i], "…"); !strings.HasPrefix(line, begin) {
			t.Errorf("line %d is %q, the help says %q", i+1, line, begin)
		}
	}
}

// What is wrong with a scenario file is said with its line, all at once.
func TestErrors(t *testing.T) {
	const set = "-- rules.yaml --\nversion: 1\nrules: [{id: a, kind: achievement, threshold: 1}]\n"
	for _, test := range []struct{ name, file, want string }{
		{"empty", "", "f: the part -- rules.yaml -- is missing\nthe part -- events -- is missing\nthe part -- cuts -- is missing"},
		{"unknown part", set + "-- event --\n", `f: line 4: unknown part "event": must be rules.yaml, events, cuts or want`},
		{"part twice", set + set + "-- events --\n-- cuts --\n", `f: line 4: there is a part "rules.yaml" already`},
		{"bad rules", "-- rules.yaml --\nversion: 2\nrules: [{id: a, kind: achievement, threshold: 1}]\n-- events --\n-- cuts --\n12:00\n", `rules.yaml:1:10: version: must be 1`},
		{"no cut", set + "-- events --\n-- cuts --\n", "f: line 5: there is no cut"},
		{"short event", set + "-- events --\n12:00 eu-1 kill rabbit\n-- cuts --\n13:00\n", "f: line 5: an event is TIME SERVER TYPE WHAT PLAYER"},
		{"bad words", set + "-- events --\n25:00 eu-1 kill rabbit ash ±fast x seq=-1 arrives=0\n12:00 eu-1 kill rabbit ash +-5ms x3 arrives=2\n-- cuts --\n13:00 slowly\n", "line 5"},
		{"arrives too late", set + "-- events --\n12:00 eu-1 kill rabbit ash arrives=2\n-- cuts --\n13:00\n", "f: line 5: arrives at cut 2, but there are 1"},
		{"back in time", set + "-- events --\n-- cuts --\n13:00\n12:59\n", "f: line 7: a cut never goes back in time"},
		{"late for nothing", set + "-- events --\n-- cuts --\n13:00 late\n", "f: line 6: the first cut is of an hour"},
		{"late and complete", set + "-- events --\n-- cuts --\n13:00\n13:05 late complete\n", "f: line 7: a cut is late or complete, not both"},
		{"an hour twice", set + "-- events --\n-- cuts --\n13:00\n13:00\n", "f: line 7: an hour is settled once"},
		{"as of before", set + "-- events --\n-- cuts --\n13:00\n14:00 as_of 13:01\n", "f: line 7: a cut never goes back in time"},
		{"a node twice", set + "-- events --\n-- cuts --\n13:00 retired us stale us since 12:00\n", "f: line 6: the node us is named twice"},
		{"half an option", set + "-- events --\n-- cuts --\n13:00 waits for us\n", `f: line 6: "waits for us" must be: as_of TIME, late`},
		{"no resolution", set + "-- events --\n12:00 eu-1 kill rabbit ash within=0s\n-- cuts --\n13:00\n", "f: line 5: within=0s: must be a resolution"},
		{"unknown rules", set + "-- events --\n-- cuts --\n13:00 rules b.yaml\n", "f: line 6: there is no part -- b.yaml --"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := scenario.Run("f", []byte(test.file))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// Updating changes what is wanted and not one byte else, and is needed once.
func TestUpdate(t *testing.T) {
	const head = "Story.\r\n-- rules.yaml --\nversion: 1\nrules: [{id: a, kind: achievement, threshold: 1}]\n-- events --\n-- cuts --\n13:00"
	const got = "cut 1: settled through 13:00: 0 events\n"
	for _, test := range []struct{ name, file, want string }{
		{"without want", head, head + "\n-- want --\n" + got},
		{"other want", head + "\n-- want --\nsomething\nelse\n", head + "\n-- want --\n" + got},
		{"without a last line end", head + "\n-- want --\nsomething", head + "\n-- want --\n" + got},
		{"something after", head + "\n-- want --\nelse\n-- b.yaml --\n1\n", head + "\n-- want --\n" + got + "-- b.yaml --\n1\n"},
		{"right already", head + "\n-- want --\n" + got, head + "\n-- want --\n" + got},
	} {
		t.Run(test.name, func(t *testing.T) {
			ran, _, err := scenario.Run("f", []byte(test.file))
			if err != nil || ran != got {
				t.Fatalf("got %q, %v", ran, err)
			}
			if updated := string(scenario.Update([]byte(test.file), ran)); updated != test.want {
				t.Errorf("got %q, want %q", updated, test.want)
			}
		})
	}
}

// Whatever the bytes, a scenario runs or is refused, twice the same, and once it is
// updated it wants what it gets.
func FuzzRun(f *testing.F) {
	paths, _ := filepath.Glob("testdata/scenarios/*.txtar")
	for _, path := range paths {
		file, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		got, _, err := scenario.Run("f", file)
		if err != nil {
			if got != "" || strings.TrimSpace(err.Error()) == "" {
				t.Errorf("got %q, %v", got, err)
			}
			return
		}
		again, want, err := scenario.Run("f", scenario.Update(file, got))
		if err != nil || again != got || want != got {
			t.Errorf("got %q, then %q, updated %q, %v", got, again, want, err)
		}
	})
}
