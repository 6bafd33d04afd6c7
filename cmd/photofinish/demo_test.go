package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// runDemoCommand runs the command as a user would, in a folder of its own.
func runDemoCommand(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Chdir(t.TempDir())
	var out, err bytes.Buffer
	code = run(t.Context(), append([]string{"demo"}, args...), &out, &err)
	return code, out.String(), err.String()
}

// The command prints the same bytes for the same seed, ends well, and leaves nothing
// behind but what was asked for.
func TestDemoCommand(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	code, text, errs := runDemoCommand(t, "--hours", "2")
	if code != exitDone || !strings.Contains(text, "Every guarantee above held.") {
		t.Fatalf("exit code %d, printed:\n%s%s", code, text, errs)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v in the temporary folder (%v)", left, err)
	}
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v in the working folder (%v)", left, err)
	}
	if _, again, _ := runDemoCommand(t, "--hours", "2"); again != text {
		t.Errorf("the same seed printed something else:\n%s\n%s", text, again)
	}
}

// --json is one document, --out has what it says, and --data keeps the world, once.
func TestDemoOutput(t *testing.T) {
	dir := t.TempDir()
	out, data := filepath.Join(dir, "out"), filepath.Join(dir, "data")
	code, text, errs := runDemoCommand(t, "--hours", "2", "--json", "--out", out, "--data", data)
	var document struct {
		OK      bool
		Seed    string
		Audit   []struct{ OK bool }
		Reports []struct{ Cut struct{ Number int } }
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil || code != exitDone {
		t.Fatalf("exit code %d, %v:\n%s%s", code, err, text, errs)
	}
	if !document.OK || document.Seed != "1" || len(document.Audit) < 10 || len(document.Reports) != 2 || document.Reports[1].Cut.Number != 2 {
		t.Errorf("the document says %+v", document)
	}
	for _, want := range []string{"index.html", "standing.html", "report.md", "report.json", "audit.txt", "rules.yaml", "photo-finish-rabbit-slayer-*.svg"} {
		if found, err := filepath.Glob(filepath.Join(out, want)); err != nil || len(found) == 0 {
			t.Errorf("--out has no %s", want)
		}
	}
	var verified bytes.Buffer
	if code := run(t.Context(), []string{"verify", "--data", data}, &verified, &verified); code != exitDone {
		t.Errorf("verify of the kept world: exit code %d: %s", code, verified.String())
	}
	code, _, errs = runDemoCommand(t, "--data", data)
	if code != exitUsage || !strings.Contains(errs, "not empty") {
		t.Errorf("a second world in the same folder: exit code %d: %s", code, errs)
	}
}

// What is broken in the tables is seen, and the exit code says so.
func TestDemoTampered(t *testing.T) {
	const settings = " SETTINGS mutations_sync = 2"
	for _, c := range []struct {
		name, statement string
		want            []string
	}{
		{
			"an acknowledged event is lost",
			"ALTER TABLE event_log DELETE WHERE server = 'eu-1' AND id = '000007'" + settings,
			[]string{"FAILED  G1 ", "FAILED  G9 ", "eu-1/000007 was acknowledged"},
		},
		{
			"a score counts twice",
			`ALTER TABLE ledger UPDATE body = replaceRegexpOne(body, '"score":"(\\d+)', '"score":"2\\1') WHERE kind = 'board'` + settings,
			[]string{"FAILED  G2 ", "FAILED  G3, G4", "FAILED  G8 ", "FAILED  G9 "},
		},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			var out, errs bytes.Buffer
			a := &app{stdout: &out, stderr: &errs, data: t.TempDir(), logLevel: "error", logFormat: "text"}
			if err := a.openLog(); err != nil {
				t.Fatal(err)
			}
			o := demoOptions{seed: 1, hours: 2, tamper: func(ctx context.Context, conn driver.Conn) error {
				return conn.Exec(ctx, c.statement)
			}}
			err := a.runDemo(t.Context(), o)
			if err == nil || exitCode(err) != exitFailed {
				t.Errorf("exit code %d (%v)", exitCode(err), err)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("the audit lacks %q:\n%s", want, out.String())
				}
			}
		})
	}
}

// Wrong options are refused before anything is started.
func TestDemoUsage(t *testing.T) {
	for _, args := range [][]string{{"--hours", "0"}, {"--hours", "1000"}, {"--seed", "-1"}, {"now"}, {"--out", "/dev/null/x"}} {
		if code, out, errs := runDemoCommand(t, args...); code != exitUsage || out != "" || errs == "" {
			t.Errorf("%q: exit code %d, printed %q, %q", args, code, out, errs)
		}
	}
}
