package demo

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/announce"
	"photofinish/rules"
	"photofinish/settle/verify"
)

// logged is a row of the merged log.
type logged struct {
	rules.Identity
	content string // hex
}

// copied is a row of the ledger, as it stands there.
type copied struct {
	cut  uint64
	n    uint32
	id   string
	body string
}

// tables is all that the audit knows of what was recorded and decided.
type tables struct {
	rows    []logged
	ledger  []copied // every row, by (cut, n)
	entries []rules.Entry
	closed  map[uint64]rules.Cut // every recorded cut

	candidates, numbers uint64 // of cuts: all that were proposed, and how many they were proposed for

	standing    []announce.Report // the project's report of what stands
	standingErr error
	replay      verify.Verification // by the project itself
	replayErr   error
}

// readTables reads the merged log, the cuts and the ledger, by statements of the
// audit's own. What the project itself makes of them is asked for too; where it
// fails, that is for a check to tell.
func readTables(ctx context.Context, conn driver.Conn) (*tables, error) {
	t := &tables{closed: map[uint64]rules.Cut{}}
	for _, read := range []func(context.Context, driver.Conn) error{t.readLog, t.readCuts, t.readLedger} {
		if err := read(ctx, conn); err != nil {
			return nil, err
		}
	}
	err := conn.QueryRow(ctx, "SELECT count(), uniqExact(number) FROM cuts").Scan(&t.candidates, &t.numbers)
	if err != nil {
		return nil, fmt.Errorf("count the cuts: %w", err)
	}
	t.standing, t.standingErr = announce.Load(ctx, conn, announce.Standing())
	t.replay, t.replayErr = verify.Run(ctx, conn, verify.Config{})
	return t, nil
}

func (t *tables) readLog(ctx context.Context, conn driver.Conn) error {
	rows, err := conn.Query(ctx, "SELECT server, id, lower(hex(content)) FROM event_log ORDER BY server, id, node, offset")
	if err != nil {
		return fmt.Errorf("read the merged log: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r logged
		if err := rows.Scan(&r.Server, &r.ID, &r.content); err != nil {
			return fmt.Errorf("read the merged log: %w", err)
		}
		t.rows = append(t.rows, r)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the merged log: %w", err)
	}
	return nil
}

func (t *tables) readCuts(ctx context.Context, conn driver.Conn) error {
	rows, err := conn.Query(ctx, "SELECT number, body FROM recorded_cuts ORDER BY number")
	if err != nil {
		return fmt.Errorf("read the cuts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var number uint64
		var body string
		var cut rules.Cut
		if err := rows.Scan(&number, &body); err != nil {
			return fmt.Errorf("read the cuts: %w", err)
		}
		if err := json.Unmarshal([]byte(body), &cut); err != nil {
			return fmt.Errorf("read cut %d: %w", number, err)
		}
		t.closed[number] = cut
	}
	return rows.Err()
}

func (t *tables) readLedger(ctx context.Context, conn driver.Conn) error {
	rows, err := conn.Query(ctx, "SELECT cut, n, id, body FROM ledger ORDER BY cut, n, id, body")
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r copied
		if err := rows.Scan(&r.cut, &r.n, &r.id, &r.body); err != nil {
			return fmt.Errorf("read the ledger: %w", err)
		}
		t.ledger = append(t.ledger, r)
		if k := len(t.ledger) - 2; k >= 0 && t.ledger[k].cut == r.cut && t.ledger[k].n == r.n {
			continue // another copy; see checkOneLedger
		}
		var e rules.Entry
		if err := json.Unmarshal([]byte(r.body), &e); err != nil {
			return fmt.Errorf("read the ledger: cut %d, entry %d: %w", r.cut, r.n, err)
		}
		t.entries = append(t.entries, e)
	}
	return rows.Err()
}
