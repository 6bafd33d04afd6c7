package main

import (
	"context"
	"fmt"
)

// bareCut returns what the least that any cut has to do takes: two inserts, each made
// durable, and the two reads that see them back, in tables of the same settings.
func (m meter) bareCut(ctx context.Context) (usage, error) {
	const cuts = 50
	for _, table := range []string{"cuts", "ledger"} {
		if err := m.conn.Exec(ctx, "CREATE TABLE bare_"+table+" AS "+table); err != nil {
			return usage{}, err
		}
	}
	took, err := m.measure(ctx, func() error {
		for n := range uint64(cuts) {
			if err := m.writeBareCut(ctx, n); err != nil {
				return err
			}
		}
		return nil
	})
	return took.per(cuts), err
}

func (m meter) writeBareCut(ctx context.Context, n uint64) error {
	var there uint64
	for _, table := range []struct {
		insert, count string
		row           []any
	}{
		{"INSERT INTO bare_cuts (number, through_ns, body)", "SELECT count() FROM bare_cuts WHERE number = ", []any{n, int64(n), "{}"}},
		{"INSERT INTO bare_ledger (cut, n, body)", "SELECT count() FROM bare_ledger WHERE cut = ", []any{n, uint32(0), "{}"}},
	} {
		batch, err := m.conn.PrepareBatch(ctx, table.insert)
		if err != nil {
			return err
		}
		if err := batch.Append(table.row...); err != nil {
			return err
		}
		if err := batch.Send(); err != nil {
			return err
		}
		if err := m.conn.QueryRow(ctx, table.count+fmt.Sprint(n)).Scan(&there); err != nil || there != 1 {
			return fmt.Errorf("bare cut %d: %d rows, %w", n, there, err)
		}
	}
	return nil
}
