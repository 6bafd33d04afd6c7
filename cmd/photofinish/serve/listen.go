package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// Limits of a listener. A client that sends its headers or its body slower than these allow
// loses its connection, so that it cannot hold one for ever.
const (
	headerLimit   = 5 * time.Second  // for all headers of a request
	readLimit     = 30 * time.Second // for a whole request
	idleLimit     = time.Minute      // between two requests of a connection
	headerBytes   = 16 << 10
	shutdownLimit = 10 * time.Second // for the requests that are under way when the process is told to stop
)

// Limits say how much one listener takes on.
type Limits struct {
	Conns int           // at once; further ones wait in the kernel's queue
	Write time.Duration // from the end of a request's headers to the end of its answer
}

// The limits of the two listeners. Profiles take half a minute and more.
var (
	PublicLimits    = Limits{Conns: 2000, Write: time.Minute}
	OperatorsLimits = Limits{Conns: 100, Write: 3 * time.Minute}
)

// Lingers is how long Listen may well be asked to wait for an address. A photofinish that is
// killed while it starts its engine leaves a child behind that has the listeners until it
// becomes the engine; whoever starts the next one at once finds them taken.
const Lingers = 3 * time.Second

// Listen takes an address, so that a port that is taken is known before anything starts.
// Option is how the user can choose another. It waits so long for one that is taken.
func Listen(ctx context.Context, addr, option string, wait time.Duration) (net.Listener, error) {
	var config net.ListenConfig
	const pause = 50 * time.Millisecond
	listener, err := config.Listen(ctx, "tcp", addr)
	for ; wait > 0 && errors.Is(err, syscall.EADDRINUSE); wait -= pause {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pause):
		}
		listener, err = config.Listen(ctx, "tcp", addr)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("the address %s is taken, perhaps by another photofinish: stop that, or choose another address with %s", addr, option)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("this user may not listen on %s: choose a port above 1023 with %s", addr, option)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("this machine does not have the address %s: choose another with %s", addr, option)
	case err != nil:
		return nil, fmt.Errorf("listen on %q: %w; choose another address with %s", addr, err, option)
	}
	return listener, nil
}

// HTTP serves a handler on a listener, which it closes, until ctx is done; then it takes no
// new connection and lets requests that are under way end.
func HTTP(listener net.Listener, handler http.Handler, limits Limits, log *slog.Logger) func(context.Context) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerLimit,
		ReadTimeout:       readLimit,
		WriteTimeout:      limits.Write,
		IdleTimeout:       idleLimit,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return func(ctx context.Context) error {
		served := make(chan error, 1)
		go func() {
			served <- server.Serve(&boundedListener{Listener: listener, free: make(chan struct{}, limits.Conns)})
		}()
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
		}
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownLimit)
		defer cancel()
		if err := server.Shutdown(ending); err != nil {
			log.WarnContext(ctx, "requests were cut off", "addr", listener.Addr().String(), "after", shutdownLimit)
			_ = server.Close() // what it closes is given up
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}

// boundedListener has a bounded number of connections open.
type boundedListener struct {
	net.Listener
	free chan struct{} // holds a token for each open connection
}

// Accept waits for a connection, and for a place for it.
func (l *boundedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	// A connection that waits here is one more than the bound; the next ones wait in the
	// kernel. Places come free, since every connection has its time limits.
	l.free <- struct{}{}
	return &boundedConn{Conn: conn, release: sync.OnceFunc(func() { <-l.free })}, nil
}

type boundedConn struct {
	net.Conn
	release func()
}

// Close closes the connection and gives its place back.
func (c *boundedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
