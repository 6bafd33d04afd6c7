package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/spf13/cobra"

	"photofinish/announce"
	"photofinish/cmd/clickhouse"
	"photofinish/cmd/photofinish/demo"
	"photofinish/cmd/photofinish/demo/audit"
)

type demoOptions struct {
	seed  uint64
	hours int
	json  bool
	out   string
	keep  bool // the data folder was named, so it stays

	// tamper, where a test sets it, spoils the tables before they are audited.
	tamper func(context.Context, driver.Conn) error
}

func (a *app) demoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo [flags]",
		Short: "Play a whole world on this machine and check every guarantee",
		Long: `Settles a day of real Counter-Strike logs into awards, boards and a sale, and compares the
result with another program's. Then plays a world on this machine: an embedded ClickHouse, three regional ingest nodes, nine game
servers with wrong clocks, players who kill and buy, and everything going wrong that can:
events sent twice, to two nodes, late and out of order, a region cut off for hours, crashes
of nodes and of settlements, two settlements at once. The servers push over real HTTP, each
with a key, through a network that loses answers, cuts requests and brings some behind their
copies; each is sent again until it is answered. Each hour is settled and its report printed.
At the end every guarantee is checked against what truly happened, among them that what was
acknowledged is in the log, once however often it was sent, and nothing that nobody sent; the
exit code is 0 only if all of them held.

Time is simulated. The same seed plays the same world. Everything is in a temporary folder
that is removed at the end, unless --data names a new one to keep.`,
		Example: `  photofinish demo
  photofinish demo --out demo-report     # pages, pictures, Markdown and JSON to look at
  photofinish demo --seed 7 --hours 12
  photofinish demo --json | jq .audit`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.keep = cmd.Flags().Changed("data")
			return a.runDemo(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&o.seed, "seed", 1, "which world")
	f.IntVar(&o.hours, "hours", 6, fmt.Sprintf("how many hours it lasts, up to %d; the story takes 6", demo.MaxHours))
	f.BoolVar(&o.json, "json", false, "print one JSON document instead: the reports and the audit")
	f.StringVar(&o.out, "out", "", "a folder for the reports as pages, Markdown and JSON, with their pictures")
	return cmd
}

func (a *app) runDemo(ctx context.Context, o demoOptions) (err error) {
	if o.hours < 1 || o.hours > demo.MaxHours {
		return usagef("--hours is %d: give 1 to %d", o.hours, demo.MaxHours)
	}
	if o.out != "" {
		if err := os.MkdirAll(o.out, 0o750); err != nil {
			return usagef("--out: %w", err)
		}
	}
	if len(a.clickhouseAddrs) > 0 {
		fmt.Fprintln(a.stderr, "The demo has a ClickHouse of its own; clickhouse.addrs is not used.")
		a.clickhouseAddrs = nil
	}
	remove, err := a.demoFolder(o.keep)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	start := time.Now()
	if isTerminal(a.stderr) {
		fmt.Fprintln(a.stderr, "Starting ClickHouse …")
	}
	return a.withStore(ctx, func(server *clickhouse.Server) error {
		logs, err := a.playLogs(ctx, o)
		if err != nil {
			return err
		}
		err = a.playDemo(ctx, server.Conn(), o, logs)
		fmt.Fprintf(a.stderr, "It took %.1f s.\n", time.Since(start).Seconds())
		return err
	})
}

// demoFolder makes the data folder, and returns what removes it.
func (a *app) demoFolder(keep bool) (remove func() error, err error) {
	if keep {
		entries, err := os.ReadDir(a.data)
		switch {
		case err == nil && len(entries) > 0:
			return nil, usagef("the data folder %s is not empty: the demo makes a world of its own, so name a new folder", a.data)
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return nil, usagef("--data: %w", err)
		}
		return func() error { return nil }, nil
	}
	dir, err := os.MkdirTemp("", "photofinish-demo-*")
	if err != nil {
		return nil, fmt.Errorf("make a data folder for the demo: %w", err)
	}
	a.data = dir
	return func() error { return os.RemoveAll(dir) }, nil
}

// playLogs settles the real logs, in tables of their own.
func (a *app) playLogs(ctx context.Context, o demoOptions) (logs *demo.Logs, err error) {
	own := *a
	own.clickhouseDatabase = "photofinish_logs"
	err = own.withStore(ctx, func(server *clickhouse.Server) (err error) {
		logs, err = demo.PlayLogs(ctx, server.Conn(), a.log, filepath.Join(a.data, "spool-of-logs"))
		return err
	})
	if err != nil || o.json {
		return logs, err
	}
	return logs, logs.Write(a.stdout)
}

