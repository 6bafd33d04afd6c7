package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"photofinish/announce"
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
event that decided, who came next, and what the ledger said about the subject since; where it
did not win, who did and by how much; and which of its events came with other content.`,
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
	if c.Events > 0 {
		a.printf("  %d events from %s to %s add up to %s", c.Events, c.First, c.Last, c.Tally)
	} else {
		a.printf("  no event counts")
	}
	if c.Needed > 0 {
		a.printf(" of the %d needed", c.Needed)
	}
	if c.Copies > 0 {
		a.printf("; %d further copies were not counted", c.Copies)
	}
	a.printf("\n")
	if d := c.Deciding; d != nil {
		a.printf("  reached %s by event %s of server %s (node %s, offset %d)\n",
			reachedText(c.Claim), visible(d.ID), visible(d.Server), d.Node, d.Offset)
	}
	for i := range c.Conflicts {
		a.printf("  %s\n", disputeText(&c.Conflicts[i]))
	}
	for i := range c.Entries {
		a.printf("  cut %d: %s\n", c.Entries[i].Cut, entryText(&c.Entries[i]))
	}
	if len(c.Entries) == 0 {
		a.printf("  the ledger says nothing about it\n")
	}
	for i := range c.Winners {
		a.printf("  %s\n", winnerText(&c.Winners[i], c))
	}
}

// reachedText says when a claim was reached, as reports and pages do.
func reachedText(c *rules.Claim) string {
	switch {
	case announce.WithinSecond(c.Point, c.Earliest, c.Latest):
		return fmt.Sprintf("within the second of %s", c.Point)
	case c.Earliest == c.Latest:
		return fmt.Sprintf("at %s", c.Point)
	case (c.Latest-c.Point)-(c.Point-c.Earliest) <= 1 && (c.Point-c.Earliest)-(c.Latest-c.Point) <= 1:
		return fmt.Sprintf("at %s ± %s", c.Point, (time.Duration(c.OffNs()) + time.Microsecond - 1).Truncate(time.Microsecond))
	}
	return fmt.Sprintf("between %s and %s, likeliest at %s", c.Earliest, c.Latest, c.Point)
}

// disputeText says an event that came with two contents in words.
func disputeText(d *settle.Dispute) string {
	counts := "the one for this subject counts"
	if !d.Counts {
		counts = "the one for this subject does not count"
	}
	var players []string
	for _, p := range d.Players {
		players = append(players, visible(p))
	}
	return fmt.Sprintf("conflict: event %s of server %s came with more than one content, naming %s; %s", visible(d.ID), visible(d.Server), strings.Join(players, " and "), counts)
}

// winnerText says who won instead, and by how much.
func winnerText(w *settle.Winner, c *settle.Case) string {
	text := fmt.Sprintf("place %d went to %s", w.Place, visible(w.Subject))
	switch {
	case w.State == rules.Held:
		text = fmt.Sprintf("place %d is held for %s", w.Place, visible(w.Subject))
	case w.Place == 0:
		text = fmt.Sprintf("a unit went to %s", visible(w.Subject))
	}
	text += fmt.Sprintf(" at %s", w.Point)
	if w.Score != nil {
		text += fmt.Sprintf(", with %s against %s", w.Score, c.Tally)
	}
	switch {
	case w.AheadNs != nil && *w.AheadNs < 0:
		text += fmt.Sprintf(", %s after", time.Duration(-*w.AheadNs))
	case w.AheadNs != nil && *w.AheadNs == 0:
		text += ", the same instant"
	case w.AheadNs != nil:
		text += fmt.Sprintf(", %s before", time.Duration(*w.AheadNs))
	case c.Needed > 0:
		text += fmt.Sprintf(", having all %d, against %s", c.Needed, c.Tally)
	}
	if w.AheadNs != nil && !w.Certain {
		text += "; their intervals overlap"
	}
	return text + "; outcome " + w.Outcome
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
