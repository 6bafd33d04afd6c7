package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	sampleLogs  = "../../settle/testdata/logs.tar.gz"
	sampleRules = "../../configs/counter-strike.yaml"
)

// photofinish runs a command line and returns its output, what it said to the user
// and the exit code.
func photofinish(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, problems bytes.Buffer
	code = run(context.Background(), args, &out, &problems)
	return out.String(), problems.String(), code
}

// must runs a command line that succeeds.
func must(t *testing.T, args ...string) string {
	t.Helper()
	out, problems, code := photofinish(t, args...)
	if code != exitDone {
		t.Fatalf("photofinish %s: exit code %d: %s", strings.Join(args, " "), code, problems)
	}
	return out
}

// The way of a newcomer: logs in, a settled report out, as text, page and JSON; an
// explanation and a replay; and everything a second time changes nothing.
func TestFirstSettledHour(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	in := must(t, "import", "--data", data, "--server", "cs", "--region", "eu", sampleLogs)
	if !strings.Contains(in, "3188 events accepted, 0 duplicates, 5 refused") {
		t.Errorf("import says:\n%s", in)
	}
	if again := must(t, "import", "--data", data, "--server", "cs", "--region", "eu", sampleLogs); !strings.Contains(again, "0 events accepted, 3188 duplicates") {
		t.Errorf("the second import says:\n%s", again)
	}
	settle := []string{"settle", "--data", data, "--rules", sampleRules, "--through", "2020-03-02T00:00:00Z"}
	if dry := must(t, append(settle, "--dry-run")...); !strings.Contains(dry, "nothing was written") || !strings.Contains(dry, "BOT:Cedar") {
		t.Errorf("the dry run says:\n%s", dry)
	}
	if _, problems, code := photofinish(t, "report", "--data", data); code != exitUsage || !strings.Contains(problems, "nothing is settled yet") {
		t.Errorf("after a dry run, report: exit code %d, %s", code, problems)
	}
	var report struct {
		Cut struct {
			Number  int    `json:"number"`
			Through string `json:"through"`
			Events  int    `json:"events"`
		} `json:"cut"`
		Awards []struct {
			Rule, Scope, Subject, At, Outcome string
			Place                             int
			UncertaintyNs                     int64 `json:"uncertainty_ns"`
		} `json:"awards"`
		Leaderboards, Sales []json.RawMessage
	}
	if err := json.Unmarshal([]byte(must(t, append(settle, "--json")...)), &report); err != nil {
		t.Fatal(err)
	}
	if report.Cut.Through != "2020-03-02T00:00:00Z" || report.Cut.Events != 3188 || len(report.Leaderboards) != 4 || len(report.Sales) != 12 {
		t.Errorf("settle reports %+v, %d boards, %d sales", report.Cut, len(report.Leaderboards), len(report.Sales))
	}
	found := false
	for _, a := range report.Awards {
		found = found || a.Rule == "first-100-kills" && a.Place == 1 && a.Subject == "BOT:Cedar" && a.Scope == "world" &&
			a.At == "2020-02-28T13:40:36Z" && a.UncertaintyNs == 499_999_999 && strings.HasPrefix(a.Outcome, "sha256:")
	}
	if !found {
		t.Errorf("no first-100-kills of BOT:Cedar among %+v", report.Awards)
	}
	if out := must(t, settle...); out != "nothing is due\n" {
		t.Errorf("settling again says:\n%s", out)
	}
	page := filepath.Join(t.TempDir(), "report.html")
	must(t, "report", "--data", data, "--format", "html", "--output", page)
	if html, err := os.ReadFile(page); err != nil || !bytes.Contains(html, []byte("BOT:Cedar")) || bytes.Contains(html, []byte("<b>fox")) {
		t.Errorf("the page is wrong: %v", err)
	}
	if out := must(t, "report", "--data", data, "--all", "--format", "json"); !strings.HasPrefix(out, "{\n \"reports\": [") {
		t.Errorf("report --all begins %.60q", out)
	}
	if out := must(t, "explain", "--data", data, "first-100-kills", "BOT:Cedar"); !strings.Contains(out, "place 1, provisional") {
		t.Errorf("explain says:\n%s", out)
	}
	if out := must(t, "verify", "--data", data); !strings.Contains(out, "no difference") {
		t.Errorf("verify says:\n%s", out)
	}
	var verified struct{ From, Cuts int }
	if err := json.Unmarshal([]byte(must(t, "verify", "--data", data, "--from", "1", "--json")), &verified); err != nil || verified.From != 1 || verified.Cuts < 1 {
		t.Errorf("verify --from 1: %+v, %v", verified, err)
	}
	var out, problems bytes.Buffer
	if code := run(t.Context(), []string{"verify", "--data", data, "--from", "9999"}, &out, &problems); code != exitUsage || !strings.Contains(problems.String(), "the settled cuts are 1 to ") {
		t.Errorf("verify from a cut that there is not: %d, %s%s", code, &out, &problems)
	}
}

