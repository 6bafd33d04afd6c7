package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"photofinish/ingest"
	"photofinish/ingest/httpapi"
)

// readyAgain is how long a node that could not keep events says so: then somebody must try.
const readyAgain = 10 * time.Second

// acceptor is the node, and remembers whether it could keep what it was last given.
type acceptor struct {
	node httpapi.Acceptor
	now  func() time.Time

	mu     sync.Mutex
	failed time.Time // zero: the last batch was kept
	err    error
}

// Accept is that of the node.
func (a *acceptor) Accept(ctx context.Context, b ingest.Batch) (ingest.Result, error) {
	result, err := a.node.Accept(ctx, b)
	if err != nil && ctx.Err() != nil {
		return result, err // the client has gone: that says nothing about the node
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed, a.err = time.Time{}, nil
	if err != nil {
		a.failed, a.err = a.now(), err
	}
	return result, err
}

// ready says why events cannot be kept; nil if they can, as far as is known.
func (a *acceptor) ready() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed.IsZero() || a.now().Sub(a.failed) >= readyAgain {
		return nil
	}
	return fmt.Errorf("events could not be kept at %s: %w", a.failed.UTC().Format(time.RFC3339), a.err)
}
