package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// stopLimit is how long a part may take to stop before the others are stopped without it.
const stopLimit = 45 * time.Second

// Group runs the parts of a process and stops them in the reverse order of Add: a part may
// use those that were added before it until it has ended. The zero Group is not usable; see
// NewGroup. Add comes before Run; neither may be called twice at once.
type Group struct {
	log   *slog.Logger
	limit time.Duration
	parts []part
}

type part struct {
	name string
	run  func(context.Context) error
}

// NewGroup returns a group without parts.
func NewGroup(log *slog.Logger) *Group { return &Group{log: log, limit: stopLimit} }

// Add adds a part. Run blocks until its context is done and returns nil or the cause then;
// another error, or a return before that, ends the group.
func (g *Group) Add(name string, run func(context.Context) error) {
	g.parts = append(g.parts, part{name, run})
}

// ended is how a part ended.
type ended struct {
	index int
	err   error
}

// Run starts all parts and blocks until ctx is done or one of them ends, then stops the
// others. It returns what went wrong; nil if all ended because ctx was done.
func (g *Group) Run(ctx context.Context) error {
	ends := make(chan ended, len(g.parts))
	stops := make([]context.CancelFunc, len(g.parts))
	for i, p := range g.parts {
		// Not the caller's: each is stopped in its turn.
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		stops[i] = stop
		go func() { ends <- ended{i, p.run(own)} }()
	}
	var problems []error
	gone := make([]bool, len(g.parts))
	note := func(e ended, asked bool) {
		gone[e.index] = true
		switch {
		case asked && errors.Is(e.err, context.Canceled):
		case e.err != nil:
			problems = append(problems, fmt.Errorf("%s: %w", g.parts[e.index].name, e.err))
		case !asked:
			problems = append(problems, fmt.Errorf("%s ended by itself", g.parts[e.index].name))
		}
	}
	select {
	case <-ctx.Done():
		g.log.InfoContext(ctx, "stopping")
	case e := <-ends:
		note(e, false)
	}
	for i := len(g.parts) - 1; i >= 0; i-- {
		stops[i]()
		late := time.NewTimer(g.limit)
		for !gone[i] {
			select {
			case e := <-ends:
				note(e, e.index >= i)
			case <-late.C:
				gone[i] = true
				problems = append(problems, fmt.Errorf("%s did not stop within %s", g.parts[i].name, g.limit))
			}
		}
		late.Stop()
	}
	return errors.Join(problems...)
}
