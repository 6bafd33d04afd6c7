package main

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// proxy is a bad network in front of an address: of the connections that it passes on some
// are slow, and some are cut after a number of bytes, on the way there or on the way back.
type proxy struct {
	listener net.Listener
	to       string

	mu   sync.Mutex
	rand *rand.Rand
}

// newProxy listens until ctx is done.
func newProxy(ctx context.Context, to string, random *rand.Rand) (*proxy, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, to: to, rand: random}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(ctx, c)
		}
	}()
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// fault is what happens to a connection. A cut of 0 is none.
type fault struct {
	delay             time.Duration // before anything is passed on
	cutThere, cutBack int64         // after so many bytes
}

// draw takes the next connection's fault: one in five is slow, one in ten is cut.
func (p *proxy) draw() fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	var f fault
	if p.rand.IntN(5) == 0 {
		f.delay = time.Duration(p.rand.IntN(100)) * time.Millisecond
	}
	switch p.rand.IntN(20) {
	case 0:
		f.cutThere = 1 + p.rand.Int64N(20_000)
	case 1:
		f.cutBack = 1 + p.rand.Int64N(2_000)
	}
	return f
}

func (p *proxy) serve(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }() // an end of a connection is all it can say
	f := p.draw()
	select {
	case <-time.After(f.delay):
	case <-ctx.Done():
		return
	}
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.to)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	done := make(chan struct{}, 2)
	pass := func(to io.Writer, from io.Reader, cut int64) {
		if cut > 0 {
			from = io.LimitReader(from, cut)
		}
		_, _ = io.Copy(to, from) // however it ends, both ends are closed
		done <- struct{}{}
	}
	go pass(server, client, f.cutThere)
	go pass(client, server, f.cutBack)
	<-done
}
