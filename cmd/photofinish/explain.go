package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"photofinish/cmd/clickhouse"
	"photofinish/rules"
	"photofinish/settle"
)

type explainOptions struct {
	windows int
	json    bool
}

func (a *app) explainCommand() *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain RULE SUBJECT",
		Short: "Show why a player or guild got something, or not",
		Long: `Reads the evidence about a subject from the log again: what counts, what it adds up to, the
event that decided, who came next, and what the ledger said about the subject since.`,
		Example: `  photofinish explain first-100-kills BOT:Victor
  photofinish explain daily-kills BOT:Rock --windows 3`,
		Args: exactArgs("RULE", "SUBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runExplain(cmd.Context(), o, args[0], args[1]) },
	}
	cmd.Flags().IntVar(&o.windows, "windows", 5, "how many of the latest windows to show; 0: all")
	cmd.Flags().BoolVar(&o.json, "json", false, "print as JSON")
	return cmd
}

func (a *app) runExplain(ctx context.Context, o explainOptions, rule, subject string) error {
	if err := a.needData(); err != nil {
		return err
	}
	return a.withStore(ctx, func(server *clickhouse.Server) error {
		s, err := settle.New(server.Conn(), a.log, settle.Config{})
		if err != nil {
			return err
		}
		x, err := s.Explain(ctx, rule, subject)
		if err != nil {
			return err
		}
		all := len(x.Contests)
		if o.windows > 0 {
			x.Contests = x.Contests[:min(o.windows, all)]
		}
		if o.json {
			return a.printJSON(x)
		}
		a.printf("%s: %s\n%s, as of cut %d through %s\n", x.Rule, x.Description, visible(x.Subject), x.Cut, x.Through)
		for i := range x.Contests {
			a.printCase(&x.Contests[i])
		}
		if more := all - len(x.Contests); more > 0 {
			a.printf("\n… and %d earlier windows; --windows 0 shows all\n", more)
		}
		return nil
	})
}

func (a *app) printCase(c *settle.Case) {
	a.printf("\n%s, %s\n", c.Scope, windowText(c.Window))
	a.printf("  %d events from %s to %s add up to %s", c.Events, c.First, c.Last, c.Tally)
	if c.Needed > 0 {
		a.printf(" of the %d needed", c.Needed)
	}
	if c.Copies > 0 {
		a.printf("; %d further copies were not counted", c.Copies)
	}
	a.printf("\n")
	if d := c.Deciding; d != nil {
		a.printf("  reached at %s ± %s by event %s of server %s (node %s, offset %d)\n",
			c.Claim.Point, (time.Duration(c.Claim.OffNs()) + time.Microsecond - 1).Truncate(time.Microsecond), visible(d.ID), visible(d.Server), d.Node, d.Offset)
	}
	for i := range c.Entries {
		a.printf("  cut %d: %s\n", c.Entries[i].Cut, entryText(&c.Entries[i]))
	}
	if len(c.Entries) == 0 {
		a.printf("  the ledger says nothing about it\n")
	}
}

func windowText(w rules.Window) string {
	if w.Forever() {
		return "for ever"
	}
	return fmt.Sprintf("window %s to %s", w.Opens, w.Closes)
}

// entryText says an entry in words.
func entryText(e *rules.Entry) string {
	switch e.Kind {
	case rules.KindAward:
		text := fmt.Sprintf("place %d, %s", e.Award.Place, e.Award.State)
		if e.Award.Tied {
			text += ", tied"
		}
		if len(e.Award.RunnersUp) > 0 {
			var next []string
			for _, c := range e.Award.RunnersUp {
				next = append(next, fmt.Sprintf("%s at %s", visible(c.Subject), c.Point))
			}
			text += "; next came " + strings.Join(next, ", ")
		}
		if e.Award.Corrects != "" {
			text += "; corrects " + e.Award.Corrects
		}
		return text + "; outcome " + e.ID
	case rules.KindBoard:
		return fmt.Sprintf("on the board of %d lines, outcome %s", len(e.Board.Lines), e.ID)
	case rules.KindPrize:
		return fmt.Sprintf("place %d gives %s", e.Prize.Place, e.Prize.Item)
	case rules.KindAllocation:
		text := fmt.Sprintf("attempt %s at %s: %s", visible(e.Allocation.Attempt.ID), e.Allocation.At, e.Allocation.State)
		if e.Allocation.Reason != "" {
			text += ", " + e.Allocation.Reason
		}
		return text
	case rules.KindCorrection:
		return fmt.Sprintf("correction of %s: %s", e.Correction.Corrects, e.Correction.Reason)
	case rules.KindCompensation:
		return fmt.Sprintf("compensation %s, because of %s", e.Compensation.Kind, e.Compensation.Because)
	}
	return string(e.Kind)
}

// visible makes a name that a player chose safe for a terminal.
func visible(name string) string {
	quoted := fmt.Sprintf("%+q", name)
	if quoted == `"`+name+`"` {
		return name
	}
	return fmt.Sprintf("%q", name)
}
