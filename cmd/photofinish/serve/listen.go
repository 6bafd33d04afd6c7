package serve

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// Limits of a listener. A client that sends its headers or its body slower than these allow,
// or takes nothing of its answer for so long, loses its connection, so that it cannot hold
// one for ever.
const (
	headerLimit   = 5 * time.Second  // for all headers of a request
	readLimit     = 30 * time.Second // for a whole request
	idleLimit     = time.Minute      // between two requests of a connection
	restLimit     = time.Second      // for what is left of a body whose request is answered
	writeLimit    = 10 * time.Second // for the next byte of an answer to be taken
	headerBytes   = 16 << 10
	unreadBytes   = 128 << 10        // of an answer, that the kernel keeps for who has not read them
	shutdownLimit = 10 * time.Second // for the requests that are under way when the process is told to stop
)

// Who takes less than writeLeast of an answer in a writeStep is slow. A step is longer than
// a lost packet takes to be sent again. Who is slow only loses their place when it is needed.
const (
	writeStep  = 250 * time.Millisecond
	writeLeast = 16 << 10
)

// Limits say how much one listener takes on.
type Limits struct {
	Conns int           // at once; one more takes the place of who has asked or read nothing the longest
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
		Handler:           keepPlaces(handler),
		ConnContext:       remember,
		ConnState:         restPlaces,
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
			served <- server.Serve(newBoundedListener(listener, limits.Conns))
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

// boundedListener has a bounded number of connections open. When one more comes, the
// connection that has kept the node waiting for the longest is closed for it: one that is
// idle, slow to say what it asks, or slow to take its answer. So thousands that ask nothing,
// or ask and do not read, keep nobody out. One whose request is being answered keeps its
// place as long as it takes the answer; where all are such, the new one waits, and the next
// ones wait in the kernel.
//
// All who are waited for stand in one line, by how long. Had the idle ones to go first,
// thousands that do not read would cost each game server its connection between two pushes;
// had the slow readers, thousands of idle ones would cut off an answer on a bad line. The
// answer to a push fits into the kernel, whoever reads it, so a push never gets there.
type boundedListener struct {
	net.Listener
	conns int // at most

	mu      sync.Mutex // guards the fields below
	changed *sync.Cond // a place is free, or a connection waits
	open    int
	waiting *list.List // of *boundedConn that are waited for, since the longest first
}

func newBoundedListener(l net.Listener, conns int) *boundedListener {
	b := &boundedListener{Listener: l, conns: conns, waiting: list.New()}
	b.changed = sync.NewCond(&b.mu)
	return b
}

// Accept waits for a connection, and for a place for it.
func (l *boundedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// Else it grows to 4 MB, and thousands that do not read take gigabytes of the kernel
		// and the work of answers nobody reads. An error means that it is gone, which its
		// first read tells.
		_ = tcp.SetWriteBuffer(unreadBytes)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.open >= l.conns {
		longest := l.waiting.Front()
		if longest == nil {
			l.changed.Wait() // for not longer than the limits of a request
			continue
		}
		l.end(longest.Value.(*boundedConn)) //nolint:forcetypeassert,errcheck // the list holds no others
	}
	l.open++
	c := &boundedConn{Conn: conn, listener: l}
	c.place = l.waiting.PushBack(c)
	return c, nil
}

// end closes a connection, once, and gives its place back. The caller holds mu.
func (l *boundedListener) end(c *boundedConn) error {
	if c.ended {
		return net.ErrClosed
	}
	c.ended = true
	l.leave(c)
	l.open--
	l.changed.Signal()
	if tcp, ok := c.Conn.(*net.TCPConn); ok && c.slow {
		_ = tcp.SetLinger(0) // else the kernel keeps for minutes what is not read; it is closed either way
	}
	return c.Conn.Close()
}

// wait puts a connection at the end of those that are waited for.
func (l *boundedListener) wait(c *boundedConn) {
	if !c.ended && c.place == nil {
		c.place = l.waiting.PushBack(c)
		l.changed.Signal()
	}
}

// leave takes a connection off the list of those that are waited for.
func (l *boundedListener) leave(c *boundedConn) {
	if c.place != nil {
		l.waiting.Remove(c.place)
		c.place = nil
	}
}

// placeKey is under which a request's context has its connection.
type placeKey struct{}

// remember puts a connection into the context of its requests.
func remember(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, placeKey{}, conn)
}

// keepPlaces has the connection of each request keep its place until all of the answer is
// on its way, unless the client is slow to take it. What the client has not sent of a body
// that is answered already, the server would wait for as long as for a request.
func keepPlaces(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(placeKey{}).(*boundedConn); ok {
			c.asks()
			defer func() { _ = c.SetReadDeadline(time.Now().Add(restLimit)) }() // one that has ended needs none
		}
		handler.ServeHTTP(w, r)
	})
}

// restPlaces notes which connections wait for their next request.
func restPlaces(conn net.Conn, state http.ConnState) {
	if c, ok := conn.(*boundedConn); ok && state == http.StateIdle {
		c.waits()
	}
}

type boundedConn struct {
	net.Conn
	listener *boundedListener

	// Of the listener's mu.
	place    *list.Element // nil: its request is being answered, or it has ended
	slow     bool          // to take its answer
	ended    bool
	deadline time.Time // of writes, that the server set; zero is none
}

func (c *boundedConn) asks() {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.listener.leave(c)
}

func (c *boundedConn) waits() {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.listener.wait(c)
}

// reads notes whether the client is slow to take its answer.
func (c *boundedConn) reads(slow bool) {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	if slow == c.slow {
		return
	}
	c.slow = slow
	if slow {
		c.listener.wait(c)
	} else {
		c.listener.leave(c)
	}
}

// Write is that of the connection in steps, after each of which the client may turn out to
// be slow. It fails when nothing was taken for writeLimit, and at the deadline of the server.
func (c *boundedConn) Write(b []byte) (n int, err error) {
	for taken := time.Now(); ; {
		c.listener.mu.Lock()
		deadline, slow := c.deadline, c.slow
		c.listener.mu.Unlock()
		end := time.Now().Add(writeStep)
		last := !deadline.IsZero() && deadline.Before(end)
		if last {
			end = deadline
		}
		if err := c.Conn.SetWriteDeadline(end); err != nil {
			return n, err
		}
		k, err := c.Conn.Write(b[n:])
		n += k
		if err == nil && slow {
			c.reads(false)
		}
		if last || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		c.reads(k < writeLeast)
		if k > 0 {
			taken = time.Now()
		} else if time.Since(taken) >= writeLimit {
			return n, err
		}
	}
}

// SetWriteDeadline bounds writes, this one and later ones.
func (c *boundedConn) SetWriteDeadline(t time.Time) error {
	c.listener.mu.Lock()
	c.deadline = t
	c.listener.mu.Unlock()
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline bounds reads and writes.
func (c *boundedConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Close closes the connection and gives its place back.
func (c *boundedConn) Close() error {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	return c.listener.end(c)
}
