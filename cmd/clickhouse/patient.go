package clickhouse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// A patient connection waits so long for a server's next word, however long its query
// takes: a busy server tells of its progress ten times a second. The driver has one
// deadline for a whole query, which would end every one that takes long.
type patient struct {
	net.Conn
	limit time.Duration

	mu       sync.Mutex
	deadline time.Time // that the driver set; zero is none
}

// Read is that of the connection, with a deadline of its own.
func (p *patient) Read(b []byte) (int, error) {
	p.mu.Lock()
	deadline := p.deadline
	p.mu.Unlock()
	if next := time.Now().Add(p.limit); deadline.IsZero() || next.Before(deadline) {
		deadline = next
	}
	if err := p.Conn.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

// SetReadDeadline bounds reads, this one and later ones.
func (p *patient) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	p.deadline = t
	p.mu.Unlock()
	return p.Conn.SetReadDeadline(t)
}

// SetDeadline bounds reads and writes.
func (p *patient) SetDeadline(t time.Time) error {
	if err := p.SetReadDeadline(t); err != nil {
		return err
	}
	return p.SetWriteDeadline(t)
}

// SyscallConn is that of the socket: by it the driver sees whether a connection that was
// idle has been closed.
func (p *patient) SyscallConn() (syscall.RawConn, error) {
	conn := p.Conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return nil, errors.New("the connection has no socket")
	}
	return socket.SyscallConn()
}

// patiently makes what dials return patient connections.
func patiently(dial func(context.Context, string) (net.Conn, error)) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		return &patient{Conn: conn, limit: readLimit}, nil
	}
}

// dialer dials servers elsewhere; by TLS if it is configured.
func dialer(config *tls.Config) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		d := net.Dialer{Timeout: dialLimit}
		if config == nil {
			return d.DialContext(ctx, "tcp", addr)
		}
		conn, err := (&tls.Dialer{NetDialer: &d, Config: config}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("dial %s by TLS: %w", addr, err)
		}
		return conn, nil
	}
}
