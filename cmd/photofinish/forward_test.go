package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The sidecar starts without ClickHouse, says where it listens, refuses a second one on the
// same folder, and ends with exit code 0 when it is told to.
func TestForward(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte("pf_key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"forward", "--data", dir, "--to", "http://127.0.0.1:1,http://127.0.0.1:2", "--key-file", key, "--listen", "127.0.0.1:0"}
	ctx, cancel := context.WithCancel(context.Background())
	said, stdout := io.Pipe()
	var problems bytes.Buffer
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, args, stdout, &problems) }()
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^taking events on http://127\.0\.0\.1:\d+/v1/events, sending them to http://127\.0\.0\.1:1, http://127\.0\.0\.1:2; 0 are kept from before\n$`).MatchString(line) {
		t.Errorf("it says %q", line)
	}
	if _, problems, code := photofinish(t, args...); code != exitFailed || !strings.Contains(problems, "in use by another process") || !strings.Contains(problems, "stop that") {
		t.Errorf("a second one: exit code %d, %s", code, problems)
	}
	cancel()
	if code := <-ended; code != exitDone {
		t.Errorf("exit code %d: %s", code, &problems)
	}
}

// Wrong usage changes nothing and says what to do.
func TestForwardUsage(t *testing.T) {
	dir := t.TempDir()
	key, open := filepath.Join(dir, "key"), filepath.Join(dir, "open")
	for path, mode := range map[string]os.FileMode{key: 0o600, open: 0o644} {
		if err := os.WriteFile(path, []byte("pf_key\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	data := filepath.Join(dir, "data")
	for _, c := range []struct {
		says string
		code int
		args []string
	}{
		{"--to", exitUsage, []string{"--key-file", key}},
		{"--key-file", exitUsage, []string{"--to", "http://eu"}},
		{"chmod 600", exitUsage, []string{"--to", "http://eu", "--key-file", open}},
		{"no such file", exitUsage, []string{"--to", "http://eu", "--key-file", filepath.Join(dir, "none")}},
		{`"eu"`, exitUsage, []string{"--to", "eu", "--key-file", key}},
		{"127.0.0.1:8090", exitUsage, []string{"--to", "http://eu", "--key-file", key, "--listen", "0.0.0.0:8090"}},
		{"--quota-mib", exitUsage, []string{"--to", "http://eu", "--key-file", key, "--quota-mib", "1"}},
		{"choose another address with --listen", exitFailed, []string{"--to", "http://eu", "--key-file", key, "--listen", taken.Addr().String()}},
	} {
		if _, problems, code := photofinish(t, append([]string{"forward", "--data", data}, c.args...)...); code != c.code || !strings.Contains(problems, c.says) {
			t.Errorf("%v: exit code %d, %s", c.args, code, problems)
		}
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Error("there is a folder now")
	}
}