// Bad input gets one clear line for each problem and the exit code 2, and leaves no
// trace.
func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	data := filepath.Join(dir, "data")
	must(t, "import", "--data", data, "--server", "cs", "--region", "eu", sampleLogs)
	whole, err := os.ReadFile(sampleLogs)
	if err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer")
	if err := os.Mkdir(newer, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(newer, "version"), []byte("99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	unknown := write("unknown.yaml", "version: 1\nrules:\n  - {id: a, kind: world_first, when: {colour: red}, threshold: 1}\n")
	for _, test := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no command of that name", []string{"settel"}, exitUsage, `unknown command "settel"`},
		{"unknown flag", []string{"verify", "--fast"}, exitUsage, "unknown flag: --fast"},
		{"no rules", []string{"settle"}, exitUsage, "name a rules file"},
		{"missing rules", []string{"settle", "--rules", "nowhere.yaml"}, exitUsage, "nowhere.yaml"},
		{"unknown field", []string{"settle", "--rules", unknown}, exitUsage, `unknown.yaml:3:39: rule "a": when: unknown key "colour"`},
		{"not a time", []string{"settle", "--rules", sampleRules, "--through", "yesterday"}, exitUsage, `--through: "yesterday" is not an RFC 3339 time`},
		{"short period", []string{"settle", "--rules", sampleRules, "--period", "1s"}, exitUsage, "period of 1s"},
		{"endless period", []string{"settle", "--rules", sampleRules, "--period", "1000000h"}, exitUsage, "period of 1000000h"},
		{"two selections", []string{"report", "--latest", "--all"}, exitUsage, "give one of"},
		{"cut nought", []string{"report", "--cut", "0"}, exitUsage, "give one of"},
		{"missing file", []string{"import", "--server", "a", "--region", "b", sampleLogs, "nowhere.log"}, exitUsage, "nowhere.log"},
		{"truncated archive", []string{"import", "--server", "a", "--region", "b", write("cut.tar.gz", string(whole[:len(whole)/2]))}, exitUsage, "cut.tar.gz"},
		{"binary rubbish", []string{"import", "--server", "a", "--region", "b", write("rubbish.log", "\x00\xff\x13\n\x07\x00")}, exitUsage, "not one of its lines"},
		{"no server", []string{"import", sampleLogs}, exitUsage, "--server NAME"},
		{"unknown zone", []string{"import", "--server", "a", "--region", "b", "--timezone", "Mars/North", sampleLogs}, exitUsage, "Mars/North"},
		{"unknown format", []string{"import", "--server", "a", "--region", "b", "--format", "pdf", sampleLogs}, exitUsage, "pdf"},
		{"report as pdf", []string{"report", "--format", "pdf"}, exitUsage, "md, html or json"},
		{"unknown key", []string{"version", "--config", write("bad.yaml", "dta: x\nsettle: {rulez: y}\n")}, exitUsage, "unknown keys: dta (is it data?), settle.rulez (is it settle.rules?)"},
		{"newer data", []string{"report", "--data", newer}, exitUsage, "format 99"},
		{"no data", []string{"report", "--data", filepath.Join(dir, "none")}, exitUsage, "no data folder"},
		{"no engine", []string{"report", "--data", t.TempDir(), "--clickhouse.library", write("libchdb.so", "not a library")}, exitFailed, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := test.args
			if !strings.Contains(strings.Join(args, " "), "--data") {
				args = append(args, "--data", data)
			}
			out, problems, code := photofinish(t, args...)
			if code != test.code || !strings.Contains(problems, test.want) || strings.Count(problems, "\n") != 1 {
				t.Errorf("exit code %d, want %d and one line with %q; it says %q", code, test.code, test.want, problems)
			}
			if out != "" {
				t.Errorf("it prints %q", out)
			}
		})
	}
	if out := must(t, "import", "--data", data, "--server", "cs", "--region", "eu", sampleLogs); !strings.Contains(out, "0 events accepted, 3188 duplicates") {
		t.Errorf("something was left half done: %s", out)
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("a report made a data folder")
	}
}

// Where every event is refused nothing is changed, the reasons are told and the exit
// code says so, also to a program that reads JSON.
func TestImportAllRefused(t *testing.T) {
	dir := t.TempDir()
	data, log := filepath.Join(dir, "data"), filepath.Join(dir, "a.log")
	forged := `L 02/14/2014 - 06:09:34: "Eve<5><STEAM_1:0:6><CT>" say "x<1><STEAM_1:0:9><T>" purchased "awp"` + "\n"
	if err := os.WriteFile(log, []byte(forged+forged+forged[:30]), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"import", "--data", data, "--server", "cs", "--region", "eu", "--until", "2014-02-15T00:00:00Z", log}
	out, problems, code := photofinish(t, args...)
	if code != exitUsage || !strings.Contains(out, "2 refused") || !strings.Contains(out, "a player's name or words") || !strings.Contains(out, "not finished") || !strings.Contains(problems, "nothing was taken in") {
		t.Errorf("exit code %d, %s%s", code, out, problems)
	}
	out, problems, code = photofinish(t, append(args, "--json")...)
	var s struct {
		Accepted int
		Refused  []struct{ Count int }
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != exitUsage || s.Accepted != 0 || len(s.Refused) != 1 || s.Refused[0].Count != 2 {
		t.Errorf("exit code %d, %v: %s%s", code, err, out, problems)
	}
	if nodes := must(t, "nodes", "list", "--data", data); strings.Contains(nodes, "2014") {
		t.Errorf("the watermark has moved:\n%s", nodes)
	}
}

// An option comes from the flag, else the environment, else the file.
func TestConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte("report: {format: from-file}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	says := func(want string, args ...string) {
		t.Helper()
		if _, problems, _ := photofinish(t, append([]string{"report", "--config", file}, args...)...); !strings.Contains(problems, want) {
			t.Errorf("report %v says %q, want %q", args, problems, want)
		}
	}
	says("from-file")
	t.Setenv("PHOTOFINISH_REPORT_FORMAT", "from-env")
	says("from-env")
	says("from-flag", "--format", "from-flag")
}
