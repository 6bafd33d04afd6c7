package evidence

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

//go:embed sql/schema.sql
var schemaSQL string

// Migrate creates the tables that are not there yet. It may run any number of times,
// also from two processes at once.
func Migrate(ctx context.Context, conn driver.Conn) error {
	for _, statement := range strings.SplitAfter(schemaSQL, ";\n") {
		if !strings.Contains(statement, "CREATE") {
			continue
		}
		if err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("create the tallies' tables: %w", err)
		}
	}
	return nil
}

// CutOf returns the number of the first cut that holds a row.
type CutOf func(ctx context.Context, node string, offset uint64, i rules.Instant) (uint64, error)

// Reader reads evidence over one connection. It keeps nothing but how far clocks
// contradict each other, and is not safe for concurrent use.
type Reader struct {
	conn  driver.Conn
	cutOf CutOf

	clocks map[string]clock // by server; nil: to be read. 80 bytes a server
	slack  rules.Instant    // of all of them; see rules.Slack
	leastE rules.Instant    // of all of them: no event's interval begins earlier after its stamp
	calm   bool             // there is no conflict
}

// New returns a reader on tables that Migrate made. It does no I/O. cutOf is asked only
// where copies of one event differ in their intervals or came by several nodes.
func New(conn driver.Conn, cutOf CutOf) *Reader { return &Reader{conn: conn, cutOf: cutOf} }
