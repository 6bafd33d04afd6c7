package demo

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/announce"
	"photofinish/cmd/photofinish/demo/audit"
	"photofinish/ingest"
	"photofinish/rules"
	"photofinish/rules/hour"
	"photofinish/rules/rulefile"
	"photofinish/settle"
)

// A day of a real Counter-Strike server that bots played on, and what a plain pass
// over its lines by another program answers to the questions of logs.yaml.
const logsName = "counter-strike-2014-02-12.tar.xz"

//go:embed counter-strike-2014-02-12.tar.xz
var logsArchive []byte

//go:embed counter-strike-2014-02-12.json
var logsAnswers []byte

//go:embed logs.yaml
var logsRules []byte

// logsEnd is when the last day of the logs is over.
const logsEnd = "2014-02-13T00:00:00Z"

// Logs is a day of real logs, settled hour by hour.
type Logs struct {
	Summary ingest.Summary
	Report  announce.Report // what stands at its end
	Check   audit.Check     // against the other program's answers
}

// PlayLogs imports the day into the tables behind conn, which are empty, and settles
// it. Dir is a new folder for the node's spool.
func PlayLogs(ctx context.Context, conn driver.Conn, log *slog.Logger, dir string) (*Logs, error) {
	set, err := rulefile.Parse("logs.yaml", logsRules)
	if err != nil {
		return nil, err
	}
	through, err := rules.ParseInstant(logsEnd)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("unpack the logs: %w", err)
	}
	archive := filepath.Join(dir, logsName)
	if err := os.WriteFile(archive, logsArchive, 0o600); err != nil {
		return nil, fmt.Errorf("unpack the logs: %w", err)
	}
	l := &Logs{}
	if l.Summary, err = importLogs(ctx, conn, log, dir, archive); err != nil {
		return nil, err
	}
	s, err := settle.New(conn, log, settle.Config{})
	if err != nil {
		return nil, err
	}
	if _, err := s.Run(ctx, set, hour.Now{Mode: hour.Through, T: through}); err != nil {
		return nil, err
	}
	reports, err := announce.Load(ctx, conn, announce.Standing())
	if err != nil {
		return nil, err
	}
	l.Report = reports[0]
	return l, l.check()
}

func importLogs(ctx context.Context, conn driver.Conn, log *slog.Logger, dir, archive string) (s ingest.Summary, err error) {
	node, err := ingest.New(conn, log, ingest.Config{Node: "logs", Dir: dir}, time.Now)
	if err != nil {
		return s, err
	}
	if err := node.Open(); err != nil {
		return s, err
	}
	defer func() { _ = node.Close() }()
	if s, err = node.Import(ctx, ingest.ImportOptions{Server: "cs", Region: "eu", Paths: []string{archive}}); err != nil {
		return s, err
	}
	return s, node.Forward(ctx)
}

// check compares the report with the answers, line by line, both ways.
func (l *Logs) check() error {
	type finish struct {
		Player string        `json:"player"`
		At     rules.Instant `json:"at"`
		Kills  int64         `json:"kills"`
	}
	var answers struct {
		Firsts []struct {
			ID    string   `json:"id"`
			Three []finish `json:"first_three"`
		} `json:"world_first"`
		Boards map[string][]finish `json:"daily_kills_top10"`
		Sales  []struct {
			Day    string   `json:"day"`
			Buyers []finish `json:"buyers"`
		} `json:"sales"`
	}
	if err := json.Unmarshal(logsAnswers, &answers); err != nil {
		return fmt.Errorf("read the answers of the logs: %w", err)
	}
	want := map[string]bool{}
	for _, w := range answers.Firsts {
		for i, f := range w.Three {
			want[fmt.Sprintf("%s %d. %s at %s", w.ID, i+1, f.Player, f.At)] = true
		}
	}
	for day, lines := range answers.Boards {
		for i, f := range lines {
			want[fmt.Sprintf("board of %s: %d. %s with %d", day, i+1, f.Player, f.Kills)] = true
		}
	}
	for _, s := range answers.Sales {
		for i, f := range s.Buyers {
			want[fmt.Sprintf("sale of %s: %d. %s at %s", s.Day, i+1, f.Player, f.At)] = true
		}
	}
	l.Check = audit.Check{Guarantee: "logs", Name: "the real logs are settled as another program answers", OK: true, Problems: []string{}}
	got := l.lines()
	for _, line := range got {
		if !want[line] {
			l.Check.Problem("decided, but not the answer: %s", line)
		}
		delete(want, line)
	}
	for _, line := range slices.Sorted(maps.Keys(want)) {
		l.Check.Problem("not decided: %s", line)
	}
	l.Check.Checked = fmt.Sprintf("%d lines of %d files, %d winners, ranks and buyers compared", l.Summary.Lines, l.Summary.Files, len(got))
	return nil
}

