package main

import (
	"time"

	"github.com/spf13/cobra"
)

// roles are what one process does.
type roles struct{ ingest, settle, announce bool }

func (a *app) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Take events in, settle every hour and show the results: one process for all of it",
		Long: `Takes events in from game servers, settles every hour by itself and shows the results, until
it is told to stop. Game servers push to --listen with the keys that "keys create" makes; the
pages are there, too. Health with reasons, metrics and profiles are on --serve.admin_listen.

It starts, and takes events in, while ClickHouse cannot be reached: they are kept on disk and
sent on once it can. Hours that were missed are made up. Without --rules it settles nothing.

SIGTERM or an interrupt ends requests that are under way, sends on what is kept (for at most
30 seconds; the rest is sent after the next start) and exits with 0; a second one ends it at
once, which loses nothing either. SIGHUP reads the configuration and the rules again, checks
all of it, and goes on with the old if anything is wrong.

For more than one machine its roles are commands of their own: ingest, settle --loop,
announce.`,
		Example: `  photofinish serve --rules rules.yaml
  photofinish serve --config /etc/photofinish/photofinish.yaml
  photofinish serve --rules rules.yaml --settle.schedule "@every 5s" --settle.period 10s --settle.delay 1s`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.run(cmd.Context(), roles{ingest: true, settle: true, announce: true})
		},
	}
	f := cmd.Flags()
	a.options.listenFlags(f)
	a.options.ingestFlags(f)
	a.options.silenceFlag(f)
	a.options.settleFlags(f)
	durationVar(f, &a.options.period, "settle.period", time.Hour, "the time that one settlement closes, from 10s on")
	alsoBy(f, map[string]string{"serve.listen": "listen", "settle.rules": "rules", "log.level": "log-level", "log.format": "log-format"})
	return cmd
}

func (a *app) ingestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ingest [flags]",
		Short: "Take events in and send them on to ClickHouse: that part of serve alone",
		Long: `Takes events in from game servers, keeps them on disk and sends them on to ClickHouse, as serve
does, and nothing else. Every ingest node needs a name of its own (--serve.node) and a data
folder that outlives it.`,
		Example: `  photofinish ingest --serve.node eu-west --listen 0.0.0.0:8080 --clickhouse.addrs ch1:9000,ch2:9000`,
		Args:    exactArgs(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.run(cmd.Context(), roles{ingest: true}) },
	}
	f := cmd.Flags()
	a.options.listenFlags(f)
	a.options.ingestFlags(f)
	a.options.silenceFlag(f)
	alsoBy(f, map[string]string{"serve.listen": "listen", "log.level": "log-level", "log.format": "log-format"})
	return cmd
}

func (a *app) announceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "announce [flags]",
		Short: "Show the results: that part of serve alone",
		Long: `Shows what was decided as pages and as JSON, as serve does, and nothing else. Any number of
them can read one ClickHouse.`,
		Example: `  photofinish announce --listen 0.0.0.0:80 --clickhouse.addrs ch1:9000`,
		Args:    exactArgs(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.run(cmd.Context(), roles{announce: true}) },
	}
	f := cmd.Flags()
	a.options.listenFlags(f)
	alsoBy(f, map[string]string{"serve.listen": "listen", "log.level": "log-level", "log.format": "log-format"})
	return cmd
}
