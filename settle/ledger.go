package settle

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"photofinish/rules"
)

// appendEntries writes all entries of a cut in one insert and reads back that the
// ledger holds these and no others for it.
func (s store) appendEntries(ctx context.Context, cut uint64, entries []rules.Entry) error {
	n := len(entries)
	cuts, ns, kinds := make([]uint64, n), make([]uint32, n), make([]string, n)
	names, scopes, keys, ids, bodies := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	opens, closes := make([]int64, n), make([]int64, n)
	for i := range entries {
		e := &entries[i]
		body, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("append cut %d to the ledger: %w", cut, err)
		}
		cuts[i], ns[i], kinds[i], names[i], scopes[i] = e.Cut, e.N, string(e.Kind), e.Rule, e.Scope
		opens[i], closes[i] = int64(e.Window.Opens), int64(e.Window.Closes)
		keys[i], ids[i], bodies[i] = e.Key, e.ID, string(body)
	}
	insertErr := s.insert(ctx, `INSERT INTO ledger (cut, n, kind, rule, scope, window_opens_ns, window_closes_ns, key, id, body)`,
		cuts, ns, kinds, names, scopes, opens, closes, keys, ids, bodies)
	there, err := s.readEntries(ctx, cut)
	if err != nil {
		return fmt.Errorf("read back cut %d: %w", cut, err)
	}
	if len(there) == 0 {
		return fmt.Errorf("append cut %d to the ledger: %w", cut, insertErr)
	}
	return sameEntries(cut, entries, there)
}

// readEntries returns the entries of a cut, in order. Two different entries under
// one number, which cannot be if deciding is pure, are both returned.
func (s store) readEntries(ctx context.Context, cut uint64) ([]rules.Entry, error) {
	return s.queryEntries(ctx, `SELECT body
FROM ledger
WHERE cut = {cut:UInt64}
ORDER BY cut, n, id
LIMIT 1 BY cut, n, id`, clickhouse.Named("cut", cut))
}

// readOpen returns the entries up to the cut that can still matter to later ones:
// conflicts, and those of contests of the ruleset that later evidence may change.
func (s store) readOpen(ctx context.Context, cut *rules.Cut, set *rules.Ruleset) ([]rules.Entry, error) {
	q := &query{}
	open := []string{"kind = 'conflict'"}
	for i := range set.Rules {
		r := &set.Rules[i]
		open = append(open, "rule = "+q.text(r.ID)+" AND (window_closes_ns = 0 OR window_closes_ns > "+q.instant(cut.Through.Add(-r.Correct))+")")
	}
	return s.queryEntries(ctx, "SELECT body\nFROM ledger\nWHERE cut <= "+q.uint(cut.Number)+" AND ("+strings.Join(open, "\n    OR ")+
		")\nORDER BY cut, n\nLIMIT 1 BY cut, n", q.args...)
}

// lastSettled returns the number of the last cut whose entries are complete; 0 is none.
func (s store) lastSettled(ctx context.Context) (uint64, error) {
	var n uint64
	if err := s.conn.QueryRow(ctx, "SELECT max(cut) FROM ledger WHERE kind = 'settled'").Scan(&n); err != nil {
		return 0, fmt.Errorf("read the last settled cut: %w", err)
	}
	return n, nil
}

// checkSettled refuses to go on after a cut that has two different entries under one
// number: two settlers decided differently, and a person must find out why.
func (s store) checkSettled(ctx context.Context, cut uint64) error {
	entries, err := s.readEntries(ctx, cut)
	if err != nil {
		return err
	}
	for i := range entries {
		if i > 0 && entries[i].N == entries[i-1].N {
			return &MismatchError{cut, int(entries[i].N), entries[i].ID, entries[i-1].ID}
		}
	}
	return nil
}

func (s store) queryEntries(ctx context.Context, statement string, args ...any) ([]rules.Entry, error) {
	rows, err := s.conn.Query(ctx, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	defer rows.Close()
	var entries []rules.Entry
	for rows.Next() {
		var body string
		if err := rows.Scan(&body); err != nil {
			return nil, fmt.Errorf("read the ledger: %w", err)
		}
		var e rules.Entry
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			return nil, fmt.Errorf("an entry of the ledger is damaged: %w", err)
		}
		entries = append(entries, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	return entries, nil
}

// MismatchError says that the ledger holds something else for a cut than what its
// evidence decides. Settling stops: a person must find out why.
type MismatchError struct {
	Cut    uint64
	N      int
	Want   string // the ID that the evidence gives; "" is no entry
	Ledger string // the ID in the ledger; "" is no entry
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("cut %d, entry %d: the evidence decides %q but the ledger says %q; run verify, and see which program wrote it", e.Cut, e.N, e.Want, e.Ledger)
}

// sameEntries compares what was decided with what the ledger holds.
func sameEntries(cut uint64, decided, ledger []rules.Entry) error {
	id := func(entries []rules.Entry, i int) string {
		if i < len(entries) {
			return entries[i].ID
		}
		return ""
	}
	for i := range max(len(decided), len(ledger)) {
		if a, b := id(decided, i), id(ledger, i); a != b {
			return &MismatchError{cut, i, a, b}
		}
	}
	return nil
}
