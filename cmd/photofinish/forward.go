package main

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"photofinish/cmd/photofinish/forward"
	"photofinish/ingest/sender"
)

func (a *app) forwardCommand() *cobra.Command {
	var to []string
	var keyFile, listen, server string
	var quotaMiB int64
	cmd := &cobra.Command{
		Use:   "forward --to URL[,URL] --key-file FILE",
		Short: "Take a game server's events on this machine, keep them, and send them on",
		Long: `forward is the sidecar of a game server: it takes events as a node does, on loopback and
without a key, answers once they are on this machine's disk, and sends them until a node
has them. It goes on after a crash, a power cut and days without a network.

What a node refuses is set aside in DATA/forward/refused.ndjson with the node's words;
look at it when the log has an error. A node that takes nothing for five minutes is left
for the next URL. The key file is read again for each request, so a new key needs no
restart. GET /healthz tells how things stand, GET /readyz whether events can be kept.`,
		Example: `  photofinish forward --to https://eu.example.net,https://us.example.net --key-file eu-1.key --data /var/lib/photofinish
  echo '{"id":"1","type":"kill","at":"2026-11-21T07:00:00Z","player":"ana","target":"rabbit"}' |
    curl --data-binary @- -H 'Content-Type: application/x-ndjson' http://127.0.0.1:8090/v1/events`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			switch {
			case len(to) == 0:
				return usagef("name the nodes with --to, such as --to https://eu.example.net")
			case keyFile == "":
				return usagef("name the file of this server's key with --key-file; `photofinish keys create` makes a key")
			case quotaMiB < minQuotaMiB:
				return usagef("--quota-mib is %d, less than %d", quotaMiB, minQuotaMiB)
			}
			key := sender.KeyFile(keyFile)
			if _, err := key(); err != nil {
				return usageError{err}
			}
			cfg := sender.Config{
				Dir: filepath.Join(a.data, "forward"), Nodes: to, Key: key, Heartbeat: -1, Quota: quotaMiB << 20,
			}
			if err := cfg.Check(); err != nil {
				return usageError{err}
			}
			l, err := forward.Listen(cmd.Context(), listen)
			if address := new(forward.AddressError); errors.As(err, &address) {
				return usageError{err}
			}
			if err != nil {
				return err
			}
			defer func() { _ = l.Close() }() // Run closes it, unless it is not reached
			s, err := sender.Open(cfg, a.log)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			sidecar, err := forward.New(s, server, a.log)
			if err != nil {
				return err
			}
			a.printf("taking events on http://%s/v1/events, sending them to %s; %d are kept from before\n", l.Addr(), strings.Join(to, ", "), s.Status().Unsent)
			return sidecar.Run(cmd.Context(), l)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&to, "to", nil, "addresses of ingest nodes, the preferred one first")
	f.StringVar(&keyFile, "key-file", "", "file with this server's key, readable by its owner alone")
	f.StringVar(&listen, "listen", "127.0.0.1:8090", "address to take events on; loopback only")
	f.StringVar(&server, "server", "", "name of the game server; only needed for CloudEvents, whose source it is")
	f.Int64Var(&quotaMiB, "quota-mib", sender.DefaultQuota>>20, "most that the kept events may take on the disk, in MiB")
	return cmd
}

// minQuotaMiB holds a few segments.
const minQuotaMiB = 64
