package clickhouse_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"photofinish/cmd/clickhouse"
	"photofinish/cmd/clickhouse/clickhousetest"
)

// A data folder of a newer format is refused by a message with both numbers, and
// nothing in it is touched.
func TestNewerFormat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "version"), []byte("7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, config(dir))
	var format *clickhouse.FormatError
	if !errors.As(err, &format) || format.Have != 7 || format.Want != clickhouse.Format {
		t.Fatalf("got %v, want a FormatError", err)
	}
	if text := err.Error(); !strings.Contains(text, "format 7") || !strings.Contains(text, "up to 1") {
		t.Errorf("unclear: %s", text)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %d entries, %v; want only the version", len(entries), err)
	}
}

// A server whose settings would lose rows is refused by one line that names the
// setting and both values.
func TestDrift(t *testing.T) {
	t.Parallel()
	cfg := config(t.TempDir())
	cfg.ExtraXML = "<merge_tree><non_replicated_deduplication_window>100</non_replicated_deduplication_window></merge_tree>"
	_, err := open(t, cfg)
	var setting *clickhouse.SettingError
	if !errors.As(err, &setting) {
		t.Fatalf("got %v, want a SettingError", err)
	}
	want := `the ClickHouse setting non_replicated_deduplication_window is "100", photofinish needs "0": insert deduplication loses acknowledged rows in a crash`
	if setting.Error() != want {
		t.Errorf("got %s\nwant %s", setting, want)
	}
}

// The embedded engine lets nobody in without its password, neither as its own
// user nor as the engine's, and attempts and garbage do not hurt it.
func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := clickhousetest.Start(t, dir)
	addr, user, password, pid := info(t, dir)
	for _, garbage := range []string{"\n", "GET / HTTP/1.0\r\n\r\n", "\x00\x14A", ""} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(garbage)); err != nil {
			t.Error(err)
		}
		time.Sleep(20 * time.Millisecond)
		_ = conn.Close()
	}
	for _, c := range []struct{ user, password string }{
		{user, "guess"}, {user, ""}, {"default", ""}, {"default", password}, {"", ""}, {"nobody", ""},
	} {
		o, err := open(t, clickhouse.Config{Addr: addr, User: c.user, Password: c.password})
		if err == nil {
			t.Errorf("user %q was let in", c.user)
			_ = o.Close()
		}
	}
	_, err := open(t, clickhouse.Config{Addr: addr, User: user, Password: "guess"})
	if clickhouse.Hint(err) == "" {
		t.Errorf("%v: no hint", err)
	}
	host, _, _ := net.SplitHostPort(addr)
	if host != "127.0.0.1" {
		t.Errorf("listens on %s", host)
	}
	if err := s.Conn().Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if _, _, _, now := info(t, dir); now != pid {
		t.Error("the engine was killed by a connection")
	}
}

// A server elsewhere is used by its address, with a database of its own.
func TestAddress(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	clickhousetest.Start(t, dir)
	addr, user, password, _ := info(t, dir)
	s, err := open(t, clickhouse.Config{Addr: " " + addr + " ,", User: user, Password: password, Database: "another"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	var database, engine string
	const query = "SELECT name, engine FROM system.databases WHERE name = currentDatabase()"
	if err := s.Conn().QueryRow(t.Context(), query).Scan(&database, &engine); err != nil {
		t.Fatal(err)
	}
	if database != "another" || engine != "Atomic" {
		t.Errorf("database %s with engine %s", database, engine)
	}
}

// Nothing is opened with a configuration that cannot work, and the message has
// the value.
func TestConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  clickhouse.Config
		want string
	}{
		{clickhouse.Config{}, "neither an address nor a data folder"},
		{clickhouse.Config{Dir: "/x", Database: "a b"}, `"a b"`},
		{clickhouse.Config{Dir: "/x", Database: "a;DROP"}, `"a;DROP"`},
		{clickhouse.Config{Dir: "/x", MaxConns: -1}, "-1"},
		{clickhouse.Config{Dir: t.TempDir(), Library: "/nowhere/libchdb.so"}, "/nowhere/libchdb.so"},
		{clickhouse.Config{Dir: t.TempDir(), Library: os.Args[0]}, "does not work: is it a libchdb.so"},
		{clickhouse.Config{Addr: "127.0.0.1:1"}, "127.0.0.1:1"},
	} {
		s, err := open(t, c.cfg)
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q in it", c.cfg, err, c.want)
		}
	}
}

func open(t *testing.T, cfg clickhouse.Config) (*clickhouse.Server, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return clickhouse.Open(ctx, cfg, slog.New(slog.DiscardHandler))
}
