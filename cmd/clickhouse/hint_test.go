package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// Every hint is one line, and no code has two that fit the same message.
func TestKnownErrors(t *testing.T) {
	t.Parallel()
	type key struct {
		code int32
		text string
	}
	seen := map[key]bool{}
	for _, k := range knownErrors {
		if k.hint == "" || strings.Contains(k.hint, "\n") {
			t.Errorf("code %d: the hint %q is not one line", k.code, k.hint)
		}
		if seen[key{k.code, ""}] || seen[key{k.code, k.text}] {
			t.Errorf("code %d, %q is never reached", k.code, k.text)
		}
		seen[key{k.code, k.text}] = true
	}
}

// Code 252 has two meanings, told apart by the text; in the words of the server.
func TestHintOf252(t *testing.T) {
	t.Parallel()
	parts := &clickhouse.Exception{Code: 252, Message: "Too many parts (3001 with average size of 1.00 KiB) in table 'db.t'. Merges are processing significantly slower than inserts"}
	partitions := &clickhouse.Exception{Code: 252, Message: "Too many partitions for single INSERT block (more than 100). The limit is controlled by 'max_partitions_per_insert_block' setting."}
	if Hint(parts) == Hint(partitions) || Hint(parts) == "" || Hint(partitions) == "" {
		t.Errorf("hints %q and %q", Hint(parts), Hint(partitions))
	}
}

// Errors of the server and of all that is between it and us, wrapped as they come.
func TestHint(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for _, c := range []struct {
		err  error
		hint string // a part of it
	}{
		{context.Canceled, ""},
		{context.DeadlineExceeded, "reached"}, // it is a net.Error too
		{io.EOF, "reached"},
		{io.ErrUnexpectedEOF, ""},
		{refused, "clickhouse.addrs"},
		{&net.OpError{Op: "listen", Net: "tcp", Err: syscall.EADDRINUSE}, ""},
		{os.ErrDeadlineExceeded, "reached"},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, ""},
		{&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, "free space"},
		{clickhouse.ErrAcquireConnTimeout, "busy"},
		{errors.New("never seen"), ""},
		{&FormatError{Dir: "d", Have: 2, Want: 1}, ""},
		{&SettingError{Name: "n"}, ""},
		{fmt.Errorf("%w: x", ErrNoEngine), ""},
		{&clickhouse.Exception{Code: 243}, "disk"},
		{&clickhouse.Exception{Code: 1}, ""}, // unknown
		{&clickhouse.Exception{Code: 60}, "table is missing"},
		{&clickhouse.Exception{Code: 516}, "clickhouse.password"},
	} {
		err := fmt.Errorf("step: %w", c.err)
		if got := Hint(err); !strings.Contains(got, c.hint) || c.hint == "" && got != "" {
			t.Errorf("%v: hint %q, want %q in it", err, got, c.hint)
		}
	}
	if Hint(nil) != "" {
		t.Error("a hint on no error")
	}
}

// Servers older than the first with our settings are refused.
func TestCheckVersion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		major, minor uint64
		ok           bool
	}{{25, 12, false}, {26, 1, false}, {26, 2, true}, {26, 7, true}, {27, 1, true}} {
		if err := checkVersion(c.major, c.minor); (err == nil) != c.ok {
			t.Errorf("%d.%d: %v", c.major, c.minor, err)
		}
	}
}
