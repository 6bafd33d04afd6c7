package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"photofinish/cmd/clickhouse"
	"photofinish/rules"
	"photofinish/rules/hour"
	"photofinish/rules/rulefile"
	"photofinish/settle"
)

func (a *app) rulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules lint|explain|test|backtest FILE",
		Short: "Check, explain and try a rules file",
		Example: `  photofinish rules lint rules.yaml
  photofinish rules backtest rules.yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q: rules lint, explain, test or backtest", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.lintCommand(), a.explainRulesCommand(), a.testRulesCommand(), a.backtestCommand())
	return cmd
}

func (a *app) lintCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "lint FILE",
		Short: "Check a rules file: every problem at once, with its place",
		Long: `Checks a rules file and names every problem at once, with its line, column, rule and field.
A warning is of a rule that says something else than it seems to, and changes no exit code.`,
		Example: `  photofinish rules lint configs/rabbits.yaml
  photofinish rules lint --json rules.yaml`,
		Args: exactArgs("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			set, err := readRuleset(args[0])
			if asJSON {
				return a.printLint(args[0], set, err)
			}
			if err != nil {
				return err
			}
			for _, warning := range rulefile.Warnings(set) {
				fmt.Fprintf(a.stderr, "%s: %s\n", args[0], warning)
			}
			a.printf("%s: %d rules, no problems, digest %s\n", args[0], len(set.Rules), set.Digest)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// printLint prints what a check of a rules file came to as JSON, and returns why it was
// refused. A file that cannot be read has no problems to print.
func (a *app) printLint(file string, set *rules.Ruleset, refused error) error {
	lint := struct {
		File     string             `json:"file"`
		OK       bool               `json:"ok"`
		Rules    int                `json:"rules"`
		Digest   string             `json:"digest"`   // empty: it was refused
		Problems []rulefile.Problem `json:"problems"` // in the order of the file
		Warnings []string           `json:"warnings"` // by rule
	}{File: file, Problems: []rulefile.Problem{}, Warnings: []string{}}
	problems, ok := errors.AsType[*rulefile.Error](refused)
	switch {
	case ok:
		lint.Problems = problems.Problems
	case refused != nil:
		return refused
	default:
		lint.OK, lint.Rules, lint.Digest = true, len(set.Rules), set.Digest
		lint.Warnings = append(lint.Warnings, rulefile.Warnings(set)...)
	}
	if err := a.printJSON(&lint); err != nil {
		return err
	}
	return refused
}

func (a *app) explainRulesCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "explain FILE",
		Short:   "Say of each rule what it decides, and what it has to wait for",
		Example: "  photofinish rules explain configs/rabbits.yaml",
		Args:    exactArgs("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			set, err := readRuleset(args[0])
			if err != nil {
				return err
			}
			for i := range set.Rules {
				r := &set.Rules[i]
				if i > 0 {
					a.printf("\n")
				}
				a.printf("%s (%s)\n  %s\n  %s\n", r.ID, r.Kind, rulefile.Describe(r), rulefile.Needs(r))
			}
			return nil
		},
	}
}

func (a *app) backtestCommand() *cobra.Command {
	var through string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "backtest FILE",
		Short: "Show what the rules would have decided on the log there is",
		Long: `Settles the whole log from its beginning by this file, in a database of its own that
is dropped at the end: what was really decided plays no part, and stays.`,
		Example: "  photofinish rules backtest --through 2014-02-21T00:00:00Z configs/counter-strike.yaml",
		Args:    exactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := readRuleset(args[0])
			if err != nil {
				return err
			}
			end, err := parseTime("through", through)
			if err != nil {
				return err
			}
			return a.backtest(cmd.Context(), set, end, asJSON)
		},
	}
	cmd.Flags().StringVar(&through, "through", "", "up to this time (RFC 3339); default: now")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

func (a *app) backtest(ctx context.Context, set *rules.Ruleset, through rules.Instant, asJSON bool) error {
	if err := a.needData(); err != nil {
		return err
	}
	now := hour.Now{Mode: hour.Through, T: through}
	if through == 0 {
		now = hour.Now{Mode: hour.Scheduled, T: rules.Instant(time.Now().UnixNano())}
	}
	return a.withLog(ctx, func(server *clickhouse.Server) error {
		return a.trial(ctx, server, set, settle.Config{}, now, false, asJSON)
	})
}
