// Package ledger keeps the tables that a settlement writes: cuts, rulesets, the
// secret of draws, and the ledger. It has one reading rule for each: the first
// candidate is the cut, and an entry counts once however often it stands there.
//
// Every write is one insert of one block and may be repeated. An error of an insert
// says nothing about whether it happened, so the answer is always read.
//
// The ledger is a chain: the entry that ends a cut holds the ID of the one that ended
// the cut before, and the digest of its own cut's record. Each ID is a digest of the
// entry. What somebody with write access can still do is to change the last cut, or
// everything from some cut on, consistently; package verify finds that as long as the
// log is true, and an ID that was told to others finds it always.
package ledger

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
	"photofinish/rules/rulefile"
)

//go:embed sql/schema.sql
var schemaSQL string

// Migrate creates the tables and views that are not there yet. It may run any number
// of times, also from two processes at once.
func Migrate(ctx context.Context, conn driver.Conn) error {
	for _, statement := range strings.SplitAfter(schemaSQL, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("create the ledger's tables: %w", err)
		}
	}
	return nil
}

// Store reads and writes the tables. Several of them may use one database at once; one
// is not safe for concurrent use.
type Store struct {
	conn    driver.Conn
	history history
	kept    string // digest of the ruleset that was last seen to be recorded
}

// New returns a store on tables that Migrate made. It does no I/O.
func New(conn driver.Conn) *Store { return &Store{conn: conn} }

var errNotThere = errors.New("the row is not there after the insert")

// Cuts returns the cuts recorded from one number to another, both included, in order.
func (s *Store) Cuts(ctx context.Context, from, to uint64) ([]rules.Cut, error) {
	bodies, err := s.texts(ctx, "SELECT body FROM recorded_cuts WHERE number BETWEEN {from:UInt64} AND {to:UInt64} ORDER BY number",
		clickhouse.Named("from", from), clickhouse.Named("to", to))
	if err != nil {
		return nil, fmt.Errorf("read the cuts from %d: %w", from, err)
	}
	cuts := make([]rules.Cut, len(bodies))
	for i, body := range bodies {
		if err := json.Unmarshal([]byte(body), &cuts[i]); err != nil {
			return nil, fmt.Errorf("cut %d or later is damaged: %w", from, err)
		}
		if want := from + uint64(i); cuts[i].Number != want {
			return nil, fmt.Errorf("cut %d is missing: the next is %d; restore the table cuts", want, cuts[i].Number)
		}
	}
	return cuts, nil
}

// Before returns the newest cut of which everything was written at least so long before
// the last cut was recorded; a cut without a number if there is none.
func (s *Store) Before(ctx context.Context, last *rules.Cut, long time.Duration) (rules.Cut, error) {
	const some = 64
	next := *last // a cut's writes end before the next one is recorded
	for next.Number > 1 {
		cuts, err := s.Cuts(ctx, max(next.Number, some+1)-some, next.Number-1)
		if err != nil {
			return rules.Cut{}, err
		}
		for _, c := range slices.Backward(cuts) {
			if next.ClosedAt <= last.ClosedAt.Add(-long) {
				return c, nil
			}
			next = c
		}
	}
	return rules.Cut{}, nil
}

// Rulesets returns the digests of the rulesets that cuts from one number to another were
// settled by, sorted.
func (s *Store) Rulesets(ctx context.Context, from, to uint64) ([]string, error) {
	cuts, err := s.Cuts(ctx, from, to)
	digests := make([]string, len(cuts))
	for i := range cuts {
		digests[i] = cuts[i].Ruleset
	}
	slices.Sort(digests)
	return slices.Compact(digests), err
}

// Propose appends a candidate and returns the cut of that number, which may be
// another settler's.
func (s *Store) Propose(ctx context.Context, cut *rules.Cut) (rules.Cut, error) {
	body, err := json.Marshal(cut)
	if err != nil {
		return rules.Cut{}, fmt.Errorf("propose cut %d: %w", cut.Number, err)
	}
	insertErr := s.insert(ctx, "INSERT INTO cuts (number, through_ns, body)",
		[]uint64{cut.Number}, []int64{int64(cut.Through)}, []string{string(body)})
	cuts, err := s.Cuts(ctx, cut.Number, cut.Number)
	if err != nil {
		return rules.Cut{}, errors.Join(insertErr, err)
	}
	if len(cuts) == 0 {
		return rules.Cut{}, fmt.Errorf("propose cut %d: %w", cut.Number, errors.Join(insertErr, errNotThere))
	}
	return cuts[0], nil
}

// Last is the last settled cut, with the entry that ended it. Next is the cut recorded
// after it, which is not settled; nil where there is none.
type Last struct {
	Cut     rules.Cut // zero: nothing is settled
	ID      string
	Settled *rules.Settled
	Next    *rules.Cut
}

