// Package clickhousetest gives tests a real ClickHouse: the embedded engine, one
// for all tests of a test binary, each test in a database of its own.
//
// A package that uses it has
//
//	func TestMain(m *testing.M) { clickhousetest.Main(m) }
//
// The engine is fetched once into the user's cache, as for the program itself;
// PHOTOFINISH_CLICKHOUSE_LIBRARY names another. With PHOTOFINISH_CLICKHOUSE_ADDRS
// (and _USER, _PASSWORD) the tests use that server instead. Where there is no
// ClickHouse the tests fail; they never skip.
package clickhousetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/cmd/clickhouse"
)

// limit bounds the start of an engine, with its fetch, and the end of a test.
const limit = 10 * time.Minute

// shared is the engine of this test binary.
var shared struct {
	sync.Mutex
	server *clickhouse.Server
	dir    string
}

// Main runs the tests of a package, stops the shared engine and exits with the
// tests' code. It also makes the test binary able to be the engine.
func Main(m *testing.M) {
	clickhouse.RunChildIfAsked()
	code := m.Run()
	shared.Lock()
	if shared.server != nil {
		if err := shared.server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "stop ClickHouse:", err)
			code = max(code, 1)
		}
		_ = os.RemoveAll(shared.dir)
	}
	shared.Unlock()
	os.Exit(code)
}

// config is where ClickHouse is for tests.
func config(dir string) clickhouse.Config {
	return clickhouse.Config{
		Addr:     os.Getenv("PHOTOFINISH_CLICKHOUSE_ADDRS"),
		User:     os.Getenv("PHOTOFINISH_CLICKHOUSE_USER"),
		Password: os.Getenv("PHOTOFINISH_CLICKHOUSE_PASSWORD"),
		Library:  os.Getenv("PHOTOFINISH_CLICKHOUSE_LIBRARY"),
		Dir:      dir,
		Progress: os.Stderr,
	}
}

// New returns a connection to an empty database that no other test sees. At the
// end of the test the connection is closed and the database dropped.
func New(t testing.TB) driver.Conn {
	t.Helper()
	return Open(t).Conn()
}

// Open is as [New] but returns the whole server.
func Open(t testing.TB) *clickhouse.Server {
	t.Helper()
	cfg := config(sharedDir(t))
	cfg.Database = "test_" + strings.ToLower(rand.Text()[:16])
	s := open(t, cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Conn().Exec(ctx, "DROP DATABASE IF EXISTS "+cfg.Database+" SYNC"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return s
}

// Start returns an engine of the test's own in the data folder dir, for a test
// that kills, reopens or inspects it. The test may close it; otherwise that
// happens at its end.
func Start(t testing.TB, dir string) *clickhouse.Server {
	t.Helper()
	cfg := config(dir)
	cfg.Addr = ""
	return open(t, cfg)
}

// sharedDir returns the data folder of the shared engine, which it has running.
func sharedDir(t testing.TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		return shared.dir
	}
	dir, err := os.MkdirTemp("", "photofinish-test-*")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	server, err := clickhouse.Open(ctx, config(dir), slog.New(slog.DiscardHandler))
	if err != nil {
		_ = os.RemoveAll(dir)
		t.Fatalf("start ClickHouse for the tests: %v", err)
	}
	shared.server, shared.dir = server, dir
	return dir
}

func open(t testing.TB, cfg clickhouse.Config) *clickhouse.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	s, err := clickhouse.Open(ctx, cfg, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatalf("start ClickHouse: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close ClickHouse: %v", err)
		}
	})
	return s
}
