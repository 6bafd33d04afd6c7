package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"photofinish/ingest"
	"photofinish/rules"
)

// scene is a data folder with nodes that import, and a rule: the first to kill a rabbit.
type scene struct {
	*testing.T
	dir string
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t, t.TempDir()}
	s.write("rules.yaml", `version: 1
rules:
  - {id: rabbit, kind: world_first, when: {type: kill, target: rabbit}, threshold: 1, places: 1, tie: share, hold: 2h, correct: 72h, on_correction: duplicate_award, prize: {item: carrot}}
`)
	return s
}

func (s *scene) write(name, text string) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

// run runs a command that succeeds on the scene's data.
func (s *scene) run(args ...string) string {
	s.Helper()
	return must(s.T, append(args, "--data", filepath.Join(s.dir, "data"))...)
}

// kill imports one kill of a rabbit; see kills.
func (s *scene) kill(region, id, player, at, until string) {
	s.Helper()
	s.kills(region, id, player, "rabbit", at, until)
}

// kills imports one kill on the region's server, by the region's node, which has then
// told of everything before until.
func (s *scene) kills(region, id, player, target, at, until string) {
	s.Helper()
	line := `{"id":"` + id + `","type":"kill","at":"2026-06-01T` + at + `Z","player":"` + player + `","target":"` + target + `","seq":` + id + "}\n"
	s.run("import", "--server", region+"-1", "--region", region, "--node", region, "--until", "2026-06-01T"+until+"Z", s.write(region+id+".ndjson", line))
}

// sceneReport is what the scene looks at of a report.
type sceneReport struct {
	Cut struct {
		Number  int
		Through string
		Lagging []struct{ Node string }
	}
	Awards []struct {
		Subject, State, Until string
		Tied                  bool
		WaitsFor              []struct{ Node string } `json:"waits_for"`
	}
	Corrections []struct{ Gains, Keeps []string }
	Cost        *struct{ Queries int }
}

func (s *scene) settle(at string) (r sceneReport) {
	s.Helper()
	out := s.run("settle", "--rules", filepath.Join(s.dir, "rules.yaml"), "--at", "2026-06-01T"+at+"Z", "--json")
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		s.Fatalf("%v: %s", err, out)
	}
	if r.Cost == nil || r.Cost.Queries == 0 {
		s.Errorf("settling at %s cost %+v", at, r.Cost)
	}
	return r
}

// A node is silent since 00:15: who finished after that is held and the node named, given
// once the hold of two hours is over, and joined by whom late evidence shows.
func TestSilentNode(t *testing.T) {
	s := newScene(t)
	s.kills("us", "1", "zed", "fox", "00:10:00.000000000", "00:15:00")
	s.kill("eu", "1", "ada", "00:17:00.050000000", "09:00:00")
	for _, at := range []string{"01:02:00", "02:02:00"} {
		r := s.settle(at)
		if len(r.Cut.Lagging) != 1 || r.Cut.Lagging[0].Node != "us" {
			t.Errorf("at %s lags %+v", at, r.Cut.Lagging)
		}
		if at == "02:02:00" {
			if len(r.Awards) != 0 {
				t.Errorf("at %s it is said again: %+v", at, r.Awards)
			}
			continue
		}
		if a := r.Awards; len(a) != 1 || a[0].State != "held" || len(a[0].WaitsFor) != 1 || a[0].WaitsFor[0].Node != "us" || !strings.HasPrefix(a[0].Until, "2026-06-01T02:17:00") {
			t.Errorf("at %s stands %+v", at, a)
		}
	}
	if a := s.settle("03:02:00").Awards; len(a) != 1 || a[0].State != "provisional" || a[0].Subject != "ada" {
		t.Errorf("after the hold stands %+v", a)
	}
	s.kill("us", "2", "bo", "00:17:00.050000000", "09:00:00")
	r := s.settle("04:02:00")
	if len(r.Corrections) != 1 || strings.Join(r.Corrections[0].Gains, " ") != "bo" || strings.Join(r.Corrections[0].Keeps, " ") != "ada" || len(r.Awards) != 2 || !r.Awards[0].Tied {
		t.Errorf("with the late evidence: %+v", r)
	}
	if len(r.Cut.Lagging) != 0 {
		t.Errorf("nobody lags any more: %+v", r.Cut.Lagging)
	}
	s.run("verify")
}

