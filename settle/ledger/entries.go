package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"photofinish/rules"
)

// Append writes all entries of a cut in one insert and reads back that the ledger
// holds these and no others for it.
func (s *Store) Append(ctx context.Context, cut uint64, entries []rules.Entry) error {
	n := len(entries)
	cuts, ns, kinds := make([]uint64, n), make([]uint32, n), make([]string, n)
	names, scopes, subjects, keys := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	ids, bodies := make([]string, n), make([]string, n)
	opens, closes := make([]int64, n), make([]int64, n)
	for i := range entries {
		e := &entries[i]
		body, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("append cut %d to the ledger: %w", cut, err)
		}
		cuts[i], ns[i], kinds[i], names[i], scopes[i] = e.Cut, e.N, string(e.Kind), e.Rule, string(e.Scope)
		opens[i], closes[i] = int64(e.Window.Opens), int64(e.Window.Closes)
		subjects[i], keys[i], ids[i], bodies[i] = e.Subject(), e.Key, e.ID, string(body)
	}
	insertErr := s.insert(ctx, `INSERT INTO ledger (cut, n, kind, rule, scope, window_opens_ns, window_closes_ns, subject, key, id, body)`,
		cuts, ns, kinds, names, scopes, opens, closes, subjects, keys, ids, bodies)
	there, err := s.texts(ctx, "SELECT id FROM ledger_entries WHERE cut = {cut:UInt64} ORDER BY n, id", clickhouse.Named("cut", cut))
	if err != nil {
		return fmt.Errorf("read back cut %d: %w", cut, err)
	}
	if len(there) == 0 {
		return fmt.Errorf("append cut %d to the ledger: %w", cut, insertErr)
	}
	for i := range max(len(ids), len(there)) {
		if a, b := at(ids, i), at(there, i); a != b {
			return &MismatchError{cut, i, a, b}
		}
	}
	return nil
}

func at(ids []string, i int) string {
	if i < len(ids) {
		return ids[i]
	}
	return ""
}

// Entries returns the entries of a cut, in order. Two different entries under one
// number are both returned.
func (s *Store) Entries(ctx context.Context, cut uint64) ([]rules.Entry, error) {
	return s.entries(ctx, "SELECT body FROM ledger_entries WHERE cut = {cut:UInt64} ORDER BY n, id", clickhouse.Named("cut", cut))
}

// OfRule returns the entries of a rule, in order.
func (s *Store) OfRule(ctx context.Context, rule string) ([]rules.Entry, error) {
	return s.entries(ctx, "SELECT body FROM ledger_entries WHERE rule = {rule:String} ORDER BY cut, n, id", clickhouse.Named("rule", rule))
}

// Conflicts returns the conflicts that the cuts from a number on have found, in order.
func (s *Store) Conflicts(ctx context.Context, from uint64) ([]rules.Entry, error) {
	return s.entries(ctx, "SELECT body FROM ledger_entries WHERE kind = {kind:String} AND cut >= {from:UInt64} ORDER BY cut, n, id",
		clickhouse.Named("kind", string(rules.KindConflict)), clickhouse.Named("from", from))
}

// Open returns the entries of the contests that evidence after the cut may still
// change, by the ruleset, in order: achievements aside, whose awards are read subject
// by subject. Another settler may have appended those of the next cut: they are not read.
func (s *Store) Open(ctx context.Context, cut *rules.Cut, set *rules.Ruleset) ([]rules.Entry, error) {
	open := []string{}
	var args []any
	for i := range set.Rules {
		r := &set.Rules[i]
		if r.Kind == rules.Achievement {
			continue
		}
		name := fmt.Sprintf("r%d", i)
		args = append(args, clickhouse.Named(name, r.ID))
		// Of a window that is past correction only what is held matters, and that is not
		// for longer than the hold after an end that no clock puts further than this.
		last := cut.AsOf.Add(-max(r.Correct, r.Hold) - rules.Farthest)
		open = append(open, fmt.Sprintf("rule = {%s:String} AND (window_closes_ns = 0 OR window_closes_ns > %d)", name, last))
	}
	if len(open) == 0 || cut.Number == 0 {
		return nil, nil
	}
	return s.entries(ctx, "SELECT body FROM ledger_entries WHERE cut <= {cut:UInt64} AND ("+strings.Join(open, "\n    OR ")+")\nORDER BY cut, n, id",
		append(args, clickhouse.Named("cut", cut.Number))...)
}

// Contest returns the entries of one contest up to a cut, in order; of an achievement
// those that name one of the subjects. Another settler may have appended those of the cut
// that is being decided: it decides nothing by itself.
func (s *Store) Contest(ctx context.Context, c rules.ContestID, cut uint64, subjects []string) ([]rules.Entry, error) {
	statement := `SELECT body
FROM ledger_entries
WHERE rule = {rule:String} AND scope = {scope:String} AND window_opens_ns = {opens:Int64} AND window_closes_ns = {closes:Int64} AND cut <= {cut:UInt64}`
	args := []any{
		clickhouse.Named("cut", cut),
		clickhouse.Named("rule", c.Rule), clickhouse.Named("scope", string(c.Scope)),
		clickhouse.Named("opens", int64(c.Window.Opens)), clickhouse.Named("closes", int64(c.Window.Closes)),
	}
	if subjects != nil {
		statement += " AND subject IN {subjects:Array(String)}"
		args = append(args, clickhouse.Named("subjects", subjects))
	}
	return s.entries(ctx, statement+"\nORDER BY cut, n, id", args...)
}

func (s *Store) entries(ctx context.Context, statement string, args ...any) ([]rules.Entry, error) {
	bodies, err := s.texts(ctx, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	entries := make([]rules.Entry, len(bodies))
	for i, body := range bodies {
		if err := json.Unmarshal([]byte(body), &entries[i]); err != nil {
			return nil, fmt.Errorf("an entry of the ledger is damaged: %w", err)
		}
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
