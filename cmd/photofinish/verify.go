package main

import (
	"context"

	"github.com/spf13/cobra"

	"photofinish/cmd/clickhouse"
	"photofinish/settle/verify"
)

func (a *app) verifyCommand() *cobra.Command {
	var asJSON bool
	var from uint64
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Replay every cut from the log and compare it with the ledger",
		Long: `Decides every recorded cut again, from the merged log and the ruleset that the cut names,
and compares the result with the ledger byte for byte. Each cut names the one before it, so that
the ID it prints stands for everything up to the last. Writes nothing. Exits with 0 if all is as
it should be and with 3 if something differs. It holds the log in memory: about 600 bytes an event.

What it cannot see is a log and a ledger that were changed together by somebody who can write
both: keep the ID elsewhere, and compare.`,
		Example: "  photofinish verify\n  photofinish verify --from 200 --json",
		Args:    exactArgs(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runVerify(cmd.Context(), from, asJSON) },
	}
	cmd.Flags().Uint64Var(&from, "from", 0, "decide from this cut on; what the ledger says of those before is taken as true, save that it is a whole chain")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was found as JSON")
	return cmd
}

func (a *app) runVerify(ctx context.Context, from uint64, asJSON bool) error {
	if err := a.needData(); err != nil {
		return err
	}
	return a.withStore(ctx, func(server *clickhouse.Server) error {
		line := a.progress()
		v, err := verify.Run(ctx, server.Conn(), verify.Config{
			From: from,
			Each: func(done, all int) { line.show("replaying cut %d of %d", done, all) },
		})
		line.done()
		if err != nil {
			return err
		}
		if from > uint64(v.Cuts) && v.Cuts > 0 && len(v.Mismatches) == 0 {
			return usagef("verify --from %d: the settled cuts are 1 to %d", from, v.Cuts)
		}
		if v.Cuts == 0 && !asJSON {
			a.printf("nothing is settled yet\n")
			return nil
		}
		if asJSON {
			if err := a.printJSON(v); err != nil {
				return err
			}
		} else {
			if v.From > 1 {
				a.printf("cuts %d to %d were decided again, those before taken as they are\n", v.From, v.Cuts)
			}
			a.printf("replayed %d cuts with %d events and %d entries\n", v.Cuts, v.Events, v.Entries)
			for _, m := range v.Mismatches {
				a.printf("  differs: %s\n", m)
			}
			if len(v.Mismatches) == 0 {
				a.printf("no difference; the last cut is %s\n", v.ID)
			}
		}
		if len(v.Mismatches) > 0 {
			return errPerson
		}
		return nil
	})
}
