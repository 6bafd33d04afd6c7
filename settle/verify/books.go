package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
	"photofinish/rules/rulefile"
)

// books are what the settlement has written, as far as it can be replayed: cuts and
// settled begin with cut 1 and have no holes.
type books struct {
	cuts     []rules.Cut     // recorded; at least as many as are settled
	settled  [][]rules.Entry // by cut; the last of each ends it
	ledger   []written       // everything in the ledger, by cut
	known    uint64          // the highest number of a cut when reading began
	taken    uint64          // the highest cut that the settler's own tables knew before that
	sources  map[string]string
	rulesets map[string]*rules.Ruleset
	secret   string
}

// written are the entries under one number of a cut.
type written struct {
	cut     uint64
	entries []rules.Entry
}

// readBooks reads and checks cuts, rulesets and ledger, each by itself and as a chain.
// A settler may work meanwhile. It writes a cut's record, then what it took in, then
// its entries; so what comes later is read earlier, and nothing seems to be missing.
func readBooks(ctx context.Context, conn driver.Conn, v *Verification) (*books, error) {
	b := &books{sources: map[string]string{}, rulesets: map[string]*rules.Ruleset{}}
	for _, read := range []func(context.Context, driver.Conn, *Verification) error{
		b.readTaken, b.readKnown, b.readLedger, b.readCuts, b.readRulesets, b.readSecret,
	} {
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

// readTaken reads how far the tables go that the settler keeps beside the ledger. They
// say nothing of what was decided, but that a cut was there.
func (b *books) readTaken(ctx context.Context, conn driver.Conn, _ *Verification) error {
	return each(ctx, conn, "SELECT greatest((SELECT max(cut) FROM touches), (SELECT max(cut) FROM claims), (SELECT max(cut) FROM conflicts))",
		func(rows driver.Rows) error { return rows.Scan(&b.taken) })
}

func (b *books) readKnown(ctx context.Context, conn driver.Conn, _ *Verification) error {
	return each(ctx, conn, "SELECT max(number) FROM recorded_cuts", func(rows driver.Rows) error { return rows.Scan(&b.known) })
}

// exact decodes a body that must be what encoding it again gives, byte for byte: so no
// key is unknown and none is written otherwise. It reports whether the body can be read
// at all.
func exact(body string, to any) (readable bool, err error) {
	if err := json.Unmarshal([]byte(body), to); err != nil {
		return false, err
	}
	again, err := json.Marshal(to)
	if err != nil {
		return false, err
	}
	if !bytes.Equal(again, []byte(body)) {
		return true, errors.New("it is not written as this program writes it")
	}
	return true, nil
}

// readCuts reads the first candidate of each number. Later ones are those of settlers
// who lost, and decide nothing. A cut that is missing or cannot be read ends what can
// be replayed.
func (b *books) readCuts(ctx context.Context, conn driver.Conn, v *Verification) error {
	broken := false
	return each(ctx, conn, "SELECT number, through_ns, body FROM recorded_cuts ORDER BY number", func(rows driver.Rows) error {
		var number uint64
		var through int64
		var body string
		if err := rows.Scan(&number, &through, &body); err != nil {
			return err
		}
		var cut rules.Cut
		readable, err := exact(body, &cut)
		if err != nil {
			v.mismatch("table cuts, number %d: the body was changed: %v", number, err)
		}
		if readable && (cut.Number != number || int64(cut.Through) != through) {
			v.mismatch("table cuts, number %d, through %d: the body says cut %d through %d", number, through, cut.Number, int64(cut.Through))
		}
		if want := uint64(len(b.cuts) + 1); number != want && !broken {
			v.mismatch("table cuts: cut %d is missing, the next is %d", want, number)
			broken = number != 0
		}
		if broken = broken || number != 0 && (!readable || cut.Number != number); !broken && number != 0 {
			b.cuts = append(b.cuts, cut)
		}
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
	set, err := rulefile.Parse("ruleset "+digest, []byte(source))
	if err == nil {
		b.rulesets[digest] = set
	}
	return set, err
}

func (b *books) readSecret(ctx context.Context, conn driver.Conn, _ *Verification) error {
	return each(ctx, conn, "SELECT secret FROM secrets ORDER BY _block_number, _block_offset LIMIT 1", func(rows driver.Rows) error {
		return rows.Scan(&b.secret)
	})
}

// row is one row of the ledger, as its columns say it.
type row struct {
	cut                                 uint64
	n                                   uint32
	kind, rule, scope, subject, key, id string
	opens, closes                       int64
	body                                string
}

// readLedger reads every row of the ledger as it stands, and compares each column with
// what the body says, and each ID with what it must be. Rows that are equal in
// everything are one entry.
func (b *books) readLedger(ctx context.Context, conn driver.Conn, v *Verification) error {
	const statement = `SELECT cut, n, kind, rule, scope, window_opens_ns, window_closes_ns, subject, key, id, body
FROM ledger
ORDER BY cut, n, id, body, kind, rule, scope, window_opens_ns, window_closes_ns, subject, key`
	var last row
	return each(ctx, conn, statement, func(rows driver.Rows) error {
		var r row
		if err := rows.Scan(&r.cut, &r.n, &r.kind, &r.rule, &r.scope, &r.opens, &r.closes, &r.subject, &r.key, &r.id, &r.body); err != nil {
			return err
		}
		if r == last {
			return nil
		}
		e := r.read(v)
		if k := len(b.ledger); k == 0 || b.ledger[k-1].cut != r.cut {
			b.ledger = append(b.ledger, written{cut: r.cut})
		} else if r.n == last.n {
			v.mismatch("table ledger, cut %d, n %d: two different rows stand there, %s and %s", r.cut, r.n, last.id, r.id)
			return nil
		}
		last = r
		of := &b.ledger[len(b.ledger)-1]
		of.entries = append(of.entries, e)
		return nil
	})
}

// read returns what the body says, checked.
func (r *row) read(v *Verification) (e rules.Entry) {
	at := fmt.Sprintf("table ledger, cut %d, n %d", r.cut, r.n)
	readable, err := exact(r.body, &e)
	if err != nil {
		v.mismatch("%s: the body was changed: %v", at, err)
	}
	if !readable {
		return rules.Entry{Cut: r.cut, N: r.n, ID: r.id}
	}
	says := row{
		e.Cut, e.N, string(e.Kind), e.Rule, string(e.Scope), e.Subject(), e.Key, e.ID,
		int64(e.Window.Opens), int64(e.Window.Closes), r.body,
	}
	for _, c := range []struct {
		name          string
		column, inner any
	}{
		{"cut", r.cut, says.cut},
		{"n", r.n, says.n},
		{"kind", r.kind, says.kind},
		{"rule", r.rule, says.rule},
		{"scope", r.scope, says.scope},
		{"window_opens_ns", r.opens, says.opens},
		{"window_closes_ns", r.closes, says.closes},
		{"subject", r.subject, says.subject},
		{"key", r.key, says.key},
		{"id", r.id, says.id},
	} {
		if c.column != c.inner {
			v.mismatch("%s: the column %s says %v, the body %v", at, c.name, c.column, c.inner)
		}
	}
	if !complete(&e) {
		v.mismatch("%s: it is of kind %q and has not what belongs to that", at, e.Kind)
	}
	if want := e.Digest(); e.ID != want {
		v.mismatch("%s: the ID is %s, and what the entry says has %s", at, e.ID, want)
	}
	return e
}

// complete reports whether an entry has what its kind sets and nothing else.
func complete(e *rules.Entry) bool {
	var set []rules.EntryKind
	for _, part := range []struct {
		kind  rules.EntryKind
		there bool
	}{
		{rules.KindAward, e.Award != nil},
		{rules.KindBoard, e.Board != nil},
		{rules.KindPrize, e.Prize != nil},
		{rules.KindAllocation, e.Allocation != nil},
		{rules.KindCorrection, e.Correction != nil},
		{rules.KindCompensation, e.Compensation != nil},
		{rules.KindCommitment, e.Commitment != nil},
		{rules.KindConflict, e.Conflict != nil},
		{rules.KindWaiting, e.Waiting != nil},
		{rules.KindSettled, e.Settled != nil},
	} {
		if part.there {
			set = append(set, part.kind)
		}
	}
	return slices.Equal(set, []rules.EntryKind{e.Kind})
}
