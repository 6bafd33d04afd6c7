package settle

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

//go:embed sql/schema.sql
var schemaSQL string

// Migrate creates the tables that settle owns and are not there yet. It may run any
// number of times, also from two processes at once.
func Migrate(ctx context.Context, conn driver.Conn) error {
	for _, statement := range strings.SplitAfter(schemaSQL, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("create the settlement's tables: %w", err)
		}
	}
	return nil
}
