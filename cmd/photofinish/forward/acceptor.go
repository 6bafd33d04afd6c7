package forward

import (
	"context"

	"photofinish/ingest"
	"photofinish/ingest/keys"
	"photofinish/ingest/sender"
	"photofinish/rules"
)

// acceptor is the sender as a node: what it accepts is on this machine's disk.
type acceptor struct{ sender *sender.Sender }

// Accept keeps the events of a batch with one sync, then takes its newest heartbeat down.
// What no node would take is rejected here, so that the game hears of it at once.
func (a acceptor) Accept(ctx context.Context, b ingest.Batch) (ingest.Result, error) {
	result := ingest.Result{Rejected: []ingest.Rejected{}}
	events := make([]*rules.Event, 0, len(b.Events))
	var beat rules.Instant
	beats := 0
	for i := range b.Events {
		e := b.Events[i]
		err := ingest.CheckEvent(&e)
		switch {
		case err != nil:
		case e.Type == rules.TypeHeartbeat:
			beats++
			beat = max(beat, e.At)
			continue
		default:
			err = sender.Check(&e)
		}
		if err != nil {
			line := i + 1
			if i < len(b.Lines) {
				line = b.Lines[i]
			}
			result.Rejected = append(result.Rejected, ingest.Rejected{Line: line, ID: e.ID, Error: err.Error()})
			continue
		}
		events = append(events, &e)
	}
	var err error
	if result.Duplicates, err = a.sender.AcceptAll(ctx, events); err != nil {
		return ingest.Result{}, err
	}
	// A crash here, or an error below, leaves the events: the game sends all of it again,
	// and they are known.
	if beats > 0 {
		if err := a.sender.Heartbeat(ctx, beat); err != nil {
			return ingest.Result{}, err
		}
	}
	result.Accepted = len(events) - result.Duplicates + beats
	return result, nil
}

// anyone lets everybody on this machine push the events of the one server.
type anyone struct{ server string }

func (a anyone) Find(context.Context, string) (keys.Key, error) {
	return keys.Key{ID: "loopback", Grant: keys.Grant{Role: keys.RoleServer, Server: a.server}}, nil
}
