package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// books are what the settlement has written.
type books struct {
	cuts     []rules.Cut     // recorded, from number 1
	settled  [][]rules.Entry // by cut
	sources  map[string]string
	rulesets map[string]*rules.Ruleset
	secret   string
}

// readBooks reads and checks cuts, rulesets and ledger, each by itself and as a chain.
func readBooks(ctx context.Context, conn driver.Conn, v *Verification) (*books, error) {
	b := &books{sources: map[string]string{}, rulesets: map[string]*rules.Ruleset{}}
	for _, read := range []func(context.Context, driver.Conn, *Verification) error{b.readCuts, b.readRulesets, b.readLedger, b.readSecret, b.readTaken} {
		if err := read(ctx, conn, v); err != nil {
			return nil, fmt.Errorf("read the books: %w", err)
		}
	}
	b.chain(v)
	return b, nil
}

func each(ctx context.Context, conn driver.Conn, statement string, scan func(driver.Rows) error) (err error) {
	rows, err := conn.Query(ctx, statement)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// exact decodes a body that must be what encoding it again gives, byte for byte: so no
// key is unknown and none is written otherwise.
func exact(body string, to any) error {
	d := json.NewDecoder(bytes.NewReader([]byte(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	again, err := json.Marshal(to)
	if err == nil && string(again) != body {
		err = errors.New("it is not written as this program writes it")
	}
	return err
}

// readCuts reads the first candidate of each number. Later ones are those of settlers
// who lost, and decide nothing.
func (b *books) readCuts(ctx context.Context, conn driver.Conn, v *Verification) error {
	return each(ctx, conn, "SELECT number, through_ns, body FROM recorded_cuts ORDER BY number", func(rows driver.Rows) error {
		var number uint64
		var through int64
		var body string
		if err := rows.Scan(&number, &through, &body); err != nil {
			return err
		}
		var cut rules.Cut
		if err := exact(body, &cut); err != nil {
			v.mismatch("table cuts, number %d: the body was changed: %v", number, err)
		}
		if cut.Number != number || int64(cut.Through) != through {
			v.mismatch("table cuts, number %d, through %d: the body says cut %d through %d", number, through, cut.Number, int64(cut.Through))
		}
		if want := uint64(len(b.cuts) + 1); number != want {
			v.mismatch("table cuts: cut %d is missing, the next is %d", want, number)
		}
		b.cuts = append(b.cuts, cut)
		return nil
	})
}

func (b *books) readRulesets(ctx context.Context, conn driver.Conn, v *Verification) error {
	return each(ctx, conn, "SELECT digest, source FROM rulesets ORDER BY digest, source", func(rows driver.Rows) error {
		var digest, source string
		if err := rows.Scan(&digest, &source); err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(source))
		if is := "sha256:" + hex.EncodeToString(sum[:]); is != digest {
			v.mismatch("table rulesets, %s: the source was changed, its digest is %s", digest, is)
			return nil
		}
		b.sources[digest] = source
		return nil
	})
}

// ruleset returns a recorded ruleset.
func (b *books) ruleset(digest string) (*rules.Ruleset, error) {
	if set := b.rulesets[digest]; set != nil {
		return set, nil
	}
	source, ok := b.sources[digest]
	if !ok {
		return nil, fmt.Errorf("its ruleset %s is not recorded", digest)
	}
	set, err := rules.ParseRuleset("ruleset "+digest, []byte(source))
	if err == nil {
		b.rulesets[digest] = set
	}
	return set, err
}

// readLedger reads every row of the ledger as it stands, and compares each column with
// what the body says, and each ID with what it must be. Equal rows are one entry.
func (b *books) readLedger(ctx context.Context, conn driver.Conn, v *Verification) error {
	const columns = "cut, n, kind, rule, scope, window_opens_ns, window_closes_ns, subject, key, id, body"
	var last rules.Entry
	return each(ctx, conn, "SELECT "+columns+" FROM ledger_entries ORDER BY cut, n, id, body", func(rows driver.Rows) error {
		var e, column rules.Entry
		var kind, scope, subject, body string
		var opens, closes int64
		if err := rows.Scan(&column.Cut, &column.N, &kind, &column.Rule, &scope, &opens, &closes, &subject, &column.Key, &column.ID, &body); err != nil {
			return err
		}
		at := fmt.Sprintf("table ledger, cut %d, n %d", column.Cut, column.N)
		if err := exact(body, &e); err != nil {
			v.mismatch("%s: the body was changed: %v", at, err)
			return nil
		}
		for _, c := range []struct {
			name          string
			column, inner any
		}{
			{"cut", column.Cut, e.Cut},
			{"n", column.N, e.N},
			{"kind", kind, string(e.Kind)},
			{"rule", column.Rule, e.Rule},
			{"scope", scope, string(e.Scope)},
			{"window_opens_ns", opens, int64(e.Window.Opens)},
			{"window_closes_ns", closes, int64(e.Window.Closes)},
			{"subject", subject, e.Subject()},
			{"key", column.Key, e.Key},
			{"id", column.ID, e.ID},
		} {
			if c.column != c.inner {
				v.mismatch("%s: the column %s says %v, the body %v", at, c.name, c.column, c.inner)
			}
		}
		if want := e.Digest(); e.ID != want {
			v.mismatch("%s: the ID is %s, and what the entry says has %s", at, e.ID, want)
		}
		for uint64(len(b.settled)) < column.Cut {
			b.settled = append(b.settled, nil)
		}
		if column.Cut == last.Cut && column.N == last.N && len(b.settled[column.Cut-1]) > 0 {
			v.mismatch("%s: two different entries stand there, %s and %s", at, last.ID, e.ID)
			return nil
		}
		last = e
		b.settled[column.Cut-1] = append(b.settled[column.Cut-1], e)
		return nil
	})
}

func (b *books) readSecret(ctx context.Context, conn driver.Conn, _ *Verification) error {
	return each(ctx, conn, "SELECT secret FROM secrets ORDER BY _block_number, _block_offset LIMIT 1", func(rows driver.Rows) error {
		return rows.Scan(&b.secret)
	})
}

// readTaken looks for cuts that were taken in and are not recorded: the last ones may
// have been taken out.
func (b *books) readTaken(ctx context.Context, conn driver.Conn, v *Verification) error {
	return each(ctx, conn, "SELECT greatest((SELECT max(cut) FROM touches), (SELECT max(cut) FROM claims), (SELECT max(cut) FROM conflicts))", func(rows driver.Rows) error {
		var last uint64
		if err := rows.Scan(&last); err != nil {
			return err
		}
		if recorded := uint64(len(b.cuts)); last > recorded {
			v.mismatch("table cuts: it ends at cut %d, and what cut %d took in is there: the last cuts were taken out", recorded, last)
		}
		return nil
	})
}

// chain checks that each cut names the one before, that bounds only grow, and that each
// settled entry names its cut's record and the settled entry before.
func (b *books) chain(v *Verification) {
	if len(b.settled) > len(b.cuts) {
		v.mismatch("table cuts: cut %d is settled but not recorded", len(b.settled))
		b.settled = b.settled[:len(b.cuts)]
	}
	previous := ""
	for i := range b.cuts {
		cut := &b.cuts[i]
		if cut.Previous != previous {
			v.mismatch("cut %d names %q as what ended the cut before, which is %q", cut.Number, cut.Previous, previous)
		}
		if i > 0 {
			growing(&b.cuts[i-1], cut, v)
		}
		if i >= len(b.settled) {
			if i > len(b.settled) {
				v.mismatch("cut %d is recorded, and cut %d before it is not settled", cut.Number, cut.Number-1)
			}
			if _, err := b.ruleset(cut.Ruleset); err != nil {
				v.mismatch("cut %d is recorded and not settled: %v", cut.Number, err)
			}
			continue
		}
		entries := b.settled[i]
		if len(entries) == 0 || entries[len(entries)-1].Settled == nil {
			v.mismatch("cut %d: the entry that ends it is missing", cut.Number)
			b.settled = b.settled[:i]
			return
		}
		end := entries[len(entries)-1]
		if end.Settled.Previous != previous {
			v.mismatch("cut %d: the entry that ends it names %q as the one before, which is %q", cut.Number, end.Settled.Previous, previous)
		}
		if digest := cut.Digest(); end.Settled.Record != digest {
			v.mismatch("cut %d: its record was changed: the ledger names %s, it is %s", cut.Number, end.Settled.Record, digest)
		}
		for n := range entries {
			if entries[n].N != uint32(n) {
				v.mismatch("cut %d: entry %d is missing", cut.Number, n)
				break
			}
		}
		previous = end.ID
	}
}

// growing checks that a cut claims to know no less than the one before.
func growing(before, cut *rules.Cut, v *Verification) {
	if cut.Through < before.Through || cut.AsOf < before.AsOf || cut.ClosedAt < before.ClosedAt {
		v.mismatch("cut %d goes back behind cut %d", cut.Number, before.Number)
	}
	if cut.Kind == rules.LateCut && cut.Through != before.Through {
		v.mismatch("cut %d is late and moves its end from %s to %s", cut.Number, before.Through, cut.Through)
	}
	for _, l := range before.Nodes {
		if cut.Offset(l.Node) < l.Offset {
			v.mismatch("cut %d reads less of node %s than cut %d", cut.Number, l.Node, before.Number)
		}
	}
}
