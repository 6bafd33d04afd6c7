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
)

// A knownError is an error code of ClickHouse with what a person can do about it.
type knownError struct {
	code int32
	text string // the message contains it; empty fits any. The first fit counts.
	hint string // one line
}

// knownErrors is the one place that knows ClickHouse's error codes. Codes whose
// message says it all are not here.
var knownErrors = []knownError{
	// Work goes on by itself once this is mended.
	{243, "", "the disk of ClickHouse is full: free space or move the data folder; nothing acknowledged is lost, work goes on by itself"},
	{252, "too many partitions", "one insert spans more days than ClickHouse takes at once: split it by partition"},
	{252, "", "ClickHouse has too many parts and merges them first: insert larger batches less often if this lasts"},
	{241, "", "ClickHouse is out of memory: give it more or run fewer things beside it"},
	{173, "", "ClickHouse cannot allocate memory: give it more or run fewer things beside it"},
	{159, "", "the query took too long: the server is overloaded, or the limit too low"},
	{160, "", "the query would take too long: the server is overloaded, or the limit too low"},
	{202, "", "ClickHouse runs too many queries at once"},
	{999, "", "ClickHouse does not reach its Keeper"},
	{225, "", "ClickHouse does not reach its Keeper"},
	{242, "", "the table is read-only for now: its replica does not reach its Keeper"},
	{285, "", "too few replicas are up for the quorum"},
	{286, "", "a quorum of replicas did not confirm in time"},
	{319, "", "whether the insert happened is unknown; it is repeated, which is safe"},
	{279, "", "no replica or shard of the cluster can be reached"},

	// Nothing goes on before a person acts.
	{516, "", "the user or the password for ClickHouse is wrong: see clickhouse.user and clickhouse.password"},
	{192, "", "ClickHouse does not know the user: see clickhouse.user"},
	{193, "", "the password for ClickHouse is wrong: see clickhouse.password"},
	{194, "", "ClickHouse wants a password: see clickhouse.password"},
	{195, "", "the ClickHouse user may not connect from this address"},
	{497, "", "the ClickHouse user lacks a right: grant it what the message names"},
	{164, "", "the ClickHouse user may only read: grant it INSERT, CREATE and changing settings"},
	{291, "", "the ClickHouse user may not use this database"},
	{452, "", "the ClickHouse user's profile forbids a setting that photofinish sends"},
	{115, "", "ClickHouse is too old: it does not know a setting that photofinish sends"},
	{60, "", "a table is missing: is this the right clickhouse.database?"},
	{81, "", "the database is missing: see clickhouse.database"},
	{16, "", "a table lacks a column: its schema is of another version of photofinish"},
	{47, "", "a table lacks a column: its schema is of another version of photofinish"},
	{46, "", "ClickHouse is too old: it lacks a function"},
}

// Hint returns one line that tells a person what to do about err, or "" where the
// error says it itself.
func Hint(err error) string {
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		message := strings.ToLower(exception.Message)
		for _, k := range knownErrors {
			if k.code == exception.Code && strings.Contains(message, k.text) {
				return k.hint
			}
		}
	}
	var network *net.OpError // not net.Error, which an error of a file is too
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return ""
	case errors.As(err, &network) && network.Op == "listen": // an address of our own
		return ""
	case errors.Is(err, syscall.ENOSPC):
		return "free space on that disk and run it again; nothing acknowledged is lost"
	case errors.Is(err, clickhouse.ErrAcquireConnTimeout):
		return "all connections to ClickHouse are busy: the server is overloaded"
	case errors.Is(err, io.EOF), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network):
		return "ClickHouse ended or cannot be reached: run it again; if clickhouse.addrs names a server of yours, see whether it runs"
	default:
		return ""
	}
}
