package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// slowCrowd are connections on which a byte comes now and then, or on which no answer is read.
type slowCrowd struct {
	addr     string
	requests [][]byte // what is sent at once, of each kind; the bytes that follow mean nothing
	unread   bool     // the answers stay where they are

	ended atomic.Int64 // by the node
	last  atomic.Int64 // how long the last of these lived, in ns
}

// slowEvery is how long a slow sender waits between two bytes.
const slowEvery = 2 * time.Second

// slowRamp is how long it takes until all are there: opening them costs this process, too.
const slowRamp = 5 * time.Second

func newSlowCrowd(addr, key string) *slowCrowd {
	open := func(key string) []byte {
		return []byte("POST /v1/events HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer " + key +
			"\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100000\r\n\r\n{")
	}
	return &slowCrowd{addr: addr, requests: [][]byte{
		[]byte("P"), // headers that never end
		[]byte("POST /v1/events HTTP/1.1\r\nHost: bench\r\nX-Slow: "),
		open(key),     // a body that never ends, of one who may push
		open("pf_no"), // and of one who may not
	}}
}

// newUnreadCrowd asks, without a key, for more than the kernel takes for who does not read.
func newUnreadCrowd(addr string) *slowCrowd {
	const asks = 3000 // of some 3 kB each
	request := []byte("GET /openapi.json HTTP/1.1\r\nHost: bench\r\n\r\n")
	return &slowCrowd{addr: addr, requests: [][]byte{bytes.Repeat(request, asks)}, unread: true}
}

// run opens so many connections and trickles on each until the node ends it or ctx is
// done.
func (s *slowCrowd) run(ctx context.Context, n int) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = s.trickle(ctx, s.requests[i%len(s.requests)]) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (s *slowCrowd) trickle(ctx context.Context, request []byte) error {
	began := time.Now()
	var dialer net.Dialer
	var conn net.Conn
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(jitter(slowRamp)):
	}
	conn, err := dialer.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer func() { _ = conn.Close() }() // the node has ended it, or it is given up
	ended := make(chan struct{})
	end := sync.OnceFunc(func() { close(ended) })
	if !s.unread {
		go func() {
			defer end()
			_, _ = io.Copy(io.Discard, conn) // an answer, and then the end, however it comes
		}()
	}
	send := func(b []byte) {
		_ = conn.SetWriteDeadline(time.Now().Add(slowEvery)) // the node need not read, either
		// Who reads learns of the end by that; who does not, when nothing can be sent any more.
		if _, err := conn.Write(b); s.unread && err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			end()
		}
	}
	send(request)
	for tick := time.NewTicker(slowEvery); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return nil
		case <-ended:
			tick.Stop()
			s.ended.Add(1)
			lived := int64(time.Since(began))
			for last := s.last.Load(); lived > last && !s.last.CompareAndSwap(last, lived); last = s.last.Load() {
			}
			return nil
		case <-tick.C:
			send([]byte("a"))
		}
	}
}
