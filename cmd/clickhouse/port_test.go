package clickhouse

import (
	"context"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"
)

// A port that somebody takes between its choice and the start is given up for
// another, at once.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dir := t.TempDir()
	cfg := Config{Dir: dir, Library: os.Getenv("PHOTOFINISH_CLICKHOUSE_LIBRARY")}
	tries := 0
	e := &embedded{
		folder:  folder{root: dir},
		log:     slog.New(slog.DiscardHandler),
		library: func(ctx context.Context, again bool) (string, error) { return findLibrary(ctx, cfg, dir, again) },
		port: func(ctx context.Context) (int, error) {
			if tries++; tries == 1 {
				return l.Addr().(*net.TCPAddr).Port, nil
			}
			return freePort(ctx)
		},
	}
	start := time.Now()
	if err := e.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	if tries != 2 {
		t.Errorf("%d tries, want 2", tries)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("took %v", d)
	}
	if err := e.leave(t.Context()); err != nil {
		t.Error(err)
	}
}
