package serve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := Listen(t.Context(), "127.0.0.1:0", "--listen", 0)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A port that is taken is named, with the option that chooses another.
func TestPortTaken(t *testing.T) {
	first := listen(t)
	defer first.Close()
	addr := first.Addr().String()
	_, err := Listen(t.Context(), addr, "--listen", 100*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), addr+" is taken") || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("the second one says %v", err)
	}
	if _, err := Listen(t.Context(), "no port", "--listen", time.Minute); err == nil || !strings.Contains(err.Error(), `"no port"`) {
		t.Errorf("no port: %v", err)
	}
}

// A port that comes free soon is waited for: a photofinish that was killed lets go of it a
// moment later.
func TestPortLingers(t *testing.T) {
	first := listen(t)
	time.AfterFunc(150*time.Millisecond, func() { first.Close() })
	second, err := Listen(t.Context(), first.Addr().String(), "--listen", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
	third := listen(t)
	defer third.Close()
	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, stop)
	if _, err := Listen(ctx, third.Addr().String(), "--listen", time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("told to stop: %v", err)
	}
}

func ask(conn net.Conn) {
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
}

// read returns the body of an answer, or why there is none.
func read(conn net.Conn) string {
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return string(body)
}

// No more connections are served at once than the bound, and the next one is served when
// one ends.
func TestConnectionsAreBounded(t *testing.T) {
	l := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") })
	run := HTTP(l, answer, Limits{Conns: 1, Write: PublicLimits.Write}, slog.New(slog.DiscardHandler))
	go func() { ended <- run(ctx) }()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	first := dial()
	ask(first)
	if got := read(first); got != "here" {
		t.Fatalf("the first connection reads %q", got)
	}
	second := dial() // the first is idle and gives way
	ask(second)
	if got := read(second); got != "here" {
		t.Errorf("the second connection reads %q", got)
	}
	second.Close()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
}

// Who has a place and asks nothing, or is slow to ask, gives it to somebody who comes when
// all places are taken: the one that has been so the longest.
func TestWhoDoesNotAskGivesWay(t *testing.T) {
	l := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") })
	run := HTTP(l, answer, Limits{Conns: 3, Write: PublicLimits.Write}, slog.New(slog.DiscardHandler))
	go func() { ended <- run(ctx) }()
	var conns [5]net.Conn
	for i := range conns {
		var err error
		if conns[i], err = net.Dial("tcp", l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
		if err := conns[i].SetDeadline(time.Now().Add(headerLimit / 2)); err != nil {
			t.Fatal(err)
		}
		if i < 4 {
			fmt.Fprintf(conns[i], "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
		}
	}
	ask(conns[4]) // who comes last, and asks
	if got := read(conns[4]); got != "here" {
		t.Errorf("who asks reads %q", got)
	}
	for i, open := range []bool{false, false, true, true, true} {
		err := conns[i].SetReadDeadline(time.Now().Add(headerLimit / 10))
		if err == nil {
			_, err = conns[i].Read(make([]byte, 1000))
		}
		if timeout := errors.Is(err, os.ErrDeadlineExceeded); timeout != open {
			t.Errorf("connection %d is open: %v, want %v (%v)", i, timeout, open, err)
		}
	}
	for _, c := range conns {
		c.Close()
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
}

// Who does not read their answers, or hardly, gives their place to somebody who comes when
// all places are taken; who reads them keeps theirs, though they came first.
func TestWhoDoesNotReadGivesWay(t *testing.T) {
	l := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	asked := make(chan struct{}, 5)
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		_, _ = w.Write(make([]byte, 64<<20)) // more than the kernel takes
	})
	run := HTTP(l, answer, Limits{Conns: 3, Write: PublicLimits.Write}, slog.New(slog.DiscardHandler))
	go func() { ended <- run(ctx) }()
	var conns [5]net.Conn // a reader, who reads nothing, who reads hardly, and two who come
	comes := func(i int) {
		var err error
		if conns[i], err = net.Dial("tcp", l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		err = errors.Join(conns[i].(*net.TCPConn).SetReadBuffer(256<<10), conns[i].SetDeadline(time.Now().Add(writeLimit*9/10)))
		if err != nil {
			t.Fatal(err)
		}
		ask(conns[i])
		select {
		case <-asked: // so that nobody is idle
		case <-time.After(writeLimit / 3):
			t.Fatalf("connection %d gets no place", i)
		}
	}
	for i := range 3 {
		comes(i)
	}
	whole, here, drops := make(chan error, 1), make(chan struct{}), make(chan struct{})
	go func() { // too slow to be through before the others come
		answer, err := http.ReadResponse(bufio.NewReader(conns[0]), nil)
		if err == nil {
			for err == nil {
				_, err = io.CopyN(io.Discard, answer.Body, 1<<20)
				time.Sleep(writeStep / 5)
			}
			answer.Body.Close()
		}
		whole <- err
	}()
	go func() {
		defer close(drops)
		for {
			select {
			case <-here:
				return
			case <-time.After(writeStep / 5):
				_, _ = conns[2].Read(make([]byte, 100)) // what it ends with comes last
			}
		}
	}()
	time.Sleep(4 * writeStep) // the kernel takes some, and then no more
	for i := 3; i < 5; i++ {
		comes(i)
		if _, err := conns[i].Read(make([]byte, 100)); err != nil {
			t.Errorf("connection %d reads %v", i, err)
		}
	}
	close(here)
	<-drops
	for i := 1; i <= 2; i++ {
		if _, err := io.Copy(io.Discard, conns[i]); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("connection %d, which is not read, ends with %v", i, err)
		}
	}
	if err := <-whole; !errors.Is(err, io.EOF) {
		t.Errorf("who reads ends with %v", err)
	}
	for _, c := range conns {
		c.Close()
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
}

// A write of which nothing is taken fails after a while; one of which something is taken now
// and then goes on until the deadline that the server set. Who takes little is slow.
func TestWriteThatIsNotTaken(t *testing.T) {
	for name, c := range map[string]struct {
		every time.Duration
		bytes int
		want  time.Duration
		slow  bool
	}{
		"nothing":        {0, 0, writeLimit, true},
		"a byte at last": {writeLimit - time.Second, 1, PublicLimits.Write, true},
		"little":         {writeStep / 10, writeLeast / 20, PublicLimits.Write, true},
		"enough":         {writeStep / 10, writeLeast / 5, PublicLimits.Write, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				listener := newBoundedListener(nil, 1)
				conn := &boundedConn{Conn: near, listener: listener}
				began := time.Now()
				if err := conn.SetWriteDeadline(began.Add(PublicLimits.Write)); err != nil {
					t.Fatal(err)
				}
				read := make(chan struct{})
				go func() {
					defer close(read)
					for err := error(nil); err == nil && c.every > 0; time.Sleep(c.every) {
						_, err = far.Read(make([]byte, c.bytes))
					}
				}()
				time.AfterFunc(writeLimit/2, func() {
					listener.mu.Lock()
					defer listener.mu.Unlock()
					if slow := listener.waiting.Len() == 1; slow != c.slow {
						t.Errorf("it is slow: %v, want %v", slow, c.slow)
					}
				})
				_, err := conn.Write(make([]byte, 32<<20))
				if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took != c.want {
					t.Errorf("it fails with %v after %v, want %v", err, took, c.want)
				}
				if err := errors.Join(conn.Close(), far.Close()); err != nil {
					t.Error(err)
				}
				<-read
			})
		})
	}
}

