package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"photofinish/announce"
	"photofinish/cmd/clickhouse"
	"photofinish/rules"
	"photofinish/settle"
)

type settleOptions struct {
	rules, through string
	period         time.Duration
	dryRun, json   bool
}

func (a *app) settleCommand() *cobra.Command {
	var o settleOptions
	cmd := &cobra.Command{
		Use:   "settle --rules FILE [flags]",
		Short: "Settle every period that is due",
		Long: `Closes period after period with a recorded cut of the merged log, decides each as a pure
function of that cut, and appends the outcome to the ledger. Late events that have come since
are taken in, and what they change is corrected by new entries. A run that was stopped goes on
where it was; several runs at once come to the same ledger.

Without --through it settles up to the last full period that the watermarks of all nodes have
passed. With it, what is in the log before that time is treated as complete.`,
		Example: `  photofinish settle --rules configs/counter-strike.yaml --through 2014-02-21T00:00:00Z
  photofinish settle --rules rules.yaml --dry-run --json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runSettle(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.rules, "rules", "", "the rules file")
	f.StringVar(&o.through, "through", "", "settle up to this time (RFC 3339), taking the log as complete")
	f.DurationVar(&o.period, "period", settle.DefaultPeriod, "the time that one cut closes; a very long one settles all in one cut")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would be decided and write nothing")
	f.BoolVar(&o.json, "json", false, "print the report of this run as JSON")
	return cmd
}

func (a *app) runSettle(ctx context.Context, o settleOptions) error {
	set, err := readRuleset(o.rules)
	if err != nil {
		return err
	}
	through, err := parseTime("through", o.through)
	if err != nil {
		return err
	}
	if err := a.needData(); err != nil {
		return err
	}
	if through > rules.Instant(time.Now().UnixNano()) {
		fmt.Fprintf(a.stderr, "--through %s is in the future: what happens until then will count as late.\n", through)
	}
	return a.withStore(ctx, func(server *clickhouse.Server) error {
		run := runLog{line: a.progress()}
		s, err := settle.New(server.Conn(), a.log, settle.Config{Period: o.period, DryRun: o.dryRun, Each: run.add})
		if err != nil {
			return usageError{err}
		}
		result, err := s.Run(ctx, set, settle.Until{Through: through, Complete: through != 0, Now: rules.Instant(time.Now().UnixNano())})
		run.line.done()
		if err != nil {
			return err
		}
		return a.printRun(ctx, server, result, &run, set, o)
	})
}

// runLog remembers what a run settled.
type runLog struct {
	line    *progressLine
	cuts    []rules.Cut
	entries []rules.Entry
}

func (r *runLog) add(cut rules.Cut, entries []rules.Entry) {
	r.line.show("settled cut %d, through %s", cut.Number, cut.Through)
	r.cuts = append(r.cuts, cut)
	r.entries = append(r.entries, entries...)
}

// printRun reports what the run decided. A dry run is not in the ledger, so its
// report is made from what it decided alone.
func (a *app) printRun(ctx context.Context, server *clickhouse.Server, result settle.Result, run *runLog, set *rules.Ruleset, o settleOptions) error {
	if o.dryRun && slices.ContainsFunc(set.Rules, func(r rules.Rule) bool { return r.Draws() }) {
		fmt.Fprintln(a.stderr, "Draws come out otherwise in earnest: their seeds are sealed only then.")
	}
	if result.First == 0 {
		if o.json { // nothing new: what stands
			return a.printReports(ctx, server, announce.Standing(), "json")
		}
		a.printf("nothing is due\n")
		a.sayWhy(result)
		return nil
	}
	var reports []announce.Report
	var err error
	span := announce.Range(result.First, result.Last)
	if o.dryRun {
		reports, err = announce.Build(run.cuts, run.entries, []*rules.Ruleset{set}, span)
	} else {
		reports, err = announce.Load(ctx, server.Conn(), span)
	}
	if err != nil {
		return err
	}
	if o.json {
		err = announce.WriteJSON(a.stdout, &reports[0])
	} else {
		if o.dryRun {
			a.printf("Dry run: nothing was written.\n\n")
		}
		err = announce.WriteMarkdown(a.stdout, reports)
	}
	if err == nil && len(reports[0].Conflicts) > 0 {
		return errPerson
	}
	return err
}

// sayWhy tells what a run that found nothing due waits for.
func (a *app) sayWhy(result settle.Result) {
	if result.Slowest.Node != "" {
		a.printf("node %s has reported everything before %s and is waited for; --through settles without waiting\n",
			result.Slowest.Node, result.Slowest.Watermark)
	}
	if result.NewRules {
		a.printf("the rules are not those of the last cut; they apply from the next one on\n")
	}
}
