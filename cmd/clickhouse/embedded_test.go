package clickhouse_test

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"photofinish/cmd/clickhouse"
	"photofinish/cmd/clickhouse/clickhousetest"
)

// What was written is there after a stop and a start, the engine is gone in
// between, and nothing secret can be read by others.
func TestReopen(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new <&> folder")
	s := clickhousetest.Start(t, dir)
	if s.Version() == "" {
		t.Error("no version")
	}
	exec1(t, s, createSQL)
	exec1(t, s, insertSQL)
	for _, name := range []string{"engine.json", "users.xml", "config.xml", "engine.out"} {
		stat, err := os.Stat(filepath.Join(dir, "clickhouse", name))
		if err != nil {
			t.Fatal(err)
		}
		if stat.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", name, stat.Mode())
		}
	}
	_, _, before, pid := info(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	waitGone(t, pid, time.Second)

	start := time.Now()
	s = clickhousetest.Start(t, dir)
	t.Logf("started in %v", time.Since(start))
	if n := count(t, s); n != 1 {
		t.Errorf("%d rows after a restart, want 1", n)
	}
	if _, _, after, _ := info(t, dir); after == before {
		t.Error("the password is the same after a restart")
	}
}

// The engine is killed while rows are inserted: every acknowledged row is there
// afterwards, over the same connection, without anybody reopening anything; and a
// signal that asks it to end does nothing.
func TestEngineKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := clickhousetest.Start(t, dir)
	exec1(t, s, createSQL)
	acked := 0
	for range 3 {
		_, _, _, pid := info(t, dir)
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
			if err := syscall.Kill(pid, sig); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 30 {
			if i == 15 {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			if s.Conn().Exec(t.Context(), insertSQL) == nil {
				acked++
			}
		}
	}
	if acked < 3*25 {
		t.Errorf("only %d of 90 inserts were acknowledged: the engine did not come back at once", acked)
	}
	if n := count(t, s); n < acked || n > 90 {
		t.Errorf("%d rows, want the %d acknowledged", n, acked)
	}
}

// The command that started the engine is killed: the engine ends within seconds
// unless somebody comes at once, who then has it, and no row is lost either way.
func TestParentKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 4 {
		other := runCommand(t, dir)
		if other.rows != i || !alive(other.pid) {
			t.Fatalf("saw %d rows, want %d", other.rows, i)
		}
		if err := other.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = other.cmd.Wait()
		if i%2 == 0 {
			waitGone(t, other.pid, 5*time.Second)
		}
		s := clickhousetest.Start(t, dir) // may meet the engine while it stops
		if n := count(t, s); n != i+1 {
			t.Errorf("%d rows, want %d", n, i+1)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		waitGone(t, other.pid, 5*time.Second)
	}
}

// A command that ends, well or not, never takes the engine from another; the last
// one stops it.
func TestSharedEngine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := runCommand(t, dir)
	second := runCommand(t, dir)
	s := clickhousetest.Start(t, dir)
	if first.pid != second.pid {
		t.Errorf("engines %d and %d, want one", first.pid, second.pid)
	}
	if first.rows != 0 || second.rows != 1 {
		t.Errorf("saw %d and %d rows, want 0 and 1", first.rows, second.rows)
	}
	first.leave(t) // in order; it had started the engine
	if n := count(t, s); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
	_ = second.cmd.Process.Kill()
	_ = second.cmd.Wait()
	time.Sleep(200 * time.Millisecond)
	if n := count(t, s); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
	if _, _, _, pid := info(t, dir); pid != first.pid {
		t.Errorf("engine %d, want the first one, %d", pid, first.pid)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	waitGone(t, first.pid, 5*time.Second)
}

// Commands that start at once, in several processes and in one, all work, on one
// engine.
func TestRace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var commands [3]*command
	var wg sync.WaitGroup
	for i := range commands {
		wg.Go(func() { commands[i] = runCommand(t, dir) })
	}
	for range 3 {
		wg.Go(func() { clickhousetest.Start(t, dir) })
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for _, c := range commands {
		if c.pid != commands[0].pid {
			t.Errorf("engines %d and %d, want one", commands[0].pid, c.pid)
		}
		c.leave(t)
	}
	if n := count(t, clickhousetest.Start(t, dir)); n != len(commands) {
		t.Errorf("%d rows, want %d", n, len(commands))
	}
}

// Opening and closing at once, again and again, never meets a stopping engine.
func TestOpenCloseStorm(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	exec1(t, clickhousetest.Start(t, t.TempDir()), createSQL) // another folder is another engine
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 4 {
				s := clickhousetest.Start(t, dir)
				if err := s.Conn().Exec(t.Context(), createSQL); err != nil {
					t.Error(err)
				}
				if err := s.Conn().Exec(t.Context(), insertSQL); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := count(t, clickhousetest.Start(t, dir)); n != 16 {
		t.Errorf("%d rows, want 16", n)
	}
}

// What a crash leaves, an address of nobody, is not believed.
func TestStaleInfo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "clickhouse"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		`{"addr":"127.0.0.1:1","user":"x","password":"y","pid":1}`, `{"addr":`, ``,
	} {
		if err := os.WriteFile(filepath.Join(dir, "clickhouse", "engine.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := clickhousetest.Start(t, dir).Close(); err != nil {
			t.Error(err)
		}
	}
}

// Several users of an engine that is killed find one new engine, and a later one
// can log in too.
func TestEngineKilledUnderMany(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := runCommand(t, dir)
	users := []*clickhouse.Server{clickhousetest.Start(t, dir), clickhousetest.Start(t, dir), clickhousetest.Start(t, dir)}
	if err := syscall.Kill(other.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, s := range users {
		wg.Go(func() {
			for try := 0; s.Conn().Ping(t.Context()) != nil; try++ {
				if try == 10 {
					t.Error("no engine again")
					return
				}
			}
		})
	}
	wg.Wait()
	later := runCommand(t, dir)
	if later.rows != 1 || later.pid == other.pid {
		t.Errorf("saw %d rows on engine %d, want 1 on another than %d", later.rows, later.pid, other.pid)
	}
	for _, s := range users {
		if n := count(t, s); n != 2 {
			t.Errorf("%d rows, want 2", n)
		}
	}
}
