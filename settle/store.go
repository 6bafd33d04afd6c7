package settle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// store reads and writes the tables of settle. Every write is one insert of one
// block, and may be repeated: readers see it once.
type store struct {
	conn driver.Conn
}

// readCuts returns the cuts recorded from number on, in order. Of several
// candidates for a number the one that was committed first is the cut.
func (s store) readCuts(ctx context.Context, from uint64) ([]rules.Cut, error) {
	rows, err := s.conn.Query(ctx, `SELECT body
FROM cuts
WHERE number >= {from:UInt64}
ORDER BY number, _block_number, _block_offset
LIMIT 1 BY number`, clickhouse.Named("from", from))
	if err != nil {
		return nil, fmt.Errorf("read the cuts from %d: %w", from, err)
	}
	defer rows.Close()
	var cuts []rules.Cut
	for rows.Next() {
		var body string
		if err := rows.Scan(&body); err != nil {
			return nil, fmt.Errorf("read the cuts from %d: %w", from, err)
		}
		var cut rules.Cut
		if err := json.Unmarshal([]byte(body), &cut); err != nil {
			return nil, fmt.Errorf("cut %d or later is damaged: %w", from, err)
		}
		if want := from + uint64(len(cuts)); cut.Number != want {
			return nil, fmt.Errorf("cut %d is missing: the next is %d; restore the table cuts", want, cut.Number)
		}
		cuts = append(cuts, cut)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the cuts from %d: %w", from, err)
	}
	return cuts, nil
}

// propose appends a candidate and returns the cut of that number, which may be
// another settler's. An error of the insert says nothing about whether it
// happened, so the answer is always read.
func (s store) propose(ctx context.Context, cut *rules.Cut) (rules.Cut, error) {
	body, err := json.Marshal(cut)
	if err != nil {
		return rules.Cut{}, fmt.Errorf("propose cut %d: %w", cut.Number, err)
	}
	insertErr := s.insert(ctx, "INSERT INTO cuts (number, through_ns, body)",
		[]uint64{cut.Number}, []int64{int64(cut.Through)}, []string{string(body)})
	cuts, err := s.readCuts(ctx, cut.Number)
	if err != nil {
		return rules.Cut{}, errors.Join(insertErr, err)
	}
	if len(cuts) == 0 {
		return rules.Cut{}, fmt.Errorf("propose cut %d: %w", cut.Number, errors.Join(insertErr, errNotThere))
	}
	return cuts[0], nil
}

var errNotThere = errors.New("the row is not there after the insert")

// keepRuleset records the ruleset, unless it is there.
func (s store) keepRuleset(ctx context.Context, set *rules.Ruleset) error {
	var n uint64
	err := s.conn.QueryRow(ctx, "SELECT count() FROM rulesets WHERE digest = {digest:String}",
		clickhouse.Named("digest", set.Digest)).Scan(&n)
	if err != nil {
		return fmt.Errorf("look for ruleset %s: %w", set.Digest, err)
	}
	if n > 0 {
		return nil
	}
	if err := s.insert(ctx, "INSERT INTO rulesets (digest, source)", []string{set.Digest}, []string{string(set.Source)}); err != nil {
		return fmt.Errorf("keep ruleset %s: %w", set.Digest, err)
	}
	return nil
}

// ruleset returns a recorded ruleset.
func (s store) ruleset(ctx context.Context, digest string) (*rules.Ruleset, error) {
	var source string
	err := s.conn.QueryRow(ctx, "SELECT source FROM rulesets WHERE digest = {digest:String} LIMIT 1",
		clickhouse.Named("digest", digest)).Scan(&source)
	if err != nil {
		return nil, fmt.Errorf("read ruleset %s: %w", digest, err)
	}
	set, err := rules.ParseRuleset("ruleset "+digest, []byte(source))
	if err != nil {
		return nil, err
	}
	if set.Digest != digest {
		return nil, fmt.Errorf("ruleset %s is damaged: its digest is %s", digest, set.Digest)
	}
	return set, nil
}

// secret returns the secret that seeds come from, proposing fresh if there is none.
// As with cuts, the candidate that was committed first is used for ever.
func (s store) secret(ctx context.Context, dry bool, fresh func() (string, error)) (string, error) {
	read := func() (secret string, ok bool, err error) {
		rows, err := s.conn.Query(ctx, "SELECT secret FROM secrets ORDER BY _block_number, _block_offset LIMIT 1")
		if err != nil {
			return "", false, fmt.Errorf("read the secret of draws: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			if err := rows.Scan(&secret); err != nil {
				return "", false, fmt.Errorf("read the secret of draws: %w", err)
			}
			ok = true
		}
		return secret, ok, rows.Err()
	}
	secret, ok, err := read()
	if err != nil || ok {
		return secret, err
	}
	if dry {
		return "", nil
	}
	candidate, err := fresh()
	if err != nil {
		return "", fmt.Errorf("make the secret of draws: %w", err)
	}
	insertErr := s.insert(ctx, "INSERT INTO secrets (secret)", []string{candidate})
	secret, ok, err = read()
	if err == nil && !ok {
		err = errors.Join(insertErr, errNotThere)
	}
	return secret, err
}

// insert sends columns of equal length as one block, the unit that ClickHouse
// writes whole or not at all.
func (s store) insert(ctx context.Context, statement string, columns ...any) error {
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
