package demo

import (
	"context"
	"errors"
	"sync/atomic"

	"photofinish/cmd/photofinish/demo/audit"
	"photofinish/ingest"
)

// errCrash is the power failing.
var errCrash = errors.New("crashed, as the story wants it")

// node is an ingest node that can crash and start again.
type node struct {
	*ingest.Node
	name    string
	crashAt atomic.Value   // the step after which it crashes next, a string; empty: none
	spooled []*audit.Event // acknowledged, and not in the log yet
	door    door
}

// open starts the node on its own spool and lets it answer.
func (w *World) open(ctx context.Context, n *node) (err error) {
	n.Node, err = ingest.New(w.conn, w.log, ingest.Config{
		Node: n.name, Dir: w.cfg.Dir, LookupAfter: 2 * step,
		Stop: func(s string) error {
			if n.crashAt.CompareAndSwap(s, "") {
				return errCrash
			}
			return nil
		},
	}, w.clock)
	if err != nil {
		return err
	}
	if err := n.Open(); err != nil {
		return err
	}
	return w.serve(ctx, n)
}

// restart starts a node again that crashed.
func (w *World) restart(ctx context.Context, n *node) error {
	w.Faults.NodeCrashes++
	return errors.Join(n.Close(), w.open(ctx, n))
}

// forward lets a node copy its spool into the log, again if it crashed.
func (w *World) forward(ctx context.Context, n *node) error {
	if n.name == "us" && w.now > epoch.Add(lineDown) && w.now < epoch.Add(lineUp) && !w.ended() {
		w.Faults.ForwardsMissed++
		return nil
	}
	if n.name == "us" && w.now == epoch.Add(forwardCrashAt) {
		n.crashAt.Store("forward.inserted")
	}
	err := n.Forward(ctx)
	if errors.Is(err, errCrash) {
		if err = w.restart(ctx, n); err == nil {
			err = n.Forward(ctx)
		}
	}
	if err != nil {
		return err
	}
	for _, m := range n.spooled {
		if m.Cut == 0 {
			m.Cut = w.cuts + 1
		}
	}
	n.spooled = nil
	return nil
}
