package clickhouse_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"photofinish/cmd/clickhouse"
	"photofinish/cmd/clickhouse/clickhousetest"
)

// A store is intact after it was stopped. After any other end it is not, whatever runs
// in it and however often it is stopped, until somebody has made good what was lost.
func TestIntact(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func(want bool) *clickhouse.Server {
		t.Helper()
		s := clickhousetest.Start(t, dir)
		if s.Intact() != want {
			t.Errorf("intact is %v, want %v", s.Intact(), want)
		}
		return s
	}
	stop := func(s *clickhouse.Server) {
		t.Helper()
		_, _, _, pid := info(t, dir)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		waitGone(t, pid, time.Second)
	}
	stop(open(true))
	s := open(true)
	exec1(t, s, createSQL)
	other := open(true)
	if err := other.Close(); err != nil { // s still uses the engine
		t.Fatal(err)
	}
	stop(s)

	s = open(true)
	_, _, _, pid := info(t, dir)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitGone(t, pid, time.Second)
	for try := 0; s.Conn().Exec(t.Context(), insertSQL) != nil; try++ { // until another engine runs
		if try == 10 {
			t.Fatal("the engine did not come back")
		}
	}
	if s.Intact() {
		t.Error("intact after the engine was killed")
	}
	stop(s)
	stop(open(false))
	s = open(false)
	if err := s.Restored(); err != nil {
		t.Fatal(err)
	}
	if !s.Intact() {
		t.Error("not intact after it was restored")
	}
	stop(s)
	s = open(true)
	stop(s)

	// A power cut: the file says that an engine runs, and none does.
	if err := os.WriteFile(filepath.Join(dir, "clickhouse", "ended"), []byte("running\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stop(open(false))
}
