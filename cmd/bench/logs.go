package main

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/mikelolasagasti/xz"

	"photofinish/announce"
	"photofinish/ingest"
	"photofinish/rules"
	plan "photofinish/rules/hour"
	"photofinish/rules/rulefile"
	"photofinish/settle"
	"photofinish/settle/cost"
	"photofinish/settle/verify"
)

const logsHelp = `logs measures an import and a settlement of real logs.

  go run ./cmd/bench logs --logs DIR

DIR holds .tar.xz archives of one server's logs and, for the check, answers.json.
The floor of an import is unpacking the archives and finding their lines; that of
a cut is its two inserts, each made durable, and the two reads that see them back.
`

func runLogs(ctx context.Context, args []string) (err error) {
	f := flags("logs", logsHelp)
	logs := f.String("logs", "", "folder of .tar.xz archives, with answers.json")
	rulesFile := f.String("rules", "configs/counter-strike.yaml", "rules file that answers.json is about")
	if err := f.Parse(args); err != nil {
		return err
	}
	archives, err := filepath.Glob(filepath.Join(*logs, "*.tar.xz"))
	if err != nil || len(archives) == 0 {
		return fmt.Errorf("no .tar.xz in --logs %q", *logs)
	}
	dir, err := os.MkdirTemp("", "photofinish-bench-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server, err := openEngine(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	b := &logsBench{meter: meter{cost.Wrap(server.Conn())}, ctx: ctx, dir: dir, archives: archives}
	if err := b.readRules(*rulesFile); err != nil {
		return err
	}
	for _, step := range []func() error{b.measureImport, b.measureSettle, b.measureEmptyCuts, b.checkAnswers(*logs)} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// logsBench is one run over real logs: a data folder, and what is measured in it, in order.
type logsBench struct {
	meter
	ctx      context.Context
	dir      string
	archives []string
	set      *rules.Ruleset
	last     rules.Instant // of the events
	cuts     uint64
	perCut   usage // floor
}

func (b *logsBench) readRules(path string) error {
	source, err := os.ReadFile(path) //nolint:gosec // the user names the file
	if err != nil {
		return err
	}
	b.set, err = rulefile.Parse(path, source)
	return err
}

func (b *logsBench) measureImport() error {
	lines := 0
	floor, err := b.measure(b.ctx, func() error {
		for _, path := range b.archives {
			n, err := countLines(path)
			if err != nil {
				return err
			}
			lines += n
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := ingest.Migrate(b.ctx, b.conn); err != nil {
		return err
	}
	if err := settle.Migrate(b.ctx, b.conn); err != nil {
		return err
	}
	node, err := ingest.New(b.conn, slog.New(slog.DiscardHandler), ingest.Config{Node: "bench", Dir: filepath.Join(b.dir, "spool")}, time.Now)
	if err != nil {
		return err
	}
	if err := node.Open(); err != nil {
		return err
	}
	defer node.Close()
	events := 0
	for _, pass := range []string{"import", "import again"} {
		var summary ingest.Summary
		took, err := b.measure(b.ctx, func() (err error) {
			if summary, err = node.Import(b.ctx, ingest.ImportOptions{Server: "cs", Region: "eu", Paths: b.archives}); err != nil {
				return err
			}
			return node.Forward(b.ctx)
		})
		if err != nil {
			return err
		}
		if summary.Lines != lines {
			return fmt.Errorf("the import read %d lines, the floor %d", summary.Lines, lines)
		}
		if events > 0 && (summary.Accepted != 0 || summary.Duplicates != events) {
			return void("%s accepted %d events and found %d duplicates of %d", pass, summary.Accepted, summary.Duplicates, events)
		}
		if events = summary.Accepted + summary.Duplicates; events == 0 {
			return void("there are no events in %d lines", lines)
		}
		b.last = summary.Last
		fmt.Printf("%-22s %s   %s of unpacking; %d lines, %d accepted, %d duplicates\n", pass, took, ratio(took, floor), summary.Lines, summary.Accepted, summary.Duplicates)
	}
	return nil
}

// countLines unpacks an archive and finds the ends of its lines: the least that any
// import has to do.
func countLines(path string) (int, error) {
	f, err := os.Open(path) //nolint:gosec // the user names the folder
	if err != nil {
		return 0, err
	}
	defer f.Close()
	unpacked, err := xz.NewReader(bufio.NewReaderSize(f, 1<<16), 0)
	if err != nil {
		return 0, err
	}
	lines := 0
	for members := tar.NewReader(unpacked); ; {
		if _, err := members.Next(); err == io.EOF {
			return lines, nil
		} else if err != nil {
			return 0, err
		}
		for scan := bufio.NewScanner(members); scan.Scan(); {
			lines++
		}
	}
}

func (b *logsBench) run(through rules.Instant) (settle.Result, usage, error) {
	s, err := settle.New(b.conn, slog.New(slog.DiscardHandler), settle.Config{})
	if err != nil {
		return settle.Result{}, usage{}, err
	}
	var result settle.Result
	took, err := b.measure(b.ctx, func() (err error) {
		result, err = s.Run(b.ctx, b.set, plan.Now{Mode: plan.Through, T: through})
		return err
	})
	return result, took, err
}

const hour = rules.Instant(time.Hour)

func (b *logsBench) measureSettle() error {
	var err error
	if b.perCut, err = b.bareCut(b.ctx); err != nil {
		return err
	}
	fmt.Printf("%-22s %s\n", "a bare cut (floor)", b.perCut)
	b.last += hour - b.last%hour
	result, took, err := b.run(b.last)
	if err != nil {
		return err
	}
	b.cuts = result.Last
	fmt.Printf("%-22s %s   %d cuts, %d rules, %d entries\n", "settle hour by hour", took, b.cuts, len(b.set.Rules), result.Entries)
	fmt.Printf("%-22s %s   %s of a bare cut\n", "  a cut", took.per(b.cuts), ratio(took.per(b.cuts), b.perCut))
	return nil
}

// measureEmptyCuts settles hours in which nothing happened, a few and then more, so
// that what a run costs at its start and what each cut costs come apart.
func (b *logsBench) measureEmptyCuts() error {
	var runs []usage
	const few, more = 4, 24 // a longer silence would be closed in one cut
	for _, hours := range []rules.Instant{few, more} {
		b.last += hours * hour
		result, took, err := b.run(b.last)
		if err != nil {
			return err
		}
		if n := rules.Instant(result.Last - b.cuts); n != hours {
			return fmt.Errorf("%d empty hours made %d cuts", hours, n)
		}
		b.cuts = result.Last
		runs = append(runs, took)
	}
	cut := usage{wall: runs[1].wall - runs[0].wall, cpu: runs[1].cpu - runs[0].cpu}.per(more - few)
	fmt.Printf("%-22s %s   %s of a bare cut\n", "  an empty cut", cut, ratio(cut, b.perCut))
	fmt.Printf("%-22s %s\n", "  a run's start", usage{wall: runs[0].wall - few*cut.wall, cpu: runs[0].cpu - few*cut.cpu})
	return nil
}

// checkAnswers voids the figures if what was settled is wrong.
func (b *logsBench) checkAnswers(logs string) func() error {
	return func() error {
		var v verify.Verification
		took, err := b.measure(b.ctx, func() (err error) { v, err = verify.Run(b.ctx, b.conn, verify.Config{}); return err })
		if err != nil {
			return err
		}
		if len(v.Mismatches) > 0 {
			return fmt.Errorf("the figures are void: %s", v.Mismatches[0])
		}
		fmt.Printf("%-22s %s   %d cuts, no difference\n", "verify", took, v.Cuts)
		reports, err := announce.Load(b.ctx, b.conn, announce.Standing())
		if err != nil {
			return err
		}
		text, err := os.ReadFile(filepath.Join(logs, "answers.json")) //nolint:gosec // the user names the folder
		if err != nil {
			return fmt.Errorf("the answers cannot be checked: %w", err)
		}
		var answers struct {
			WorldFirsts []struct {
				ID    string `json:"id"`
				Three []struct {
					Player string        `json:"player"`
					At     rules.Instant `json:"at"`
				} `json:"first_three"`
			} `json:"world_first"`
		}
		if err := json.Unmarshal(text, &answers); err != nil {
			return err
		}
		type finish struct {
			rule, subject string
			place         int
			at            rules.Instant
		}
		awards := map[finish]bool{}
		for _, a := range reports[0].Awards {
			awards[finish{a.Rule, a.Subject, a.Place, a.At}] = true
		}
		n := 0
		for _, w := range answers.WorldFirsts {
			for i, f := range w.Three {
				if n++; !awards[finish{w.ID, f.Player, i + 1, f.At}] {
					return fmt.Errorf("the figures are void: %s place %d should be %s at %s", w.ID, i+1, f.Player, f.At)
				}
			}
		}
		if n != len(awards) {
			return fmt.Errorf("the figures are void: %d awards, the answers have %d", len(awards), n)
		}
		fmt.Printf("answers: all %d places of %d world-firsts as another program found them\n", n, len(answers.WorldFirsts))
		return nil
	}
}