func (a *app) playDemo(ctx context.Context, conn driver.Conn, o demoOptions, logs *demo.Logs) error {
	if err := os.MkdirAll(a.spoolDir(), 0o750); err != nil {
		return fmt.Errorf("make the folder of the spools: %w", err)
	}
	cfg := demo.Config{Seed: o.seed, Hours: o.hours, Dir: a.spoolDir()}
	var world *demo.World
	var printing error
	cfg.Each = func(h *demo.Hour) {
		if o.json {
			return
		}
		printing = errors.Join(printing, world.WriteHour(a.stdout, h))
	}
	world, err := demo.New(conn, a.log, cfg)
	if err != nil {
		return usageError{err}
	}
	if !o.json {
		if err := world.WriteIntro(a.stdout); err != nil {
			return fmt.Errorf("print the introduction: %w", err)
		}
	}
	if err := world.Play(ctx); err != nil {
		return err
	}
	if printing != nil {
		return fmt.Errorf("print the reports: %w", printing)
	}
	if o.tamper != nil {
		if err := o.tamper(ctx, conn); err != nil {
			return err
		}
	}
	result, err := world.Audit(ctx)
	if err != nil {
		return err
	}
	result.Checks = append([]audit.Check{logs.Check}, result.Checks...)
	if err := a.printAudit(o, world, result); err != nil {
		return err
	}
	if o.out != "" {
		if err := writeDemo(ctx, conn, o, world, result); err != nil {
			return err
		}
	}
	return a.concludeDemo(o, result)
}

// concludeDemo says where to look next, and turns a failed audit into an error.
func (a *app) concludeDemo(o demoOptions, result *audit.Result) error {
	if !o.json {
		if o.out != "" {
			a.printf("\nThe reports are in %s: open index.html there in a browser.\n", o.out)
		} else {
			a.printf("\nWith --out DIR the reports are written there as pages, with the picture of the photo finish.\n")
		}
	}
	failed := result.Failed()
	switch {
	case len(failed) == 0:
		return nil
	case len(failed) == 1 && failed[0] == "G9":
		return errPerson
	}
	return fmt.Errorf("the audit failed: %s", strings.Join(failed, ", "))
}

func (a *app) printAudit(o demoOptions, world *demo.World, result *audit.Result) error {
	if o.json {
		body, err := demoJSON(o, world, result)
		if err != nil {
			return err
		}
		_, err = a.stdout.Write(body)
		return err
	}
	if err := demo.WriteAudit(a.stdout, result); err != nil {
		return err
	}
	if result.OK() {
		a.printf("\nEvery guarantee above held.\n")
	}
	return nil
}

// demoJSON is the one document of --json.
func demoJSON(o demoOptions, world *demo.World, result *audit.Result) ([]byte, error) {
	var reports bytes.Buffer
	if err := announce.WriteAllJSON(&reports, world.Reports()); err != nil {
		return nil, err
	}
	var list struct {
		Reports json.RawMessage `json:"reports"`
	}
	if err := json.Unmarshal(reports.Bytes(), &list); err != nil {
		return nil, fmt.Errorf("write the demo as JSON: %w", err)
	}
	notes := make([][]string, len(world.Hours))
	for i := range world.Hours {
		notes[i] = world.Hours[i].Notes
	}
	body, err := json.MarshalIndent(struct {
		Seed    uint64          `json:"seed,string"`
		Hours   int             `json:"hours"`
		OK      bool            `json:"ok"`
		Audit   []audit.Check   `json:"audit"`
		Counts  []audit.Count   `json:"counts"`
		Faults  audit.Faults    `json:"faults"`
		Notes   [][]string      `json:"notes"` // of each hour
		Reports json.RawMessage `json:"reports"`
	}{o.seed, o.hours, result.OK(), result.Checks, result.Counts, world.Faults, notes, list.Reports}, "", " ")
	if err != nil {
		return nil, fmt.Errorf("write the demo as JSON: %w", err)
	}
	return append(body, '\n'), nil
}

// writeDemo writes everything there is to look at into a folder.
func writeDemo(ctx context.Context, conn driver.Conn, o demoOptions, world *demo.World, result *audit.Result) error {
	standing, err := announce.Load(ctx, conn, announce.Standing())
	if err != nil {
		return err
	}
	reports := world.Reports()
	body, err := demoJSON(o, world, result)
	if err != nil {
		return err
	}
	files := []struct {
		name  string
		write func(io.Writer) error
	}{
		{"index.html", func(w io.Writer) error {
			return announce.Page{Title: fmt.Sprintf("World %d, hour by hour", o.seed)}.WriteHTML(w, reports)
		}},
		{"standing.html", func(w io.Writer) error {
			return announce.Page{
				Title:   fmt.Sprintf("World %d, what stands at the end", o.seed),
				Address: func(uint64) string { return "index.html" },
			}.WriteHTML(w, standing)
		}},
		{"report.md", func(w io.Writer) error { return announce.WriteMarkdown(w, reports) }},
		{"report.json", func(w io.Writer) error { _, err := w.Write(body); return err }},
		{"audit.txt", func(w io.Writer) error { return demo.WriteAudit(w, result) }},
		{"rules.yaml", func(w io.Writer) error { _, err := w.Write(demo.RulesYAML); return err }},
	}
	for i := range reports {
		for _, p := range announce.Pictures(&reports[i]) {
			files = append(files, struct {
				name  string
				write func(io.Writer) error
			}{p.Name, func(w io.Writer) error { _, err := w.Write(p.SVG); return err }})
		}
	}
	for _, f := range files {
		var b bytes.Buffer
		if err := f.write(&b); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
		if err := os.WriteFile(filepath.Join(o.out, f.name), b.Bytes(), 0o600); err != nil {
			return fmt.Errorf("write the reports: %w", err)
		}
	}
	return nil
}
