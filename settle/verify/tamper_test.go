package verify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"photofinish/rules"
	"photofinish/settle/verify"
)

// saved is a world of which every table has a copy, so that one after the other can be
// tampered with and restored.
type saved struct {
	*world
	decided [][]rules.Entry
	award   *rules.Entry   // an award of a later cut
	decides rules.Record   // the event that decides it
	changed []string       // tables to restore
	idle    []rules.Record // events in the last cut that no entry names and that have no copies
}

func newSaved(t *testing.T) *saved {
	t.Helper()
	s := &saved{world: newWorld(t)}
	h := rich(t)
	s.decided = s.write(h)
	for _, table := range tables {
		s.world.exec("CREATE TABLE saved_"+table+" AS "+table, "INSERT INTO saved_"+table+" SELECT * FROM "+table)
	}
	all := text(t, s.decided)
	copies := map[rules.Identity]int{}
	for i := range h.Log {
		copies[h.Log[i].Identity()]++
	}
	end := &h.Cuts[len(h.Cuts)-1].Cut
	for i := range h.Log {
		r := &h.Log[i]
		if end.Holds(r.Node, r.Offset, r.Instant) && copies[r.Identity()] == 1 && !strings.Contains(all, text(t, r.Identity())) {
			s.idle = append(s.idle, *r)
		}
	}
	for _, entries := range s.decided[1:] {
		for i := range entries {
			if e := &entries[i]; e.Award != nil && e.Key != "" && s.award == nil {
				s.award = e
			}
		}
	}
	at := slices.IndexFunc(h.Log, func(r rules.Record) bool { return r.Identity() == s.award.Award.Claim.Decided })
	s.decides = h.Log[at]
	if len(s.idle) == 0 {
		t.Fatal("every event is named by an entry")
	}
	if v := s.verify(verify.Config{}); len(v.Mismatches) > 0 {
		t.Fatal(v.Mismatches)
	}
	return s
}

// change replaces a column of those rows that a condition selects. A table is written
// anew, so that columns of its order can be changed too.
func (s *saved) change(table, column, to, where string) {
	s.Helper()
	s.exec("TRUNCATE TABLE "+table, fmt.Sprintf("INSERT INTO %s SELECT * REPLACE (if(%s, %s, %s) AS %s) FROM saved_%s", table, where, to, column, column, table))
}

// exec does what somebody does to the tables.
func (s *saved) exec(statements ...string) {
	s.Helper()
	for _, table := range tables {
		for _, statement := range statements {
			if strings.Contains(statement, "TABLE "+table) || strings.Contains(statement, "INTO "+table+" ") {
				s.changed = append(s.changed, table)
			}
		}
	}
	s.world.exec(statements...)
}

func (s *saved) restore() {
	s.Helper()
	slices.Sort(s.changed)
	for _, table := range slices.Compact(s.changed) {
		s.world.exec("TRUNCATE TABLE "+table, "INSERT INTO "+table+" SELECT * FROM saved_"+table)
	}
	s.changed = nil
}

// found fails unless verify names what was done by one of the words.
func (s *saved) found(t *testing.T, words ...string) {
	t.Helper()
	v, err := verify.Run(t.Context(), s.conn, verify.Config{})
	if err != nil {
		t.Fatal("it ended instead of saying what differs: ", err)
	}
	for _, m := range v.Mismatches {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(m, word) }) {
			return
		}
	}
	t.Errorf("no mismatch names %q: %q", words, v.Mismatches)
}

// columns returns the names and types of a table's columns.
func (s *saved) columns(table string) (names, types []string) {
	s.Helper()
	rows, err := s.conn.Query(s.Context(), "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {table:String} ORDER BY position",
		named("table", table))
	if err != nil {
		s.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			s.Fatal(err)
		}
		names, types = append(names, name), append(types, kind)
	}
	if err := rows.Err(); err != nil {
		s.Fatal(err)
	}
	return names, types
}

// another returns an expression for another value of a column.
func another(column, kind string) string {
	switch {
	case strings.HasPrefix(kind, "Map"):
		return "mapUpdate(" + column + ", map('forged', 'x'))"
	case strings.HasPrefix(kind, "FixedString"):
		return "unhex('" + strings.Repeat("00", 16) + "')"
	case strings.Contains(kind, "String"):
		return "concat(" + column + ", 'x')"
	}
	return column + " + 1"
}

func rowOf(r *rules.Record) string {
	return fmt.Sprintf("node = '%s' AND offset = %d", r.Node, r.Offset)
}

// Every column of every row that matters is looked at: one is changed, alone, and
// verify names it. A column that is added to a table is tried without being listed.
func TestEveryColumn(t *testing.T) {
	s := newSaved(t)
	entry := func(e *rules.Entry) string { return fmt.Sprintf("cut = %d AND n = %d", e.Cut, e.N) }
	last := s.decided[len(s.decided)-1]
	for _, test := range []struct {
		name, table, where, words string
	}{
		{"a cut", "cuts", "number = 2", "cut"},
		{"the last cut", "cuts", fmt.Sprintf("number = %d", len(s.decided)), "cut"},
		{"a ruleset", "rulesets", "1", "ruleset"},
		{"the secret", "secrets", "1", "commitment"},
		{"an award", "ledger", entry(s.award), "table ledger, cut"},
		{"the entry that ends a cut", "ledger", entry(&s.decided[0][len(s.decided[0])-1]), "table ledger, cut"},
		{"the last entry", "ledger", entry(&last[len(last)-1]), "table ledger, cut"},
		{"an event that decides nothing", "event_log", rowOf(&s.idle[0]), "table event_log, node " + s.idle[0].Node},
	} {
		names, types := s.columns(test.table)
		for i, column := range names {
			if test.table == "event_log" && slices.Contains(estimates, column) {
				continue // see TestEstimates
			}
			t.Run(test.name+"/"+column, func(t *testing.T) {
				defer s.restore()
				s.change(test.table, column, another(column, types[i]), test.where)
				s.found(t, test.words)
			})
		}
	}
}

// estimates are the columns of the log that no event's content holds: where a node put
// it and what it made of the clocks.
var estimates = []string{"node", "offset", "instant_ns", "earliest_ns", "latest_ns", "backdated", "received_ns"}
