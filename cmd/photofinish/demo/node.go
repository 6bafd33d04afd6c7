package demo

import (
	"context"
	"errors"
	"fmt"

	"photofinish/cmd/photofinish/demo/audit"
	"photofinish/ingest"
	"photofinish/rules"
)

// errCrash is the power failing.
var errCrash = errors.New("crashed, as the story wants it")

// node is an ingest node that can crash and start again.
type node struct {
	*ingest.Node
	name    string
	crashAt string         // the step after which it crashes next; empty: none
	spooled []*audit.Event // acknowledged, and not in the log yet
}

// open starts the node on its own spool.
func (w *World) open(n *node) (err error) {
	n.Node, err = ingest.New(w.conn, w.log, ingest.Config{
		Node: n.name, Dir: w.cfg.Dir, LookupAfter: 2 * step,
		Stop: func(s string) error {
			if s == n.crashAt {
				n.crashAt = ""
				return errCrash
			}
			return nil
		},
	}, w.clock)
	if err != nil {
		return err
	}
	return n.Open()
}

// crashed starts a node that crashed again. It reports false if err is another one.
func (w *World) crashed(n *node, err error) (bool, error) {
	if !errors.Is(err, errCrash) {
		return false, err
	}
	w.Faults.NodeCrashes++
	return true, errors.Join(n.Close(), w.open(n))
}

// forward lets a node copy its spool into the log, again if it crashed.
func (w *World) forward(ctx context.Context, n *node) error {
	if n.name == "us" && w.now > epoch.Add(lineDown) && w.now < epoch.Add(lineUp) && !w.ended() {
		w.Faults.ForwardsMissed++
		return nil
	}
	if n.name == "us" && w.now == epoch.Add(forwardCrashAt) {
		n.crashAt = "forward.inserted"
	}
	err := n.Forward(ctx)
	if err != nil {
		var again bool
		if again, err = w.crashed(n, err); again && err == nil {
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

// deliver sends events of a server to a node and takes down what it acknowledges.
// With upTo the server adds a heartbeat: it has told of all before.
func (w *World) deliver(ctx context.Context, s *server, n *node, events []*audit.Event, upTo rules.Instant) error {
	clock, errNs, err := w.exchange(s, n.name != s.region)
	if err != nil {
		return err
	}
	batch := ingest.Batch{Server: s.name, Region: s.region, Clock: clock}
	for _, m := range events {
		batch.Events = append(batch.Events, m.Event)
		m.ErrNs = max(m.ErrNs, errNs)
	}
	if upTo != 0 {
		batch.Events = append(batch.Events, rules.Event{Type: rules.TypeHeartbeat, At: s.clock(upTo)})
	}
	if len(batch.Events) == 0 {
		return nil
	}
	result, err := n.Accept(ctx, batch)
	if err != nil {
		again, err := w.crashed(n, err)
		if again && err == nil {
			w.Faults.Retries++
			return w.deliver(ctx, s, n, events, upTo)
		}
		return err
	}
	if got := result.Accepted + result.Duplicates + len(result.Rejected); got != len(batch.Events) {
		return fmt.Errorf("node %s answered for %d events of %d", n.name, got, len(batch.Events))
	}
	w.Faults.DuplicatesRefused += result.Duplicates
	refused := map[int]bool{}
	for _, r := range result.Rejected {
		refused[r.Line-1] = true
	}
	for i, m := range events {
		if refused[i] {
			m.Refused = true
			continue
		}
		m.Acknowledged = true
		n.spooled = append(n.spooled, m)
	}
	return nil
}
