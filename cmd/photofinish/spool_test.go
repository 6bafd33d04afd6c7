package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A flipped byte in a segment is named with its place and exit code 3; a whole spool and a
// wrong name are told apart from that.
func TestSpoolCheck(t *testing.T) {
	s := newScene(t)
	data := filepath.Join(s.dir, "data")
	if _, problems, code := photofinish(t, "spool", "check", "--data", data); code != exitUsage || !strings.Contains(problems, "no spool") {
		t.Errorf("without a spool: %d %s", code, problems)
	}
	s.run("import", "--server", "s", "--region", "eu", s.write("e.ndjson", `{"id":"1","type":"kill","at":"2026-03-02T00:30:00Z","player":"ada","target":"rabbit"}
{"id":"2","type":"kill","at":"2026-03-02T00:31:00Z","player":"bo","target":"rabbit"}
`))
	if out := s.run("spool", "check"); !strings.Contains(out, "import: 1 segments with 2 events; nothing is damaged") {
		t.Errorf("a whole spool: %s", out)
	}
	if _, problems, code := photofinish(t, "spool", "check", "../spool", "--data", data); code != exitUsage || !strings.Contains(problems, "no node") {
		t.Errorf("another folder: %d %s", code, problems)
	}
	segments, err := filepath.Glob(filepath.Join(data, "spool", "import", "*.seg"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	b, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	b[strings.Index(string(b), "ada")] ^= 1
	if err := os.WriteFile(segments[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, code := photofinish(t, "spool", "check", "import", "--data", data)
	if code != exitPerson || !strings.Contains(out, "offsets 1 to 1 cannot be read") {
		t.Errorf("a flipped byte: exit code %d, %s", code, out)
	}
	out, _, code = photofinish(t, "spool", "check", "--mend", "--json", "--data", data)
	var report struct {
		Spools []struct {
			Node string
			OK   bool
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitPerson || len(report.Spools) != 1 || report.Spools[0].OK {
		t.Errorf("as JSON: exit code %d, %v, %s", code, err, out)
	}
}
