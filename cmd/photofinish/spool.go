package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"photofinish/ingest/spool"
)

func (a *app) spoolCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "spool check",
		Short:   "Look for damage in the spools of this machine's nodes, and mend it",
		Example: "  photofinish spool check",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q: spool check", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.checkSpoolCommand())
	return cmd
}

func (a *app) checkSpoolCommand() *cobra.Command {
	var mend, asJSON bool
	cmd := &cobra.Command{
		Use:   "check [NODE…] [--mend]",
		Short: "Read every event in the nodes' spools and name what is damaged",
		Long: `Reads the spools in the data folder, all of them or those of the nodes named, and says what
of them cannot be read. It changes nothing, and the nodes may be running. A node goes on by
itself past any damage: what the log has, too, is no loss, and what it lacks is named as lost
by "nodes list". Segments with damage are put aside in the folder damaged/ of their spool.

With --mend, which needs the node to be stopped, the events that can still be read in damaged/
are taken in again under new offsets; those that the log has are duplicates and count once.
Each file is then named .mended and stays until you remove it. The events go to the log when
the node runs again, or before the next settle on this machine.

It exits with 3 if anything is damaged.`,
		Example: `  photofinish spool check
  photofinish spool check local --mend`,
		RunE: func(_ *cobra.Command, nodes []string) error { return a.checkSpools(nodes, mend, asJSON) },
	}
	cmd.Flags().BoolVar(&mend, "mend", false, "take in again what can be read of the segments that were put aside")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// spoolReport is what was found in a node's spool.
type spoolReport struct {
	Node   string `json:"node"`
	OK     bool   `json:"ok"`
	Mended uint64 `json:"mended"` // events that were taken in again
	spool.Report
}

func (a *app) checkSpools(nodes []string, mend, asJSON bool) error {
	if len(nodes) == 0 {
		entries, err := os.ReadDir(a.spoolDir())
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("look for spools: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() {
				nodes = append(nodes, e.Name())
			}
		}
	}
	if len(nodes) == 0 {
		return usagef("there is no spool in %s; name another data folder with --data", a.spoolDir())
	}
	reports := []spoolReport{}
	bad := false
	for _, node := range nodes {
		r, err := a.checkSpool(node, mend)
		if err != nil {
			return err
		}
		bad = bad || !r.OK
		reports = append(reports, r)
		if !asJSON {
			a.printSpool(&r, mend)
		}
	}
	if asJSON {
		if err := a.printJSON(map[string]any{"spools": reports}); err != nil {
			return err
		}
	}
	if bad {
		return errPerson
	}
	return nil
}

func (a *app) checkSpool(node string, mend bool) (spoolReport, error) {
	dir := filepath.Join(a.spoolDir(), node)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() || filepath.Base(dir) != node {
		return spoolReport{}, usagef("no node %q has a spool in %s", node, a.spoolDir())
	}
	r := spoolReport{Node: node}
	var err error
	if mend {
		r.Mended, err = spool.Mend(dir, spool.Options{Log: a.log})
		if errors.Is(err, spool.ErrLocked) {
			return r, fmt.Errorf("mend the spool of node %s: %w: stop the node first", node, err)
		}
		if err != nil {
			return r, fmt.Errorf("mend the spool of node %s: %w", node, err)
		}
	}
	if r.Report, err = spool.Check(dir); err != nil {
		return r, fmt.Errorf("check the spool of node %s: %w", node, err)
	}
	r.OK = r.Report.OK()
	return r, nil
}

func (a *app) printSpool(r *spoolReport, mend bool) {
	events := uint64(0)
	for i := range r.Segments {
		events += r.Segments[i].Events
	}
	verdict := "nothing is damaged"
	if !r.OK {
		verdict = "something is damaged"
	}
	a.printf("%s: %d segments with %d events; %s\n", r.Node, len(r.Segments), events, verdict)
	for _, problem := range r.Problems {
		a.printf("  %s\n", problem)
	}
	for _, g := range append(r.Segments, r.Damaged...) {
		for _, problem := range g.Problems {
			a.printf("  %s: %s\n", g.Path, problem)
		}
	}
	if len(r.Damaged) > 0 {
		a.printf("  %d segments are put aside; with the node stopped, --mend takes in again what can be read of them\n", len(r.Damaged))
	}
	if mend {
		a.printf("  %d events were taken in again\n", r.Mended)
	}
}
