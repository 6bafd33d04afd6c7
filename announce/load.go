package announce

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
	"photofinish/rules/rulefile"
)

//go:embed sql/cuts.sql
var cutsSQL string

//go:embed sql/last_settled.sql
var lastSettledSQL string

//go:embed sql/decided.sql
var decidedSQL string

//go:embed sql/reserved.sql
var reservedSQL string

//go:embed sql/corrected.sql
var correctedSQL string

//go:embed sql/correcting.sql
var correctingSQL string

//go:embed sql/conflicts.sql
var conflictsSQL string

//go:embed sql/conflicts_told.sql
var conflictsToldSQL string

//go:embed sql/rulesets.sql
var rulesetsSQL string

// Load reads the reports of a selection from the tables that settle owns. It only
// reads, and may run beside settlers: a cut is in a report with all its entries or
// not at all. Where nothing is settled the error is ErrNothingSettled; where a cut
// is not, a *NotSettledError.
//
// Of one cut it reads that cut, and of earlier ones only who holds a unit of the
// limited sales it touched, what it corrected, the number of conflicts and the first
// of them. No more than these are read, however many conflicts there are.
func Load(ctx context.Context, conn driver.Conn, sel Selection) ([]Report, error) {
	l := loader{conn}
	last, err := LastSettled(ctx, conn)
	if err != nil {
		return nil, err
	}
	b, err := sel.bounds(last)
	if err != nil {
		return nil, err
	}
	cuts, err := l.cuts(ctx, b)
	if err != nil {
		return nil, err
	}
	entries, err := l.entries(ctx, b)
	if err != nil {
		return nil, err
	}
	rulesets, err := l.rulesets(ctx, cuts)
	if err != nil {
		return nil, err
	}
	told, err := l.told(ctx, b)
	if err != nil {
		return nil, err
	}
	return build(cuts, entries, rulesets, told, b)
}

// LastSettled returns the number of the last settled cut; 0 if there is none.
func LastSettled(ctx context.Context, conn driver.Conn) (last uint64, err error) {
	if err := conn.QueryRow(ctx, lastSettledSQL).Scan(&last); err != nil {
		return 0, fmt.Errorf("read the last settled cut: %w", err)
	}
	return last, nil
}

// loader reads the tables.
type loader struct {
	conn driver.Conn
}

// cuts returns the cuts that the reports are of.
func (l loader) cuts(ctx context.Context, b bounds) ([]rules.Cut, error) {
	from := b.from
	if !b.perCut {
		from = b.to
	}
	bodies, err := l.texts(ctx, cutsSQL, number("from", from), number("to", b.to))
	if err != nil {
		return nil, fmt.Errorf("read the cuts %d to %d: %w", from, b.to, err)
	}
	cuts := make([]rules.Cut, len(bodies))
	for i, body := range bodies {
		if err := json.Unmarshal([]byte(body), &cuts[i]); err != nil {
			return nil, fmt.Errorf("read the cuts %d to %d: number %d of them: %w", from, b.to, i+1, err)
		}
	}
	return cuts, nil
}

// entries returns what build needs, in the order of the ledger.
func (l loader) entries(ctx context.Context, b bounds) ([]rules.Entry, error) {
	entries, err := l.ledger(ctx, "decided", decidedSQL, b)
	if err != nil {
		return nil, err
	}
	kinds := map[rules.EntryKind]bool{}
	for i := range entries {
		kinds[entries[i].Kind] = true
	}
	for _, more := range []struct {
		name, statement string
		wanted          bool
	}{
		{"reserved", reservedSQL, b.from > 1 && kinds[rules.KindAllocation]},
		{"corrected", correctedSQL, b.from > 1 && kinds[rules.KindCorrection]},
		{"correcting", correctingSQL, b.perCut && b.to < b.last},
		{"conflicts", conflictsSQL, true},
	} {
		if !more.wanted {
			continue
		}
		found, err := l.ledger(ctx, more.name, more.statement, b)
		if err != nil {
			return nil, err
		}
		entries = append(entries, found...)
	}
	slices.SortFunc(entries, func(a, b rules.Entry) int { return compareEntries(&a, &b) })
	return slices.CompactFunc(entries, func(a, b rules.Entry) bool { return compareEntries(&a, &b) == 0 }), nil
}

