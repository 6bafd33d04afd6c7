package audit

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/announce"
	"photofinish/rules"
	"photofinish/settle/verify"
)

// Said is what a server said, by identity and content.
type Said struct {
	rules.Identity
	Content string // its digest, hex
}

// Row is a row of the merged log. Two that have one place are copies by the node that
// forwarded; two places are two events to it.
type Row struct {
	Said
	Place
}

// Place is where an event stands: in the partition of a node.
type Place struct {
	Node   string
	Offset uint64
}

// Copy is a row of the ledger, as it stands there.
type Copy struct {
	Cut  uint64
	N    uint32
	ID   string
	Body string
}

// Tables is all that the audit knows of what was recorded and decided.
type Tables struct {
	Rows     []Row
	Copies   []Copy        // every row of the ledger, by (cut, n)
	Entries  []rules.Entry // each once
	Recorded map[uint64]rules.Cut

	Proposed, Numbers uint64 // cuts that were proposed, and for how many numbers

	// What the project itself says stands, and finds when it decides all again.
	Standing    []announce.Report
	StandingErr error
	Replay      verify.Verification
	ReplayErr   error
}

// Read reads the merged log, the cuts and the ledger, by statements of the
// audit's own. What the project itself makes of them is asked for too; where it
// fails, that is for a check to tell.
func Read(ctx context.Context, conn driver.Conn) (*Tables, error) {
	t := &Tables{Recorded: map[uint64]rules.Cut{}}
	for _, read := range []func(context.Context, driver.Conn) error{t.readLog, t.readCuts, t.readLedger} {
		if err := read(ctx, conn); err != nil {
			return nil, err
		}
	}
	err := conn.QueryRow(ctx, "SELECT count(), uniqExact(number) FROM cuts").Scan(&t.Proposed, &t.Numbers)
	if err != nil {
		return nil, fmt.Errorf("count the cuts: %w", err)
	}
	t.Standing, t.StandingErr = announce.Load(ctx, conn, announce.Standing())
	t.Replay, t.ReplayErr = verify.Run(ctx, conn, verify.Config{})
	return t, nil
}

func (t *Tables) readLog(ctx context.Context, conn driver.Conn) error {
	rows, err := conn.Query(ctx, "SELECT server, id, lower(hex(content)), node, offset FROM event_log ORDER BY server, id, node, offset")
	if err != nil {
		return fmt.Errorf("read the merged log: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r Row
		if err := rows.Scan(&r.Server, &r.ID, &r.Content, &r.Node, &r.Offset); err != nil {
			return fmt.Errorf("read the merged log: %w", err)
		}
		t.Rows = append(t.Rows, r)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the merged log: %w", err)
	}
	return nil
}

func (t *Tables) readCuts(ctx context.Context, conn driver.Conn) error {
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
		t.Recorded[number] = cut
	}
	return rows.Err()
}

func (t *Tables) readLedger(ctx context.Context, conn driver.Conn) error {
	rows, err := conn.Query(ctx, "SELECT cut, n, id, body FROM ledger ORDER BY cut, n, id, body")
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r Copy
		if err := rows.Scan(&r.Cut, &r.N, &r.ID, &r.Body); err != nil {
			return fmt.Errorf("read the ledger: %w", err)
		}
		t.Copies = append(t.Copies, r)
		if k := len(t.Copies) - 2; k >= 0 && t.Copies[k].Cut == r.Cut && t.Copies[k].N == r.N {
			continue // another copy; see checkOneLedger
		}
		var e rules.Entry
		if err := json.Unmarshal([]byte(r.Body), &e); err != nil {
			return fmt.Errorf("read the ledger: cut %d, entry %d: %w", r.Cut, r.N, err)
		}
		t.Entries = append(t.Entries, e)
	}
	return rows.Err()
}
