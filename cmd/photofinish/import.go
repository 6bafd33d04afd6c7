package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"photofinish/cmd/clickhouse"
	"photofinish/ingest"
	"photofinish/rules"
)

type importOptions struct {
	server, region, format, timezone, node, until string
	clockErr                                      time.Duration
	again, json                                   bool
}

func (a *app) importCommand() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import --server NAME --region R [flags] PATH…",
		Short: "Read log files, folders or archives of them into the merged log",
		Long: `Reads log files, folders, and .gz, .xz, .zst, .tar or .tar.xz of them, through the same checks
as events from the network. All of it is taken in or, where a file is missing or damaged,
nothing. Ctrl-C ends it, with nothing taken in; a second one ends it at once.

An event of a log is known by its server and by the file's name, first line and line number.
So importing the same again, in any order, or files that have grown since, adds only what is
new, and a log of the same name of another year is another log. Events of other formats
bring an id of their own.

Lines that tell a kill or a purchase are refused where a player's name or words could have
made them; so are stamps that are no time in the server's zone. Refused lines are counted with
an example of each reason. The last line of a log that has no end yet is left for later.

What the server has sent itself by HTTP has other ids: logs of the same time are refused
with that time named, unless --again is given.

Exit code 2: nothing was taken in, the files or the command line are wrong or every event
was refused. 3: taken in, but an event is in the log with other content.`,
		Example: `  photofinish import --server eu-1 --region eu logs/
  photofinish import --server eu-1 --region eu --timezone Europe/Berlin 20140213.tar.xz 20140214.tar.xz
  photofinish import --server us-2 --region us --format ndjson events.ndjson.gz`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("name the files, folders or archives to import; see %s --help", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.runImport(cmd.Context(), o, args) },
	}
	f := cmd.Flags()
	f.StringVar(&o.server, "server", "", "the game server whose events these are")
	f.StringVar(&o.region, "region", "", "where that server stands")
	f.StringVar(&o.format, "format", "", "source-log, ndjson or cloudevents; by default as the name says, else source-log")
	f.StringVar(&o.timezone, "timezone", "UTC", "zone of the server's clock, for the times in logs, which name none")
	f.StringVar(&o.node, "node", "import", "the ingest node that takes them in")
	f.StringVar(&o.until, "until", "", "the log of this region is complete up to this time (RFC 3339); default: its last event")
	f.DurationVar(&o.clockErr, "clock-error", 0, "how far off the server's clock may have been")
	f.BoolVar(&o.again, "again", false, "take logs in even if the server has sent their time itself")
	f.BoolVar(&o.json, "json", false, "print the summary as JSON")
	return cmd
}

func (a *app) runImport(ctx context.Context, o importOptions, paths []string) error {
	if o.server == "" || o.region == "" {
		return usagef("name the game server and its region: import --server NAME --region R PATH…")
	}
	format, err := ingest.ParseFormat(o.format)
	if err != nil {
		return usageError{err}
	}
	zone, err := time.LoadLocation(o.timezone)
	if err != nil {
		return usagef("--timezone %q is not a zone such as UTC or Europe/Berlin", o.timezone)
	}
	until, err := parseTime("until", o.until)
	if err != nil {
		return err
	}
	for _, path := range paths { // before a data folder is made for nothing
		if _, err := os.Stat(path); err != nil {
			return usagef("import: %w", err)
		}
	}
	return a.withStore(ctx, func(server *clickhouse.Server) (err error) {
		node, err := ingest.New(server.Conn(), a.log, ingest.Config{Node: o.node, Dir: a.spoolDir()}, time.Now)
		if err != nil {
			return usageError{err}
		}
		if err := node.Open(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, node.Close()) }()
		line := a.progress()
		summary, err := node.Import(ctx, ingest.ImportOptions{
			Server: o.server, Region: o.region, Format: format, Location: zone, Paths: paths, ClockErr: o.clockErr, Until: until, Again: o.again,
			Progress: func(p ingest.Progress) {
				line.show("reading %3d%%  %d files, %d lines", 100*p.Bytes/max(p.TotalBytes, 1), p.Files, p.Lines)
			},
		})
		line.done()
		if err != nil {
			return err
		}
		line.show("sending to the log")
		if err := node.Forward(ctx); err != nil {
			return fmt.Errorf("the events are taken in and will be sent by the next import or serve of node %s: %w", o.node, err)
		}
		line.done()
		if err := a.printSummary(&summary, o.json); err != nil {
			return err
		}
		switch {
		case summary.Conflicts > 0:
			return errPerson
		case summary.AllRefused():
			return usagef("import: every event was refused; nothing was taken in")
		}
		return nil
	})
}

func (a *app) printSummary(s *ingest.Summary, asJSON bool) error {
	if asJSON {
		return a.printJSON(struct {
			*ingest.Summary
			First *rules.Instant `json:"first"`
			Last  *rules.Instant `json:"last"`
		}{s, someInstant(s.First), someInstant(s.Last)})
	}
	a.printf("read %d lines of %d files: %d events accepted, %d duplicates", s.Lines, s.Files, s.Accepted, s.Duplicates)
	a.printf(", %d refused\n", refusedLines(s))
	for _, r := range s.Refused {
		a.printf("  refused %6d  %s, as in %s\n", r.Count, r.Reason, r.Example)
	}
	for _, k := range s.Skipped {
		if k.Kind == ingest.Unfinished {
			a.printf("  skipped %6d  last lines that are not finished: import them again once they are\n", k.Count)
		}
	}
	if len(s.Skipped) > 0 {
		kinds := 0
		for _, k := range s.Skipped {
			kinds += k.Count
		}
		const shown = 8
		var names []string
		for i, k := range s.Skipped {
			if i == shown {
				names = append(names, "…")
				break
			}
			names = append(names, k.Kind)
		}
		a.printf("  skipped %6d  lines that are no kill or purchase (%s)\n", kinds, strings.Join(names, ", "))
	}
	if s.FilesSkipped > 0 {
		a.printf("  skipped %6d  files that are not of the format\n", s.FilesSkipped)
	}
	if s.Conflicts > 0 {
		a.printf("  %d events are in the log with other content, as %s: both are kept, the first counts\n", s.Conflicts, s.Conflict)
	}
	if first := cmp.Or(s.First, s.Last); first != 0 {
		a.printf("  from %s to %s\n", s.First, s.Last)
	}
	return nil
}

func refusedLines(s *ingest.Summary) int {
	n := 0
	for _, r := range s.Refused {
		n += r.Count
	}
	return n
}

func someInstant(i rules.Instant) *rules.Instant {
	if i == 0 {
		return nil
	}
	return &i
}

// printJSON writes one JSON document.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
