package clickhouse_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"photofinish/cmd/clickhouse"
	"photofinish/cmd/clickhouse/clickhousetest"
)

// helperEnv makes the test binary another command on the data folder it names.
const helperEnv = "PFTEST_HELPER_DIR"

func TestMain(m *testing.M) {
	clickhouse.RunChildIfAsked()
	if dir := os.Getenv(helperEnv); dir != "" {
		os.Exit(helper(dir))
	}
	clickhousetest.Main(m)
}

// helper opens the folder, says which engine it uses and how many rows it sees,
// adds a row, and leaves when its standard input ends.
func helper(dir string) int {
	s, err := clickhouse.Open(context.Background(), config(dir), slog.New(slog.DiscardHandler))
	if err == nil {
		err = s.Conn().Exec(context.Background(), createSQL)
	}
	var rows uint64
	if err == nil {
		err = s.Conn().QueryRow(context.Background(), "SELECT count() FROM acked").Scan(&rows)
	}
	if err == nil {
		err = s.Conn().Exec(context.Background(), insertSQL)
	}
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	text, err := os.ReadFile(filepath.Join(dir, "clickhouse", "engine.json"))
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	fmt.Printf("%d %s", rows, text)
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := s.Close(); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

const (
	createSQL = "CREATE TABLE IF NOT EXISTS acked (n Int64) ENGINE = MergeTree ORDER BY n"
	insertSQL = "INSERT INTO acked VALUES (1)"
)

// command is another process on the same folder.
type command struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	rows  int // that it saw when it came
	pid   int // of the engine it uses
}

// runCommand starts another command on dir and returns once it uses ClickHouse.
func runCommand(t *testing.T, dir string) *command {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &command{cmd: exec.Command(self)}
	c.cmd.Env = append(os.Environ(), helperEnv+"="+dir)
	c.cmd.Stderr = os.Stderr
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill(); _ = c.cmd.Wait() })
	var info struct{ PID int }
	buf := make([]byte, 4096)
	n, err := io.ReadAtLeast(out, buf, 10)
	if err != nil {
		t.Fatal(err)
	}
	rows, rest, _ := strings.Cut(string(buf[:n]), " ")
	if _, err := fmt.Sscan(rows, &c.rows); err != nil {
		t.Fatalf("other command: %s", buf[:n])
	}
	if err := json.Unmarshal([]byte(rest), &info); err != nil {
		t.Fatalf("other command: %s", buf[:n])
	}
	c.pid = info.PID
	return c
}

// leave ends the command in order.
func (c *command) leave(t *testing.T) {
	t.Helper()
	_ = c.stdin.Close()
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("other command: %v", err)
	}
}

func config(dir string) clickhouse.Config {
	return clickhouse.Config{
		Dir: dir, Library: os.Getenv("PHOTOFINISH_CLICKHOUSE_LIBRARY"), Progress: os.Stderr,
	}
}

// info reads the address of the folder's engine.
func info(t *testing.T, dir string) (addr, user, password string, pid int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "clickhouse", "engine.json"))
	if err != nil {
		t.Fatal(err)
	}
	var i struct {
		Addr, User, Password string
		PID                  int
	}
	if err := json.Unmarshal(text, &i); err != nil {
		t.Fatal(err)
	}
	return i.Addr, i.User, i.Password, i.PID
}

// count returns the rows of the table that insert fills.
func count(t *testing.T, s *clickhouse.Server) int {
	t.Helper()
	var n uint64
	if err := s.Conn().QueryRow(t.Context(), "SELECT count() FROM acked").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return int(n)
}

func exec1(t *testing.T, s *clickhouse.Server, query string) {
	t.Helper()
	if err := s.Conn().Exec(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

// alive reports whether a process runs. One that ended but was not yet collected
// by its parent, which for an orphan is the system's first process, does not run.
func alive(pid int) bool {
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		_, state, _ := strings.Cut(string(stat), ") ")
		return !strings.HasPrefix(state, "Z")
	}
	return syscall.Kill(pid, 0) == nil
}

// waitGone waits until a process has ended.
func waitGone(t *testing.T, pid int, limit time.Duration) {
	t.Helper()
	for end := time.Now().Add(limit); alive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %d still runs after %v", pid, limit)
		}
	}
}
