package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"photofinish/cmd/internal/badnet"
	"photofinish/ingest"
	"photofinish/ingest/httpapi"
	"photofinish/ingest/keys"
)

// How often the network before a node loses a request or its answer, of 1,000. Each line
// is bad by dice of its own, and asked one connection after the other.
const (
	lostOf1000 = 50 // the answer, all of it
	backOf1000 = 30 // the answer, behind some of its bytes
	cutOf1000  = 50 // the request, behind some of its bytes
	lateOf1000 = 50 // the request comes behind its copy
)

// Most answers and requests are longer than that, so that most cuts go through them.
const (
	backBytes = 250
	cutBytes  = 900
)

// handlerTimeout bounds how long a node waits for a header, and an end for its requests.
const handlerTimeout = 30 * time.Second

// door is where a node is reached: its listener, and the bad network in front of it. It
// stays where it is while the node crashes and starts again.
type door struct {
	server *http.Server
	served chan error
	proxy  *badnet.Proxy
	api    atomic.Pointer[http.ServeMux] // of the node that runs
	died   atomic.Bool                   // the node crashed over a request
}

// acceptor is a node that may crash.
type acceptor struct {
	*ingest.Node
	died *atomic.Bool
}

// Accept is the node's, except that a node which crashes gives nobody an answer.
func (a acceptor) Accept(ctx context.Context, b ingest.Batch) (ingest.Result, error) {
	result, err := a.Node.Accept(ctx, b)
	if errors.Is(err, errCrash) {
		a.died.Store(true)
		panic(http.ErrAbortHandler)
	}
	return result, err
}

// open opens the door of a node until close. The network ends with ctx.
func (d *door) open(ctx context.Context, faults func() badnet.Fault) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for a node: %w", err)
	}
	d.server = &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { d.api.Load().ServeHTTP(w, r) }),
		ReadHeaderTimeout: handlerTimeout,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // of lines that are cut on purpose
	}
	d.served = make(chan error, 1)
	go func() { d.served <- d.server.Serve(l) }()
	d.proxy, err = badnet.New(ctx, l.Addr().String(), faults)
	return err
}

// close ends the door once no request is under way.
func (d *door) close(ctx context.Context) error {
	if d.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), handlerTimeout)
	defer cancel()
	err := d.server.Shutdown(ctx)
	if served := <-d.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// line returns what happens to one connection after the other, drawn by dice of its own: the
// rest of the world is the same whatever they say.
func (w *World) line(dice uint64) func() badnet.Fault {
	if w.cfg.good {
		return func() badnet.Fault { return badnet.Fault{} }
	}
	random := rand.New(rand.NewPCG(w.cfg.Seed, dice))
	return func() (f badnet.Fault) {
		dice := random.IntN(1000)
		for _, fault := range []struct {
			of1000 int
			happen func()
		}{
			{lostOf1000, func() { f.CutBack = 1 }},
			{backOf1000, func() { f.CutBack = 1 + random.Int64N(backBytes) }},
			{cutOf1000, func() { f.CutThere = 1 + random.Int64N(cutBytes) }},
			{lateOf1000, func() { f.Late = true }},
		} {
			if dice -= fault.of1000; dice < 0 {
				fault.happen()
				return f
			}
		}
		return f
	}
}

// serve lets a node answer at its door, with what it knows of keys and of clocks when it
// starts: nothing of clocks.
func (w *World) serve(ctx context.Context, n *node) error {
	known := keys.NewStore(w.conn, w.log, filepath.Join(w.cfg.Dir, "keys-"+n.name+".json"))
	if err := known.Load(); err != nil {
		return err
	}
	if err := known.Refresh(ctx); err != nil {
		return err
	}
	handler, err := httpapi.New(acceptor{n.Node, &n.door.died}, known, w.log, httpapi.Config{Now: w.clock})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	handler.Mount(mux)
	n.door.api.Store(mux)
	return nil
}

// countFaults takes down what the network did to all requests so far.
func (w *World) countFaults() {
	f := &w.Faults
	f.Requests, f.AnswersLost, f.RequestsCut, f.RequestsLate = 0, 0, 0, 0
	for _, name := range w.regions() {
		c := w.nodes[name].door.proxy.Counts()
		f.Requests += c.Connections
		f.AnswersLost += c.CutBack
		f.RequestsCut += c.CutThere
		f.RequestsLate += c.Late
	}
}