// Last returns where the settlement stands. It reads the last cuts alone. It refuses a
// last cut that stands in the ledger in two versions: two settlers decided differently,
// and a person must find out why.
func (s *Store) Last(ctx context.Context) (Last, error) {
	var number uint64
	if err := s.conn.QueryRow(ctx, "SELECT max(cut) FROM ledger WHERE kind = 'settled'").Scan(&number); err != nil {
		return Last{}, fmt.Errorf("read the last settled cut: %w", err)
	}
	var last Last
	cuts, err := s.Cuts(ctx, max(number, 1), number+1)
	if err != nil {
		return Last{}, err
	}
	if number > 0 {
		if len(cuts) == 0 {
			return Last{}, fmt.Errorf("cut %d is settled but not recorded: restore the table cuts", number)
		}
		entries, err := s.Entries(ctx, number)
		if err != nil {
			return Last{}, err
		}
		for i := range entries {
			if i > 0 && entries[i].N == entries[i-1].N {
				return Last{}, &MismatchError{number, int(entries[i].N), entries[i].ID, entries[i-1].ID}
			}
		}
		end := entries[len(entries)-1]
		if end.Settled == nil {
			return Last{}, fmt.Errorf("the last entry of cut %d does not end it; run verify", number)
		}
		last = Last{Cut: cuts[0].Without(end.Settled.Lost), ID: end.ID, Settled: end.Settled}
		cuts = cuts[1:]
	}
	if len(cuts) > 0 {
		last.Next = &cuts[0]
	}
	return last, nil
}

// Numbers returns the number of the last settled cut and that of the last recorded one; 0
// is none.
func (s *Store) Numbers(ctx context.Context) (settled, recorded uint64, err error) {
	const statement = "SELECT (SELECT max(cut) FROM ledger WHERE kind = 'settled'), (SELECT max(number) FROM cuts)"
	if err := s.conn.QueryRow(ctx, statement).Scan(&settled, &recorded); err != nil {
		return 0, 0, fmt.Errorf("read the last cuts' numbers: %w", err)
	}
	return settled, recorded, nil
}

// KeepRuleset records the ruleset, unless it is there.
func (s *Store) KeepRuleset(ctx context.Context, set *rules.Ruleset) error {
	if set.Digest == s.kept {
		return nil
	}
	var n uint64
	err := s.conn.QueryRow(ctx, "SELECT count() FROM rulesets WHERE digest = {digest:String}",
		clickhouse.Named("digest", set.Digest)).Scan(&n)
	if err != nil {
		return fmt.Errorf("look for ruleset %s: %w", set.Digest, err)
	}
	if n == 0 {
		if err := s.insert(ctx, "INSERT INTO rulesets (digest, source)", []string{set.Digest}, []string{string(set.Source)}); err != nil {
			return fmt.Errorf("keep ruleset %s: %w", set.Digest, err)
		}
	}
	s.kept = set.Digest
	return nil
}

// Ruleset returns a recorded ruleset.
func (s *Store) Ruleset(ctx context.Context, digest string) (*rules.Ruleset, error) {
	sources, err := s.texts(ctx, "SELECT source FROM rulesets WHERE digest = {digest:String} LIMIT 1", clickhouse.Named("digest", digest))
	if err != nil {
		return nil, fmt.Errorf("read ruleset %s: %w", digest, err)
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("ruleset %s, which a cut names, is not recorded: restore the table rulesets", digest)
	}
	set, err := rulefile.Parse("ruleset "+digest, []byte(sources[0]))
	if err != nil {
		return nil, err
	}
	if set.Digest != digest {
		return nil, fmt.Errorf("ruleset %s is damaged: its digest is %s", digest, set.Digest)
	}
	return set, nil
}

// Secret returns the secret that seeds come from, proposing fresh if there is none. As
// with cuts, the candidate that was committed first is used for ever.
func (s *Store) Secret(ctx context.Context, fresh func() (string, error)) (string, error) {
	const read = "SELECT secret FROM secrets ORDER BY _block_number, _block_offset LIMIT 1"
	secrets, err := s.texts(ctx, read)
	if err != nil {
		return "", fmt.Errorf("read the secret of draws: %w", err)
	}
	if len(secrets) > 0 {
		return secrets[0], nil
	}
	candidate, err := fresh()
	if err != nil {
		return "", fmt.Errorf("make the secret of draws: %w", err)
	}
	insertErr := s.insert(ctx, "INSERT INTO secrets (secret)", []string{candidate})
	if secrets, err = s.texts(ctx, read); err != nil {
		return "", fmt.Errorf("read the secret of draws: %w", err)
	}
	if len(secrets) == 0 {
		return "", fmt.Errorf("keep the secret of draws: %w", errors.Join(insertErr, errNotThere))
	}
	return secrets[0], nil
}

// Clock returns what the store's clock says.
func (s *Store) Clock(ctx context.Context) (rules.Instant, error) {
	var ns int64
	if err := s.conn.QueryRow(ctx, "SELECT toUnixTimestamp64Nano(now64(9))").Scan(&ns); err != nil {
		return 0, fmt.Errorf("read the store's clock: %w", err)
	}
	return rules.Instant(ns), nil
}

// texts returns the one column of a statement.
func (s *Store) texts(ctx context.Context, statement string, args ...any) (texts []string, err error) {
	rows, err := s.conn.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, rows.Err()
}

// insert sends columns of equal length as one block, the unit that ClickHouse
// writes whole or not at all.
func (s *Store) insert(ctx context.Context, statement string, columns ...any) error {
	batch, err := s.conn.PrepareBatch(ctx, statement)
	if err != nil {
		return err
	}
	for i, column := range columns {
		if err := batch.Column(i).Append(column); err != nil {
			return errors.Join(err, batch.Abort())
		}
	}
	return batch.Send()
}
