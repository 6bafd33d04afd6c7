package clickhouse

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// A Fate is what a loop does with a failed piece of work.
type Fate int

// The three fates. What failed with Retry may nevertheless have happened: read
// back, or write what is the same twice.
const (
	Retry      Fate = iota + 1 // again later, the same
	Quarantine                 // put this item aside, go on with the others
	Stop                       // no item can succeed before a person acts
)

// String returns the fate's name.
func (f Fate) String() string {
	switch f {
	case Retry:
		return "retry"
	case Quarantine:
		return "quarantine"
	case Stop:
		return "stop"
	default:
		return "unknown fate"
	}
}

// A verdict is what one error code of ClickHouse means.
type verdict struct {
	code int32
	text string // the message contains it; empty fits any. The first fit counts.
	fate Fate
	hint string // one line for a person; empty where the message says it all
}

// verdicts is the one place that knows ClickHouse's error codes. A code that is
// not here is retried: work put aside wrongly is worse than work repeated.
var verdicts = []verdict{
	{243, "", Retry, "the disk of ClickHouse is full: free space or move the data folder; nothing acknowledged is lost, work goes on by itself"},
	{252, "too many partitions", Quarantine, "one insert spans more days than ClickHouse takes at once: split it by partition"},
	{252, "", Retry, "ClickHouse has too many parts and merges them first: insert larger batches less often if this lasts"},
	{241, "", Retry, "ClickHouse is out of memory: give it more or run fewer things beside it"},
	{173, "", Retry, "ClickHouse cannot allocate memory: give it more or run fewer things beside it"},
	{159, "", Retry, "the query took too long: the server is overloaded, or the limit too low"},
	{160, "", Retry, "the query would take too long: the server is overloaded, or the limit too low"},
	{202, "", Retry, "ClickHouse runs too many queries at once"},
	{203, "", Retry, ""}, // no free connection
	{209, "", Retry, ""}, // socket timeout
	{210, "", Retry, ""}, // network error
	{236, "", Retry, ""}, // aborted: shutting down
	{394, "", Retry, ""}, // query was cancelled
	{999, "", Retry, "ClickHouse does not reach its Keeper"},
	{225, "", Retry, "ClickHouse does not reach its Keeper"},
	{242, "", Retry, "the table is read-only for now: its replica does not reach its Keeper"},
	{285, "", Retry, "too few replicas are up for the quorum"},
	{286, "", Retry, "a quorum of replicas did not confirm in time"},
	{319, "", Retry, "whether the insert happened is unknown; it is repeated, which is safe"},
	{279, "", Retry, "no replica or shard of the cluster can be reached"},
	{425, "", Retry, ""}, // system error

	{6, "", Quarantine, ""},   // cannot parse text
	{27, "", Quarantine, ""},  // cannot parse input
	{41, "", Quarantine, ""},  // cannot parse a time
	{53, "", Quarantine, ""},  // type mismatch
	{69, "", Quarantine, ""},  // argument out of bound
	{70, "", Quarantine, ""},  // cannot convert type
	{72, "", Quarantine, ""},  // cannot parse a number
	{131, "", Quarantine, ""}, // string too large
	{321, "", Quarantine, ""}, // value out of range of its type
	{469, "", Quarantine, ""}, // constraint violated

	{516, "", Stop, "the user or the password for ClickHouse is wrong: see clickhouse.user and clickhouse.password"},
	{192, "", Stop, "ClickHouse does not know the user: see clickhouse.user"},
	{193, "", Stop, "the password for ClickHouse is wrong: see clickhouse.password"},
	{194, "", Stop, "ClickHouse wants a password: see clickhouse.password"},
	{195, "", Stop, "the ClickHouse user may not connect from this address"},
	{497, "", Stop, "the ClickHouse user lacks a right: grant it what the message names"},
	{164, "", Stop, "the ClickHouse user may only read: grant it INSERT, CREATE and changing settings"},
	{291, "", Stop, "the ClickHouse user may not use this database"},
	{452, "", Stop, "the ClickHouse user's profile forbids a setting that photofinish sends"},
	{115, "", Stop, "ClickHouse is too old: it does not know a setting that photofinish sends"},
	{60, "", Stop, "a table is missing: is this the right clickhouse.database?"},
	{81, "", Stop, "the database is missing: see clickhouse.database"},
	{16, "", Stop, "a table lacks a column: its schema is of another version of photofinish"},
	{47, "", Stop, "a table lacks a column: its schema is of another version of photofinish"},
	{62, "", Stop, ""}, // syntax error
	{46, "", Stop, "ClickHouse is too old: it lacks a function"},
	{36, "", Stop, ""}, // bad arguments
	{43, "", Stop, ""}, // illegal type of argument
}

// judge finds the verdict on err, if it is an error of the server.
func judge(err error) (verdict, bool) {
	var exception *clickhouse.Exception
	if !errors.As(err, &exception) {
		return verdict{}, false
	}
	message := strings.ToLower(exception.Message)
	for _, v := range verdicts {
		if v.code == exception.Code && strings.Contains(message, v.text) {
			return v, true
		}
	}
	return verdict{}, false
}

// Classify returns the fate of work that failed with err. Errors of contexts and
// networks, and all that it does not know, are to be retried. It panics if err is
// nil.
func Classify(err error) Fate {
	if err == nil {
		panic("clickhouse: classify no error")
	}
	if v, ok := judge(err); ok {
		return v.fate
	}
	var (
		format  *FormatError
		setting *SettingError
	)
	if errors.As(err, &format) || errors.As(err, &setting) || errors.Is(err, ErrNoEngine) {
		return Stop
	}
	if isValueError(err) {
		return Quarantine
	}
	return Retry
}

// isValueError reports whether the driver refused a value before sending it.
func isValueError(err error) bool {
	var (
		convert     *column.ColumnConverterError
		unsupported *column.UnsupportedColumnTypeError
		columns     *column.Error
		block       *proto.BlockError
	)
	return errors.As(err, &convert) || errors.As(err, &unsupported) || errors.As(err, &columns) || errors.As(err, &block)
}

// Hint returns one line that tells a person what to do about err, or "" where the
// error says it itself.
func Hint(err error) string {
	if v, ok := judge(err); ok {
		return v.hint
	}
	var network *net.OpError // not net.Error, which an error of a file is too
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return ""
	case errors.Is(err, syscall.ENOSPC):
		return "free space on that disk and run it again; nothing acknowledged is lost"
	case errors.Is(err, clickhouse.ErrAcquireConnTimeout):
		return "all connections to ClickHouse are busy: the server is overloaded"
	case errors.Is(err, io.EOF), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network):
		return "ClickHouse ended or cannot be reached: run it again; if clickhouse.addr names a server of yours, see whether it runs"
	default:
		return ""
	}
}
