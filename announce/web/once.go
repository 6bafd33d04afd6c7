package web

import (
	"context"
	"errors"
	"sync"
)

// key names what is made, as of a cut.
type key struct {
	last uint64
	name string
}

// once makes what many ask for at the same time a single time. The zero once works.
type once[T any] struct {
	mu    sync.Mutex
	calls map[key]*call[T]
}

type call[T any] struct {
	done  chan struct{}
	value T
	err   error
	gone  bool // who made it gave up; the value and the error say nothing to others
}

var errNotMade = errors.New("the answer was not made")

// do returns what work returns, of this caller or of another that is making the same. Who
// made it and gave up leaves it to the next; its error is its own.
func (o *once[T]) do(ctx context.Context, k key, work func() (T, error)) (T, error) {
	for {
		o.mu.Lock()
		c := o.calls[k]
		if c == nil {
			c = &call[T]{done: make(chan struct{}), err: errNotMade}
			if o.calls == nil {
				o.calls = map[key]*call[T]{}
			}
			o.calls[k] = c
			o.mu.Unlock()
			return o.lead(ctx, k, c, work)
		}
		o.mu.Unlock()
		select {
		case <-c.done:
			if !c.gone {
				return c.value, c.err
			}
		case <-ctx.Done():
			var none T
			return none, context.Cause(ctx)
		}
	}
}

// lead makes it for all. Should work panic, the others get an error.
func (o *once[T]) lead(ctx context.Context, k key, c *call[T], work func() (T, error)) (T, error) {
	defer func() {
		o.mu.Lock()
		delete(o.calls, k)
		o.mu.Unlock()
		close(c.done)
	}()
	c.value, c.err = work()
	c.gone = c.err != nil && ctx.Err() != nil
	return c.value, c.err
}
