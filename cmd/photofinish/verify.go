package main

import (
	"context"

	"github.com/spf13/cobra"

	"photofinish/cmd/clickhouse"
	"photofinish/settle"
)

func (a *app) verifyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Replay every cut from the log and compare it with the ledger",
		Long: `Decides every recorded cut again, from the merged log and the ruleset that the cut names,
and compares the result with the ledger byte for byte. Then checks the ledger as a whole:
every event counted once, no effect twice, no stock exceeded. Writes nothing. Exits with 0 if
all is as it should be and with 3 if something differs.`,
		Example: "  photofinish verify\n  photofinish verify --json",
		Args:    exactArgs(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runVerify(cmd.Context(), asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was found as JSON")
	return cmd
}

func (a *app) runVerify(ctx context.Context, asJSON bool) error {
	if err := a.needData(); err != nil {
		return err
	}
	return a.withStore(ctx, func(server *clickhouse.Server) error {
		s, err := settle.New(server.Conn(), a.log, settle.Config{})
		if err != nil {
			return err
		}
		line := a.progress()
		v, err := s.Verify(ctx, func(done, all int) { line.show("replaying cut %d of %d", done, all) })
		line.done()
		if err != nil {
			return err
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
			a.printf("replayed %d cuts with %d events and %d entries\n", v.Cuts, v.Events, v.Entries)
			for _, m := range v.Mismatches {
				a.printf("  differs: %s\n", m)
			}
			if len(v.Mismatches) == 0 {
				a.printf("no difference; the digest of the last cut is %s\n", v.Digest)
			}
		}
		if len(v.Mismatches) > 0 {
			return errPerson
		}
		return nil
	})
}
