package ingest

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

var (
	//go:embed sql/event_log.sql
	createEventLog string
	//go:embed sql/arrivals.sql
	createArrivals string
	//go:embed sql/identities.sql
	createIdentities string
	//go:embed sql/progress.sql
	createProgress string
	//go:embed sql/retirements.sql
	createRetirements string
	//go:embed sql/api_keys.sql
	createKeys string
)

// Migrate creates the tables of this package in the connection's database where
// they are missing. It may be repeated, also by several programs at once.
func Migrate(ctx context.Context, conn driver.Conn) error {
	for _, t := range []struct{ name, create string }{
		{"event_log", createEventLog},
		{"arrivals", createArrivals},
		{"identities", createIdentities},
		{"progress", createProgress},
		{"retirements", createRetirements},
		{"api_keys", createKeys},
		{"life", createLife},
	} {
		if err := conn.Exec(ctx, t.create); err != nil {
			return fmt.Errorf("create table %s: %w", t.name, err)
		}
	}
	return nil
}