// A request that is being answered keeps its place, however many come.
func TestWhoIsAnsweredKeepsTheirPlace(t *testing.T) {
	l := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	asked, goOn := make(chan struct{}, 2), make(chan struct{})
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-goOn
		fmt.Fprint(w, "here")
	})
	run := HTTP(l, answer, Limits{Conns: 1, Write: PublicLimits.Write}, slog.New(slog.DiscardHandler))
	go func() { ended <- run(ctx) }()
	answers := make(chan error, 2)
	for i := range 2 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		go func() {
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err == nil {
				err = answer.Body.Close()
			}
			answers <- err
		}()
		if i == 0 {
			<-asked
		}
	}
	select {
	case <-asked:
		t.Error("two are answered at once, the bound is one")
	case <-time.After(100 * time.Millisecond):
	}
	close(goOn)
	for range 2 {
		if err := <-answers; err != nil {
			t.Errorf("no answer: %v", err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
}

// A request that is under way when the process is told to stop gets its answer.
func TestStopWaitsForRequests(t *testing.T) {
	l := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		stop()
		<-stopped
		fmt.Fprint(w, "kept")
	})
	ended := make(chan error, 1)
	run := HTTP(l, answer, PublicLimits, slog.New(slog.DiscardHandler))
	go func() { ended <- run(ctx) }()
	go func() {
		<-ctx.Done()
		close(stopped)
	}()
	response, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); string(body) != "kept" || err != nil {
		t.Errorf("it reads %q, %v", body, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
}

// Who is answered before they have sent their body may not trickle the rest of it for as
// long as a request may take.
func TestRestOfAnAnsweredBody(t *testing.T) {
	l := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
	run := HTTP(l, answer, PublicLimits, slog.New(slog.DiscardHandler))
	go func() { ended <- run(ctx) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(readLimit / 3)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
	if answer, err := io.ReadAll(conn); err != nil || !strings.Contains(string(answer), "429") {
		t.Errorf("the connection gives %q and ends with %v", answer, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
}
