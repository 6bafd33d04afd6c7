package serve

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// order takes down who stopped when.
type order struct {
	mu    sync.Mutex
	names []string
}

func (o *order) part(name string, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		o.mu.Lock()
		defer o.mu.Unlock()
		o.names = append(o.names, name)
		return err
	}
}

// Parts are stopped one after the other, last first, when the context is done, and an
// error of one does not keep the others from stopping.
func TestGroupStopsInOrder(t *testing.T) {
	var o order
	g := NewGroup(slog.New(slog.DiscardHandler))
	boom := errors.New("boom")
	g.Add("store", o.part("store", nil))
	g.Add("node", o.part("node", boom))
	g.Add("http", o.part("http", context.Canceled))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	err := g.Run(ctx)
	if !errors.Is(err, boom) || err.Error() != "node: boom" {
		t.Errorf("the group ends with %v", err)
	}
	if !slices.Equal(o.names, []string{"http", "node", "store"}) {
		t.Errorf("stopped in the order %v", o.names)
	}
}

// A part that ends before it is asked to ends the group, with or without an error.
func TestGroupEndsWithAPart(t *testing.T) {
	boom := errors.New("boom")
	for _, test := range []struct {
		err  error
		want string
	}{{boom, "node: boom"}, {nil, "node ended by itself"}} {
		var o order
		g := NewGroup(slog.New(slog.DiscardHandler))
		g.Add("store", o.part("store", nil))
		g.Add("node", func(context.Context) error { return test.err })
		g.Add("http", o.part("http", nil))
		if err := g.Run(t.Context()); err == nil || err.Error() != test.want {
			t.Errorf("the group ends with %v, want %s", err, test.want)
		}
		if !slices.Equal(o.names, []string{"http", "store"}) {
			t.Errorf("stopped in the order %v", o.names)
		}
	}
}

// A part that does not stop is named, and the others are stopped all the same.
func TestGroupDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o order
		g := NewGroup(slog.New(slog.DiscardHandler))
		g.Add("store", o.part("store", nil))
		end := make(chan struct{})
		g.Add("node", func(context.Context) error { <-end; return nil })
		ctx, stop := context.WithCancel(t.Context())
		stop()
		began := time.Now()
		err := g.Run(ctx)
		if err == nil || !strings.Contains(err.Error(), "node did not stop within") {
			t.Errorf("the group ends with %v", err)
		}
		if waited := time.Since(began); waited != stopLimit || !slices.Equal(o.names, []string{"store"}) {
			t.Errorf("after %s, stopped %v", waited, o.names)
		}
		close(end)
	})
}
