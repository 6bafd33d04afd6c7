package clickhouse_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"photofinish/cmd/clickhouse"
)

// Before the server is opened, everything fails at once and says so; then it works; and
// once Run is told to stop, it is closed.
func TestLater(t *testing.T) {
	t.Parallel()
	prepared := 0
	l, err := clickhouse.NewLater(config(t.TempDir()), func(ctx context.Context, s *clickhouse.Server) error {
		prepared++
		return s.Conn().Exec(ctx, createSQL)
	}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	conn := l.Conn()
	var n uint64
	_, queryErr := conn.Query(t.Context(), "SELECT 1")
	_, batchErr := conn.PrepareBatch(t.Context(), "INSERT INTO acked")
	for _, err := range []error{
		queryErr, batchErr, conn.QueryRow(t.Context(), "SELECT 1").Scan(&n), conn.Exec(t.Context(), insertSQL), conn.Ping(t.Context()),
	} {
		if !errors.Is(err, clickhouse.ErrNotOpen) {
			t.Errorf("before it is open: %v", err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	select {
	case <-l.Opened():
	case err := <-ended:
		t.Fatalf("Run ended: %v", err)
	}
	if err := conn.Exec(t.Context(), insertSQL); err != nil {
		t.Error(err)
	}
	if got := count(t, l.Server()); got != 1 || prepared != 1 {
		t.Errorf("%d rows, prepared %d times", got, prepared)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run ends with %v", err)
	}
	if err := conn.Exec(t.Context(), insertSQL); err == nil {
		t.Error("a row after the end")
	}
}

// A server that is down is waited for, and Run ends when it is told to; what no waiting
// mends ends it at once.
func TestLaterWaits(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close() // nobody answers there now
	failed := make(chan struct{}, 1)
	log := slog.New(slog.NewTextHandler(signal{failed}, nil))
	l, err := clickhouse.NewLater(clickhouse.Config{Addr: addr}, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	<-failed
	if l.Problem() == nil || l.Server() != nil {
		t.Errorf("the problem is %v", l.Problem())
	}
	if err := l.Conn().Ping(t.Context()); !errors.Is(err, clickhouse.ErrNotOpen) {
		t.Errorf("ping: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run ends with %v", err)
	}

	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "version"), []byte("99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	newer, err := clickhouse.NewLater(config(dir), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var format *clickhouse.FormatError
	if err := newer.Run(t.Context()); !errors.As(err, &format) {
		t.Errorf("a newer folder: %v", err)
	}
	if _, err := clickhouse.NewLater(clickhouse.Config{}, nil, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a server nowhere")
	}
}

// signal tells of every write.
type signal struct{ written chan struct{} }

func (s signal) Write(p []byte) (int, error) {
	select {
	case s.written <- struct{}{}:
	default:
	}
	return len(p), nil
}
