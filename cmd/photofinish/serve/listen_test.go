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
	"strings"
	"testing"
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

// No more connections are served at once than the bound, and the next one is served when
// one ends.
func TestConnectionsAreBounded(t *testing.T) {
	l := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") })
	run := HTTP(l, answer, Limits{Conns: 1, Write: PublicLimits.Write}, slog.New(slog.DiscardHandler))
	go func() { ended <- run(ctx) }()
	ask := func(conn net.Conn) {
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	read := func(conn net.Conn) string {
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err.Error()
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return string(body)
	}
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
	second := dial() // waits: the first is idle, but open
	ask(second)
	first.Close()
	if got := read(second); got != "here" {
		t.Errorf("the second connection reads %q", got)
	}
	second.Close()
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
