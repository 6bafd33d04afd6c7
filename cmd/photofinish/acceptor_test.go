package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"photofinish/ingest"
	"photofinish/ingest/spool"
)

// failing is a node that fails as it is told.
type failing struct{ err error }

func (f *failing) Accept(context.Context, ingest.Batch) (ingest.Result, error) {
	return ingest.Result{}, f.err
}

// A node that could not keep events is not ready, until it could or somebody must try
// again; a client that has gone says nothing.
func TestReady(t *testing.T) {
	now := time.Unix(1e9, 0)
	node := &failing{}
	a := &acceptor{node: node, now: func() time.Time { return now }}
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, step := range []struct {
		what  string
		ctx   context.Context
		err   error
		later time.Duration
		ready bool
	}{
		{"kept", t.Context(), nil, 0, true},
		{"full", t.Context(), spool.ErrFull, 0, false},
		{"full, a little later", t.Context(), spool.ErrFull, readyAgain - 1, false},
		{"full, and nobody has tried", t.Context(), spool.ErrFull, readyAgain, true},
		{"kept again", t.Context(), nil, 0, true},
		{"gone", gone, context.Canceled, 0, true},
	} {
		node.err = step.err
		if _, err := a.Accept(step.ctx, ingest.Batch{}); !errors.Is(err, step.err) {
			t.Errorf("%s: %v", step.what, err)
		}
		now = now.Add(step.later)
		if err := a.ready(); (err == nil) != step.ready || err != nil && !errors.Is(err, step.err) {
			t.Errorf("%s: ready is %v", step.what, err)
		}
	}
}