func (l loader) ledger(ctx context.Context, name, statement string, b bounds) ([]rules.Entry, error) {
	args := []any{number("from", b.from), number("to", b.to)}
	switch name {
	case "correcting":
		args = append(args, number("last", b.last))
	case "conflicts":
		args = append(args, number("most", maxConflicts))
	}
	var entries []rules.Entry
	err := l.each(ctx, func(body string) error {
		var e rules.Entry
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			return fmt.Errorf("row %d: %w", len(entries)+1, err)
		}
		entries = append(entries, e)
		return check(&e)
	}, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("read the ledger of cuts %d to %d (%s): %w", b.from, b.to, name, err)
	}
	return entries, nil
}

// told returns how many conflicts there are, by the cut that found them; those of cuts before
// the first that the reports are of count with that.
func (l loader) told(ctx context.Context, b bounds) (map[uint64]uint64, error) {
	rows, err := l.conn.Query(ctx, conflictsToldSQL, number("from", b.from), number("to", b.to))
	if err != nil {
		return nil, fmt.Errorf("count the conflicts up to cut %d: %w", b.to, err)
	}
	defer rows.Close()
	told := map[uint64]uint64{}
	for rows.Next() {
		var cut, n uint64
		if err := rows.Scan(&cut, &n); err != nil {
			return nil, fmt.Errorf("count the conflicts up to cut %d: %w", b.to, err)
		}
		told[cut] = n
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count the conflicts up to cut %d: %w", b.to, err)
	}
	return told, nil
}

// rulesets returns the rules files of the cuts, the last used last. They are read
// for titles alone, so one that is missing, or that this version cannot read, is
// left out and its rules are called by their IDs.
func (l loader) rulesets(ctx context.Context, cuts []rules.Cut) ([]*rules.Ruleset, error) {
	usedBy := map[string]uint64{}
	for i := range cuts {
		usedBy[cuts[i].Ruleset] = cuts[i].Number
	}
	var digests []string
	for i := range cuts {
		if usedBy[cuts[i].Ruleset] == cuts[i].Number {
			digests = append(digests, cuts[i].Ruleset)
		}
	}
	rows, err := l.conn.Query(ctx, rulesetsSQL, clickhouse.Named("digests", digests))
	if err != nil {
		return nil, fmt.Errorf("read the rulesets: %w", err)
	}
	defer rows.Close()
	var sets []*rules.Ruleset
	for rows.Next() {
		var digest, source string
		if err := rows.Scan(&digest, &source); err != nil {
			return nil, fmt.Errorf("read the rulesets: %w", err)
		}
		if set, err := rulefile.Parse("ruleset "+digest, []byte(source)); err == nil && set.Digest == digest {
			sets = append(sets, set)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the rulesets: %w", err)
	}
	slices.SortFunc(sets, func(a, b *rules.Ruleset) int { return cmp.Compare(usedBy[a.Digest], usedBy[b.Digest]) })
	return sets, nil
}

// texts returns the one column of a statement.
func (l loader) texts(ctx context.Context, statement string, args ...any) ([]string, error) {
	var texts []string
	err := l.each(ctx, func(text string) error {
		texts = append(texts, text)
		return nil
	}, statement, args...)
	return texts, err
}

// each gives take the one column of each row, one after the other, so that they are not all in
// memory beside what is made of them. The first error of take ends it.
func (l loader) each(ctx context.Context, take func(text string) error, statement string, args ...any) error {
	rows, err := l.conn.Query(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		if err := take(text); err != nil {
			return err
		}
	}
	return rows.Err()
}

func number(name string, n uint64) any { return clickhouse.Named(name, n) }
