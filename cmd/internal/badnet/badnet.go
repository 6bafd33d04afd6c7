// Package badnet is a bad network in front of an address, for programs that show or test
// what Photofinish makes of one: of the connections that it passes on some are slow, some
// are cut on the way there or on the way back, and some requests arrive late.
package badnet

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Fault is what happens to one connection. The zero value is nothing.
type Fault struct {
	// Delay is how long the connection waits before anything is passed on.
	Delay time.Duration
	// CutThere and CutBack are at which byte the connection is cut, counted from 1, on the
	// way there or back: the bytes before it are passed on. 0, or a byte that never comes:
	// it is not cut. A CutBack of 1 loses the answer to a request that was taken.
	CutThere, CutBack int64
	// Late takes one HTTP/1 request whole and ends the connection. Deliver passes the
	// request on; by then its client may have sent it again.
	Late bool
}

// Counts says how often what happened.
type Counts struct {
	Connections int
	CutThere    int
	CutBack     int
	Late        int
}

// Proxy passes connections on. Its methods may be called by several goroutines at once.
type Proxy struct {
	listener net.Listener
	to       string

	mu     sync.Mutex // guards the fields below, and calls of next
	next   func() Fault
	counts Counts
	late   [][]byte // requests, by when they came
}

// New listens on loopback until ctx is done, and passes on to an address. Next is asked once
// for each connection, in the order in which they come and never twice at once: who makes
// them one after the other gets the same faults from the same numbers.
func New(ctx context.Context, to string, next func() Fault) (*Proxy, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen in front of %s: %w", to, err)
	}
	p := &Proxy{listener: l, to: to, next: next}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f := p.draw()
			go p.serve(ctx, c, f)
		}
	}()
	return p, nil
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Counts returns what has happened so far. A fault is counted before its client can see it.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

func (p *Proxy) draw() Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Connections++
	return p.next()
}

func (p *Proxy) count(n *int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*n++
}

func (p *Proxy) serve(ctx context.Context, client net.Conn, f Fault) {
	defer func() { _ = client.Close() }() // an end of a connection is all it can say
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-ctx.Done():
			return
		}
	}
	if f.Late {
		p.hold(client)
		return
	}
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.to)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	done := make(chan struct{}, 2)
	way := func(to io.Writer, from io.Reader, cut int64, cuts *int) {
		if pass(to, from, cut) {
			p.count(cuts)
		}
		done <- struct{}{}
	}
	go way(server, client, f.CutThere, &p.counts.CutThere)
	go way(client, server, f.CutBack, &p.counts.CutBack)
	<-done
}

// pass passes on what comes, up to the byte at which it is cut, and reports whether that
// came. However it ends, both ends are closed then. It waits for that byte, so that a cut
// behind the last one is none, rather than a race with the answer.
func pass(to io.Writer, from io.Reader, cut int64) bool {
	if cut == 0 {
		_, _ = io.Copy(to, from)
		return false
	}
	if _, err := io.CopyN(to, from, cut-1); err != nil {
		return false
	}
	var next [1]byte
	_, err := io.ReadFull(from, next[:])
	return err == nil
}

// hold keeps the request of a connection.
func (p *Proxy) hold(client io.Reader) {
	var text bytes.Buffer
	request, err := http.ReadRequest(bufio.NewReader(io.TeeReader(client, &text)))
	if err == nil {
		_, err = io.Copy(io.Discard, request.Body)
	}
	if err != nil { // the client left first
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Late++
	p.late = append(p.late, text.Bytes())
}

// Deliver passes on the requests that are late, each behind the answer to the one before,
// and throws the answers away: nobody waits for them any more. After an error the one that
// failed and those behind it are still late.
func (p *Proxy) Deliver(ctx context.Context) error {
	for {
		p.mu.Lock()
		if len(p.late) == 0 {
			p.mu.Unlock()
			return nil
		}
		request := p.late[0]
		p.mu.Unlock()
		if err := p.exchange(ctx, request); err != nil {
			return fmt.Errorf("pass on a late request to %s: %w", p.to, err)
		}
		p.mu.Lock()
		p.late = p.late[1:]
		p.mu.Unlock()
	}
}

func (p *Proxy) exchange(ctx context.Context, request []byte) error {
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.to)
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if _, err := server.Write(request); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(server), nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // all of it was read
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
