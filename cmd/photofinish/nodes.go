package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"photofinish/cmd/clickhouse"
	"photofinish/ingest"
	"photofinish/rules"
)

func (a *app) nodesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "nodes list|retire",
		Short: "Show the ingest nodes, or retire one that will not come back",
		Example: `  photofinish nodes list
  photofinish nodes retire asia-2 --reason "replaced by asia-3"`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q: nodes list or retire", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.listNodesCommand(), a.retireNodeCommand())
	return cmd
}

func (a *app) listNodesCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "Show every node: what it has sent, up to when it has reported, and what the log lacks of it",
		Example: "  photofinish nodes list --json",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.needData(); err != nil {
				return err
			}
			return a.withStore(cmd.Context(), func(server *clickhouse.Server) error {
				nodes, err := ingest.Nodes(cmd.Context(), server.Conn())
				if err != nil {
					return err
				}
				list := lagOf(nodes, rules.Instant(time.Now().UnixNano()))
				if asJSON {
					return a.printJSON(list)
				}
				a.printNodes(list)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// nodeLine is a node and how far it is behind.
type nodeLine struct {
	ingest.NodeState
	// LagSeconds is how far the watermark is behind this machine's clock, in whole seconds,
	// rounded down; null where the node has told of nothing yet.
	LagSeconds *int64 `json:"lag_seconds"`
}

func lagOf(nodes []ingest.NodeState, now rules.Instant) []nodeLine {
	list := []nodeLine{}
	for _, n := range nodes {
		line := nodeLine{NodeState: n}
		if n.Watermark > 0 {
			lag := max(int64(now-n.Watermark), 0) / int64(time.Second)
			line.LagSeconds = &lag
		}
		list = append(list, line)
	}
	return list
}

// lagText writes whole seconds; a node that imports old logs may be years behind.
func lagText(seconds int64) string {
	const day = 24 * 60 * 60
	if seconds < 2*day {
		return (time.Duration(seconds) * time.Second).String()
	}
	return fmt.Sprintf("%d days", seconds/day)
}

func (a *app) printNodes(nodes []nodeLine) {
	if len(nodes) == 0 {
		a.printf("no node has reported anything yet\n")
	}
	for i := range nodes {
		n := &nodes[i]
		a.printf("%s: sent on up to offset %d, ", n.Node, n.Offset)
		if n.LagSeconds != nil {
			a.printf("everything before %s, lag %s", n.Watermark, lagText(*n.LagSeconds))
		} else {
			a.printf("has not told of any time yet")
		}
		a.printf("; spoke last at %s\n", n.Since)
		for _, s := range n.Silent {
			a.printf("  does not wait for server %s, which is silent\n", visible(s.Server))
		}
		for _, h := range n.Holes {
			a.printf("  the log lacks its offsets %d to %d\n", h.First, h.Last)
		}
		if n.Retired {
			a.printf("  retired: %s\n", visible(n.Reason))
		}
	}
}

func (a *app) retireNodeCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "retire NODE --reason TEXT",
		Short: "Wait for a node no more",
		Long: `Records that a node is gone for good: settlements wait for it no more. What it has sent stays and
counts. An event that it still sends is late, not lost, and takes the retirement back.`,
		Example: `  photofinish nodes retire asia-2 --reason "disk lost on 2026-11-20"`,
		Args:    exactArgs("NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usagef("say why with --reason TEXT: it is recorded for good")
			}
			if err := a.needData(); err != nil {
				return err
			}
			return a.withStore(cmd.Context(), func(server *clickhouse.Server) error {
				err := ingest.Retire(cmd.Context(), server.Conn(), args[0], reason, time.Now())
				if errors.Is(err, ingest.ErrUnknownNode) {
					return usageError{err}
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, in words")
	return cmd
}