// lines says what was decided in the words of check.
func (l *Logs) lines() []string {
	var lines []string
	for _, a := range l.Report.Awards {
		lines = append(lines, fmt.Sprintf("%s %d. %s at %s", a.Rule, a.Place, a.Subject, a.At))
	}
	for _, b := range l.Report.Leaderboards {
		for _, s := range b.Standings {
			lines = append(lines, fmt.Sprintf("board of %s: %d. %s with %s", b.Window.Opens.String()[:10], s.Place, s.Subject, s.Score))
		}
	}
	for _, s := range l.Report.Sales {
		for i, a := range s.Attempts {
			if a.State == rules.Reserved {
				lines = append(lines, fmt.Sprintf("sale of %s: %d. %s at %s", s.Window.Opens.String()[:10], i+1, a.Player, a.At))
			}
		}
	}
	return lines
}

// Write tells the day in a few lines.
func (l *Logs) Write(out io.Writer) error {
	p := &page{}
	fmt.Fprintf(p, "Real logs: a day of a Counter-Strike server that bots played on, %s lines with %s kills and purchases,\nsettled hour by hour in %d cuts.\n\n",
		announce.Grouped(l.Summary.Lines), announce.Grouped(l.Report.Cut.Events), l.Report.Cut.Number)
	for _, a := range l.Report.Awards {
		p.say("awarded", "First to 100 kills, place %d: %s on %s%s", a.Place, name(a.Subject), a.At.String()[:10], stamped(&a))
	}
	for _, b := range l.Report.Leaderboards {
		var top []string
		for _, s := range b.Standings[:min(len(b.Standings), 3)] {
			top = append(top, fmt.Sprintf("%d."+together+"%s"+together+"%s", s.Place, name(s.Subject), s.Score))
		}
		p.say("board", "Most kills of %s: %s", b.Window.Opens.String()[:10], strings.Join(top, " · "))
	}
	for i := range l.Report.Sales {
		s := &l.Report.Sales[i]
		var buyers []string
		for _, a := range s.Attempts {
			if a.State == rules.Reserved {
				buyers = append(buyers, a.Player)
			}
		}
		text := fmt.Sprintf("AWP of %s: %d of %d reserved, for %s", s.Window.Opens.String()[:10], s.Sold, *s.Stock, list(buyers))
		if s.SoldOut > 0 {
			text += fmt.Sprintf("; SOLD OUT, %s more told so", announce.Grouped(s.SoldOut))
		}
		p.say("sale", "%s", text)
	}
	p.WriteString("\nNow a world in which everything goes wrong.\n\n")
	_, err := io.WriteString(out, p.String())
	return err
}

// stamped writes the time of the day of an award's stamp, which names a whole second where
// the log has no more.
func stamped(a *announce.Award) string {
	if announce.WithinSecond(a.At, a.Earliest, a.Latest) {
		return ", within the second of" + together + a.At.Time().Format("15:04:05")
	}
	return " at " + moment(a.At, a.UncertaintyNs)
}
