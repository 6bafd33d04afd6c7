package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"photofinish/announce"
	"photofinish/cmd/clickhouse"
)

type reportOptions struct {
	format      string
	cut         uint64
	latest, all bool
	output      string
}

func (a *app) reportCommand() *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:   "report [flags]",
		Short: "Show what was decided",
		Long: `Shows what the ledger says: by default everything that stands, in one report. --cut, --latest
and --all show what single settlements decided at their time.`,
		Example: `  photofinish report
  photofinish report --format html --output report.html
  photofinish report --latest --format json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			chosen := 0
			for _, name := range []string{"cut", "latest", "all"} {
				if cmd.Flags().Changed(name) {
					chosen++
				}
			}
			if chosen > 1 || cmd.Flags().Changed("cut") && o.cut == 0 {
				return usagef("give one of --cut N (from 1), --latest and --all, or none")
			}
			return a.runReport(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "md", "md, html or json")
	f.Uint64Var(&o.cut, "cut", 0, "what the settlement of that number decided")
	f.BoolVar(&o.latest, "latest", false, "what the last settlement decided")
	f.BoolVar(&o.all, "all", false, "a report for each settlement")
	f.StringVar(&o.output, "output", "", "write to this file, the pictures of a Markdown report beside it; default: standard output")
	return cmd
}

func (o reportOptions) selection() announce.Selection {
	switch {
	case o.cut > 0:
		return announce.One(o.cut)
	case o.latest:
		return announce.Latest()
	case o.all:
		return announce.All()
	}
	return announce.Standing()
}

func (a *app) runReport(ctx context.Context, o reportOptions) error {
	if o.format != "md" && o.format != "html" && o.format != "json" {
		return usagef("--format is %q: give md, html or json", o.format)
	}
	if err := a.needData(); err != nil {
		return err
	}
	return a.withStore(ctx, func(server *clickhouse.Server) error {
		if o.output == "" {
			return a.printReports(ctx, server, o.selection(), o.format)
		}
		reports, err := announce.Load(ctx, server.Conn(), o.selection())
		if err != nil {
			return err
		}
		if err := writeFile(o.output, func(w io.Writer) error { return writeReports(w, reports, o.format, o.all) }); err != nil {
			return err
		}
		if o.format != "md" {
			return nil
		}
		return writePictures(filepath.Dir(o.output), reports)
	})
}

// printReports writes the reports of a selection to standard output.
func (a *app) printReports(ctx context.Context, server *clickhouse.Server, selection announce.Selection, format string) error {
	reports, err := announce.Load(ctx, server.Conn(), selection)
	if errors.Is(err, announce.ErrNothingSettled) && format == "json" && selection == announce.Standing() {
		reports, err = []announce.Report{announce.Empty()}, nil
	}
	if err != nil {
		return err
	}
	return writeReports(a.stdout, reports, format, selection == announce.All())
}

func writeReports(w io.Writer, reports []announce.Report, format string, all bool) error {
	switch {
	case format == "html":
		return announce.Page{}.WriteHTML(w, reports)
	case format == "md":
		return announce.WriteMarkdown(w, reports)
	case all:
		return announce.WriteAllJSON(w, reports)
	}
	return announce.WriteJSON(w, &reports[0])
}

// writePictures writes the photo finishes that Markdown refers to.
func writePictures(dir string, reports []announce.Report) error {
	for i := range reports {
		for _, p := range announce.Pictures(&reports[i]) {
			err := writeFile(filepath.Join(dir, p.Name), func(w io.Writer) error {
				_, err := w.Write(p.SVG)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// writeFile writes a file whole or not at all.
func writeFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(write(f), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
