package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"photofinish/rules/scenario"
)

func (a *app) testRulesCommand() *cobra.Command {
	var update bool
	cmd := &cobra.Command{
		Use:   "test FILE…",
		Short: "Run scenario files: what the rules must decide of a few events",
		Long:  scenario.Help,
		Example: `  photofinish rules test rules/scenario/testdata/scenarios/*.txtar
  photofinish rules test --update mine.txtar`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("name the scenario files; %s --help explains them", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.testRules(args, update) },
	}
	cmd.Flags().BoolVar(&update, "update", false, "write what the rules decide into the files' want part; then read it")
	return cmd
}

func (a *app) testRules(paths []string, update bool) error {
	failed := 0
	for _, path := range paths {
		file, err := os.ReadFile(path) //nolint:gosec // the user names the file
		if err != nil {
			return usagef("read the scenario: %w", err)
		}
		got, want, err := scenario.Run(path, file)
		if err != nil {
			return usageError{err}
		}
		switch {
		case got == want:
			a.printf("ok      %s\n", path)
		case update:
			if err := os.WriteFile(path, scenario.Update(file, got), 0o644); err != nil { //nolint:gosec // a file for others to read
				return err
			}
			a.printf("updated %s\n", path)
		default:
			failed++
			a.printf("FAILED  %s\n", path)
			a.printDifference(got, want)
		}
	}
	if failed > 0 {
		return errFailed
	}
	return nil
}

// printDifference shows the lines that only one side has.
func (a *app) printDifference(got, want string) {
	only := func(mark, of, other string) {
		have := map[string]int{}
		for line := range strings.SplitSeq(other, "\n") {
			have[line]++
		}
		for line := range strings.SplitSeq(of, "\n") {
			if have[line]--; have[line] < 0 {
				a.printf("  %s %s\n", mark, line)
			}
		}
	}
	only("want   ", want, got)
	only("decided", got, want)
}
