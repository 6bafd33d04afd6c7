package main

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
	"photofinish/settle/ledger"
)

// finish is who reached a threshold when.
type finish struct {
	subject string
	at      rules.Instant
}

// awarded voids the figures if the awards of the rule "first" are not the finishes, in
// the order of their time.
func (s *scene) awarded(ctx context.Context, want []finish) error {
	entries, err := ledger.New(s.conn.Conn).OfRule(ctx, "first")
	if err != nil {
		return err
	}
	var got []finish
	for i := range entries {
		e := &entries[i]
		if e.Kind != rules.KindAward || e.Award.Place != len(got)+1 {
			return void("entry %d of cut %d is %s, want the award of place %d", e.N, e.Cut, e.Kind, len(got)+1)
		}
		got = append(got, finish{e.Award.Claim.Subject, e.Award.Claim.At})
	}
	if !slices.Equal(got, want) {
		return void("the awards are %v, the log says %v", got, want)
	}
	return nil
}

// texts returns the one column of a statement.
func texts(ctx context.Context, conn driver.Conn, statement string) (all []string, err error) {
	rows, err := conn.Query(ctx, statement)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

// finishes returns the subjects and instants that a statement answers, by instant.
func finishes(ctx context.Context, conn driver.Conn, statement string) (all []finish, err error) {
	rows, err := conn.Query(ctx, statement)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var f finish
		var at int64
		if err := rows.Scan(&f.subject, &at); err != nil {
			return nil, err
		}
		f.at = rules.Instant(at)
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b finish) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.subject, b.subject)) })
	return all, rows.Err()
}
