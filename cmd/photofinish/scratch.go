package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/announce"
	"photofinish/cmd/clickhouse"
	"photofinish/rules"
	"photofinish/rules/hour"
	"photofinish/settle"
	"photofinish/settle/cost"
)

// scratchMark is in the name of every database that a settlement on trial makes.
const scratchMark = "_scratch_"

// withScratch runs work on a database of its own that reads the merged log of this
// one, and drops it. With past it begins with a copy of what is settled, else with
// nothing. A run that is killed leaves the database, which nothing reads.
func (a *app) withScratch(ctx context.Context, server *clickhouse.Server, past bool, work func(driver.Conn) error) (err error) {
	own := *a
	own.clickhouseDatabase = a.clickhouseDatabase + scratchMark + strings.ToLower(rand.Text()[:8])
	scratch, err := own.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scratch.Close()) }()
	defer func() {
		drop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, server.Conn().Exec(drop, "DROP DATABASE "+own.clickhouseDatabase+" SYNC"))
	}()
	if err := settle.Migrate(ctx, scratch.Conn()); err != nil {
		return err
	}
	settled, err := tables(ctx, scratch.Conn(), own.clickhouseDatabase)
	if err != nil {
		return err
	}
	all, err := tables(ctx, server.Conn(), a.clickhouseDatabase)
	if err != nil {
		return err
	}
	mine := map[string]bool{}
	for _, t := range settled {
		mine[t.name] = true
	}
	for _, t := range all {
		statement := ""
		switch {
		case !mine[t.name]:
			statement = "CREATE VIEW " + own.clickhouseDatabase + "." + t.name + " AS SELECT * FROM " + a.clickhouseDatabase + "." + t.name
		case past && !t.view:
			statement = "INSERT INTO " + own.clickhouseDatabase + "." + t.name + " SELECT * FROM " + a.clickhouseDatabase + "." + t.name
		default:
			continue
		}
		if err := server.Conn().Exec(ctx, statement); err != nil {
			return fmt.Errorf("prepare the settlement on trial: table %s: %w", t.name, err)
		}
	}
	return work(scratch.Conn())
}

type table struct {
	name string
	view bool
}

func tables(ctx context.Context, conn driver.Conn, database string) (list []table, err error) {
	rows, err := conn.Query(ctx, "SELECT name, engine = 'View' FROM system.tables WHERE database = $1 AND engine != 'MaterializedView' ORDER BY name", database)
	if err != nil {
		return nil, fmt.Errorf("list the tables of %s: %w", database, err)
	}
	defer rows.Close()
	for rows.Next() {
		var t table
		if err := rows.Scan(&t.name, &t.view); err != nil {
			return nil, fmt.Errorf("list the tables of %s: %w", database, err)
		}
		list = append(list, t)
	}
	return list, rows.Err()
}

// trial settles without leaving a trace, and prints what it decided.
func (a *app) trial(ctx context.Context, server *clickhouse.Server, set *rules.Ruleset, cfg settle.Config, now hour.Now, past, asJSON bool) error {
	return a.withScratch(ctx, server, past, func(on driver.Conn) error {
		line, began := a.progress(), time.Now()
		conn := cost.Wrap(on)
		cfg.Each = func(cut rules.Cut, _ []rules.Entry) { line.show("settled cut %d, through %s", cut.Number, cut.Through) }
		s, err := settle.New(conn, a.log, cfg)
		if err != nil {
			return usageError{err}
		}
		result, err := s.Run(ctx, set, now)
		line.done()
		if err != nil {
			return err
		}
		for i := range set.Rules {
			if set.Rules[i].Draws() {
				fmt.Fprintln(a.stderr, "Draws come out otherwise in earnest: their seeds are sealed only then.")
				break
			}
		}
		if result.First == 0 && !past {
			return usagef("the log holds no events before the end of the backtest: import some, or give --through")
		}
		if !asJSON && result.First != 0 {
			a.printf("Dry run: nothing was written.\n\n")
		}
		total := conn.Meter.Total()
		return a.printRun(ctx, on, result, asJSON, announce.Cost{
			Cuts: result.Cuts, Queries: total.Queries, RowsRead: total.RowsRead, BytesRead: total.BytesRead,
			Seconds: time.Since(began).Seconds(),
		})
	})
}