// A retired node stops nothing: what waited for it alone is given by the next cut.
func TestRetiredNode(t *testing.T) {
	s := newScene(t)
	s.kill("us", "1", "ada", "00:30:00.000000000", "09:00:00")
	s.kills("asia", "1", "cy", "fox", "00:10:00.000000000", "00:15:00")
	if a := s.settle("01:02:00").Awards; len(a) != 1 || a[0].State != "held" {
		t.Fatalf("at first stands %+v", a)
	}
	if _, problems, code := photofinish(t, "nodes", "retire", "mars", "--reason", "gone", "--data", filepath.Join(s.dir, "data")); code != exitUsage || !strings.Contains(problems, "mars") {
		t.Errorf("a node that is not there: exit code %d: %s", code, problems)
	}
	s.run("nodes", "retire", "asia", "--reason", "the disk is lost")
	if list := s.run("nodes", "list"); !strings.Contains(list, "retired: the disk is lost") {
		t.Errorf("the list says:\n%s", list)
	}
	r := s.settle("02:02:00")
	if len(r.Awards) != 1 || r.Awards[0].State != "provisional" || len(r.Cut.Lagging) != 0 {
		t.Errorf("then stands %+v, %+v lag", r.Awards, r.Cut.Lagging)
	}
}

// How far each node's watermark is behind is told in words and as JSON, and its offset is
// not called a number of events: some may be lost or void.
func TestNodesLag(t *testing.T) {
	s := newScene(t)
	s.kill("us", "1", "ada", "00:30:00.000000000", "09:00:00")
	if list := s.run("nodes", "list"); !strings.Contains(list, "us: sent on up to offset 1, everything before 2026-06-01T09:00:00Z, lag ") || strings.Contains(list, "events") {
		t.Errorf("the list says:\n%s", list)
	}
	since := time.Since(time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC))
	var list []struct {
		Node, Watermark, Offset string
		LagSeconds              *int64 `json:"lag_seconds"`
	}
	if err := json.Unmarshal([]byte(s.run("nodes", "list", "--json")), &list); err != nil || len(list) != 1 || list[0].Offset != "1" || list[0].LagSeconds == nil {
		t.Fatalf("%v: %+v", err, list)
	}
	if lag := *list[0].LagSeconds; lag < max(int64(since.Seconds()), 0) || lag > max(int64(since.Seconds()), 0)+60 {
		t.Errorf("the lag is %d s, after %s", lag, since)
	}
	const now = rules.Instant(100e9)
	lines := lagOf([]ingest.NodeState{{Node: "none"}, {Node: "ahead", Watermark: now + 1}, {Node: "behind", Watermark: now - 61_999_999_999}}, now)
	if lines[0].LagSeconds != nil || *lines[1].LagSeconds != 0 || *lines[2].LagSeconds != 61 || lagText(61) != "1m1s" || lagText(400*86400+1) != "400 days" {
		t.Errorf("%+v", lines)
	}
}

// A check of a rules file as JSON is one document, whatever it comes to.
func TestLintJSON(t *testing.T) {
	s := newScene(t)
	var lint struct {
		File, Digest       string
		OK                 bool
		Rules              int
		Problems, Warnings []any
	}
	good := filepath.Join(s.dir, "rules.yaml")
	if err := json.Unmarshal([]byte(must(t, "rules", "lint", "--json", good)), &lint); err != nil || !lint.OK || lint.Rules != 1 ||
		!strings.HasPrefix(lint.Digest, "sha256:") || lint.File != good || len(lint.Problems) != 0 || lint.Warnings == nil {
		t.Errorf("of a good file: %v, %+v", err, lint)
	}
	bad := s.write("bad.yaml", "version: 1\nrules:\n  - {id: a, kind: sail}\n  - {id: b}\n")
	out, problems, code := photofinish(t, "rules", "lint", "--json", bad)
	if err := json.Unmarshal([]byte(out), &lint); err != nil || code != exitUsage || lint.OK || lint.Digest != "" || len(lint.Problems) < 2 {
		t.Fatalf("of a bad file: exit code %d, %v, %s%s", code, err, out, problems)
	}
	if p, _ := lint.Problems[0].(map[string]any); p["line"] != 3.0 || p["rule"] != "a" || p["field"] != "kind" || p["message"] == "" {
		t.Errorf("the first problem is %v", lint.Problems[0])
	}
	if out, _, code := photofinish(t, "rules", "lint", "--json", filepath.Join(s.dir, "none.yaml")); code != exitUsage || out != "" {
		t.Errorf("of no file: exit code %d, %s", code, out)
	}
}

// --at and --through are two questions.
func TestTwoTimes(t *testing.T) {
	s := newScene(t)
	s.kill("us", "1", "ada", "00:30:00.000000000", "09:00:00")
	_, problems, code := photofinish(t, "settle", "--rules", filepath.Join(s.dir, "rules.yaml"), "--data", filepath.Join(s.dir, "data"),
		"--at", "2026-06-01T01:00:00Z", "--through", "2026-06-01T01:00:00Z")
	if code != exitUsage || !strings.Contains(problems, "not both") {
		t.Errorf("exit code %d: %s", code, problems)
	}
}
