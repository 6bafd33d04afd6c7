package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/spf13/cobra"

	"photofinish/announce"
	"photofinish/cmd/clickhouse"
	"photofinish/rules"
	"photofinish/rules/hour"
	"photofinish/settle"
	"photofinish/settle/cost"
)

type settleOptions struct {
	*options

	at, through        string
	dryRun, json, loop bool
}

func (a *app) settleCommand() *cobra.Command {
	o := settleOptions{options: &a.options}
	cmd := &cobra.Command{
		Use:   "settle --rules FILE [flags]",
		Short: "Settle every cut that is due",
		Long: `Closes hour after hour with a recorded cut of the merged log, decides each as a pure function
of that cut, and appends the outcome to the ledger. Late events that have come since are taken
in, and what they change is corrected by new entries. A run that was stopped goes on where it
was; several runs at once come to the same ledger.

An hour is due two minutes after its end, whoever has not reported yet: who lags is named in the
cut, and what it may still change is held. --at settles as the run of that time would; --through
settles up to a time, which may lie inside an hour, and waits for nobody.

With --loop it stays, and settles by settle.schedule as serve does: that part of serve alone.
Any number may run; they come to the same ledger, so a second one is a standby.`,
		Example: `  photofinish settle --rules configs/counter-strike.yaml --through 2014-02-21T00:00:00Z
  photofinish settle --rules rules.yaml --at 2026-11-21T08:02:00Z --json
  photofinish settle --rules rules.yaml --loop`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !o.loop {
				return a.runSettle(cmd.Context(), o)
			}
			if o.at != "" || o.through != "" || o.dryRun || o.json {
				return usagef("--loop settles by the schedule: give it without --at, --through, --dry-run and --json")
			}
			return a.run(cmd.Context(), roles{settle: true})
		},
	}
	f := cmd.Flags()
	o.settleFlags(f)
	o.silenceFlag(f)
	o.adminFlags(f)
	f.StringVar(&o.at, "at", "", "settle as the run of this time would (RFC 3339); default: now")
	f.StringVar(&o.through, "through", "", "settle up to this time (RFC 3339), taking the log as complete")
	durationVar(f, &o.period, "period", time.Hour, "the time that one cut closes, from 10s on")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would be decided and write nothing")
	f.BoolVar(&o.json, "json", false, "print the report of this run as JSON, with what it cost")
	f.BoolVar(&o.loop, "loop", false, "stay, and settle by the schedule")
	alsoBy(f, map[string]string{"settle.rules": "rules", "settle.period": "period", "log.level": "log-level", "log.format": "log-format"})
	return cmd
}

// now reads the time that the run is asked for; the clock, if for none.
func (o settleOptions) now() (hour.Now, error) {
	if o.at != "" && o.through != "" {
		return hour.Now{}, usagef("give --at or --through, not both: one waits for who lags, the other for nobody")
	}
	at, err := parseTime("at", o.at)
	if err != nil {
		return hour.Now{}, err
	}
	through, err := parseTime("through", o.through)
	if err != nil {
		return hour.Now{}, err
	}
	switch {
	case o.at != "":
		return hour.Now{Mode: hour.At, T: at}, nil
	case o.through != "":
		return hour.Now{Mode: hour.Through, T: through}, nil
	}
	return hour.Now{Mode: hour.Scheduled, T: rules.Instant(time.Now().UnixNano())}, nil
}

func (a *app) runSettle(ctx context.Context, o settleOptions) error {
	set, err := readRuleset(o.rules)
	if err != nil {
		return err
	}
	now, err := o.now()
	if err != nil {
		return err
	}
	rhythm, err := o.hour()
	if err != nil {
		return err
	}
	if err := a.needData(); err != nil {
		return err
	}
	if now.Mode != hour.Scheduled && now.T > rules.Instant(time.Now().UnixNano()) {
		fmt.Fprintf(a.stderr, "%s is in the future: what happens until then will count as late.\n", now.T)
	}
	return a.withLog(ctx, func(server *clickhouse.Server) error {
		if o.dryRun {
			return a.trial(ctx, server, set, settle.Config{Hour: rhythm}, now, true, o.json)
		}
		line, began := a.progress(), time.Now()
		conn := cost.Wrap(server.Conn())
		s, err := settle.New(conn, a.log, settle.Config{
			Hour:  rhythm,
			Store: server,
			Each:  func(cut rules.Cut, _ []rules.Entry) { line.show("settled cut %d, through %s", cut.Number, cut.Through) },
		})
		if err != nil {
			return usageError{err}
		}
		result, err := s.Run(ctx, set, now)
		line.done()
		for _, w := range result.Warnings {
			fmt.Fprintln(a.stderr, w)
		}
		if err != nil {
			return err
		}
		total := conn.Meter.Total()
		return a.printRun(ctx, server.Conn(), result, o.json, announce.Cost{
			Cuts: result.Cuts, Queries: total.Queries, RowsRead: total.RowsRead, BytesRead: total.BytesRead,
			Seconds: time.Since(began).Seconds(),
		})
	})
}

// printRun reports what the run decided: as JSON with what it cost, and what stands
// if it decided nothing.
func (a *app) printRun(ctx context.Context, conn driver.Conn, result settle.Result, asJSON bool, spent announce.Cost) error {
	if result.First == 0 && !asJSON {
		a.printf("nothing is due\n")
		if result.NewRules {
			a.printf("the rules are not those of the last cut; they apply from the next one on\n")
		}
		return nil
	}
	selection := announce.Standing()
	if result.First != 0 {
		selection = announce.Range(result.First, result.Last)
	}
	reports, err := announce.Load(ctx, conn, selection)
	switch {
	case errors.Is(err, announce.ErrNothingSettled):
		reports = []announce.Report{announce.Empty()}
	case err != nil:
		return err
	}
	if asJSON {
		reports[0].Cost = &spent
		err = announce.WriteJSON(a.stdout, &reports[0])
	} else {
		err = announce.WriteMarkdown(a.stdout, reports)
	}
	if err == nil && result.First != 0 && len(reports[0].Conflicts) > 0 {
		return errPerson
	}
	return err
}
