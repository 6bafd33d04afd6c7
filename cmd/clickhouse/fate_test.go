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
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// Every error code has the fate that was decided for it: this table is the
// second opinion on the one in the code, and has every row of it.
func TestClassifyCodes(t *testing.T) {
	t.Parallel()
	want := map[Fate][]int32{
		Retry: {
			159, 160, 173, 202, 203, 209, 210, 225, 236, 241, 242, 243, 252, 279, 285, 286, 319, 394, 425, 999,
			1, 1001, // not in the table
		},
		Quarantine: {6, 27, 41, 53, 69, 70, 72, 131, 321, 469},
		Stop:       {16, 36, 43, 46, 47, 60, 62, 81, 115, 164, 192, 193, 194, 195, 291, 452, 497, 516},
	}
	seen := map[int32]bool{}
	for fate, codes := range want {
		for _, code := range codes {
			seen[code] = true
			err := fmt.Errorf("insert: %w", &clickhouse.Exception{Code: code, Message: "x"})
			if got := Classify(err); got != fate {
				t.Errorf("code %d: %v, want %v", code, got, fate)
			}
		}
	}
	for _, v := range verdicts {
		if !seen[v.code] {
			t.Errorf("code %d has no test", v.code)
		}
		if strings.Contains(v.hint, "\n") {
			t.Errorf("code %d: the hint has more than one line", v.code)
		}
	}
}

// Code 252 has two meanings, told apart by the text; in the words of the server.
func TestClassify252(t *testing.T) {
	t.Parallel()
	parts := &clickhouse.Exception{Code: 252, Message: "Too many parts (3001 with average size of 1.00 KiB) in table 'db.t'. Merges are processing significantly slower than inserts"}
	partitions := &clickhouse.Exception{Code: 252, Message: "Too many partitions for single INSERT block (more than 100). The limit is controlled by 'max_partitions_per_insert_block' setting."}
	if Classify(parts) != Retry || Classify(partitions) != Quarantine {
		t.Errorf("parts: %v, partitions: %v", Classify(parts), Classify(partitions))
	}
	if Hint(parts) == Hint(partitions) || Hint(parts) == "" || Hint(partitions) == "" {
		t.Errorf("hints %q and %q", Hint(parts), Hint(partitions))
	}
}

// Errors that do not come from the server.
func TestClassifyOthers(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for _, c := range []struct {
		err  error
		fate Fate
		hint string // a part of it
	}{
		{context.Canceled, Retry, ""},
		{context.DeadlineExceeded, Retry, "reached"}, // it is a net.Error too
		{io.EOF, Retry, "reached"},
		{io.ErrUnexpectedEOF, Retry, ""},
		{refused, Retry, "clickhouse.addr"},
		{os.ErrDeadlineExceeded, Retry, "reached"},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, Retry, ""},
		{&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, Retry, "free space"},
		{clickhouse.ErrAcquireConnTimeout, Retry, "busy"},
		{errors.New("never seen"), Retry, ""},
		{&column.ColumnConverterError{Op: "Append", To: "Int64", From: "string"}, Quarantine, ""},
		{&proto.BlockError{Op: "AppendRow", Err: errors.New("x"), ColumnName: "n"}, Quarantine, ""},
		{&FormatError{Dir: "d", Have: 2, Want: 1}, Stop, ""},
		{&SettingError{Name: "n"}, Stop, ""},
		{fmt.Errorf("%w: x", ErrNoEngine), Stop, ""},
		{&clickhouse.Exception{Code: 243}, Retry, "disk"},
		{&clickhouse.Exception{Code: 60}, Stop, "table is missing"},
		{&clickhouse.Exception{Code: 516}, Stop, "clickhouse.password"},
	} {
		err := fmt.Errorf("step: %w", c.err)
		if got := Classify(err); got != c.fate {
			t.Errorf("%v: %v, want %v", err, got, c.fate)
		}
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
