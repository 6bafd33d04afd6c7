package verify_test

import (
	"fmt"
	"strings"
	"testing"

	"photofinish/rules"
)

// Whatever somebody who can write the tables does beyond changing one column, verify
// ends, and names it.
func TestForgeries(t *testing.T) {
	s := newSaved(t)
	cuts := len(s.decided)
	last := s.decided[cuts-1]
	award := fmt.Sprintf("cut = %d AND n = %d", s.award.Cut, s.award.N)
	at := fmt.Sprintf("table ledger, cut %d, n %d", s.award.Cut, s.award.N)
	subject := text(t, s.award.Award.Claim.Subject)
	forge := fmt.Sprintf("replace(body, '\"subject\":%s', '\"subject\":\"mallory\"')", strings.ReplaceAll(subject, "'", "''"))
	beside := func(replaced string) string {
		return "INSERT INTO ledger SELECT * REPLACE (" + replaced + ") FROM (SELECT * FROM saved_ledger WHERE " + award + ")"
	}
	without := func(table, where string) []string {
		return []string{"TRUNCATE TABLE " + table, "INSERT INTO " + table + " SELECT * FROM saved_" + table + " WHERE NOT (" + where + ")"}
	}
	body := func(table, where, to string) []string {
		return []string{"TRUNCATE TABLE " + table, fmt.Sprintf("INSERT INTO %s SELECT * REPLACE (if(%s, %s, body) AS body) FROM saved_%s", table, where, to, table)}
	}
	idle, decides := &s.idle[0], &s.decides
	event := func(r *rules.Record, replaced string) string {
		return "INSERT INTO event_log SELECT * REPLACE (" + replaced + ") FROM (SELECT * FROM saved_event_log WHERE " + rowOf(r) + ")"
	}
	for _, test := range []struct {
		name  string
		do    []string
		words string
	}{
		{"the award's subject", body("ledger", award, forge), at},
		{"what no column says of an award", body("ledger", award, `replaceOne(body, '"state":"', '"state":"x')`), at},
		{"an unknown key in an entry", body("ledger", award, `replaceOne(body, '{', '{"note":"paid",')`), at},
		{"a key twice in an entry", body("ledger", award, `replaceOne(body, '"subject":', '"subject":"mallory","subject":')`), at},
		{"an unknown key in a cut", body("cuts", "number = 2", `replaceOne(body, '{', '{"note":"paid",')`), "table cuts, number 2"},
		{"more behind an entry", body("ledger", award, `concat(body, ' {}')`), at},
		{"an entry that is no JSON", body("ledger", award, `'nothing'`), at},
		{"a cut that is no JSON", body("cuts", "number = 2", `'nothing'`), "table cuts, number 2"},
		{"a watermark in a cut", body("cuts", "number = 2", `replaceRegexpOne(body, '"watermark":"2026', '"watermark":"2027')`), "cut 2: its record was changed"},
		{"the last cut's own record", body("cuts", fmt.Sprint("number = ", cuts), `replaceRegexpOne(body, '"as_of":"2026', '"as_of":"2027')`), fmt.Sprintf("cut %d: its record was changed", cuts)},
		{"an entry taken out", without("ledger", award), fmt.Sprintf("cut %d", s.award.Cut)},
		{"a cut's entries taken out", without("ledger", "cut = 2"), "cut 2"},
		{"the last cut's entries taken out, but its record", without("ledger", fmt.Sprint("cut = ", cuts, " AND kind = 'settled'")), fmt.Sprintf("cut %d: the entry that ends it is missing", cuts)},
		{"two cuts' entries taken out", without("ledger", fmt.Sprint("cut >= ", cuts-1)), fmt.Sprintf("cut %d is recorded, and cut %d before it is not settled", cuts, cuts-1)},
		{"a cut taken out", without("cuts", "number = 2"), "cut 2 is missing"},
		{"the first cut taken out", without("cuts", "number = 1"), "cut 1 is missing"},
		{"every cut taken out", without("cuts", "1"), "cut 1 is settled but not recorded"},
		{"a ruleset taken out", without("rulesets", "1"), "ruleset"},
		{"the log taken out", without("event_log", "1"), "cut 1"},
		{"a ruleset's source twice, one forged", []string{"INSERT INTO rulesets SELECT digest, concat(source, '# x') FROM saved_rulesets"}, "table rulesets"},
		{"a forged row beside the true one", []string{beside(forge + " AS body")}, at},
		{"only a column of a second row", []string{beside("'' AS key")}, at},
		{"a row far behind the last", []string{beside("n + 1000 AS n")}, fmt.Sprintf("table ledger, cut %d, n %d", s.award.Cut, s.award.N+1000)},
		{"a row of a cut not yet made", []string{beside(fmt.Sprintf("%d AS cut", cuts+1))}, fmt.Sprintf("table ledger, cut %d", cuts+1)},
		{"a row of cut 0", []string{beside("0 AS cut")}, "table ledger, cut 0"},
		{"a row of the last number there is", []string{beside("18446744073709551615 AS cut")}, "table ledger, cut 18446744073709551615"},
		{"a forged next cut", []string{fmt.Sprintf("INSERT INTO cuts SELECT %d, through_ns, replaceOne(body, '\"number\":%d', '\"number\":%d') FROM saved_cuts WHERE number = %d", cuts+1, cuts, cuts+1, cuts)}, fmt.Sprintf("cut %d names", cuts+1)},
		{"a forged cut far ahead", []string{fmt.Sprintf("INSERT INTO cuts SELECT 18446744073709551615, through_ns, body FROM saved_cuts WHERE number = %d", cuts)}, "table cuts, number 18446744073709551615"},
		{"cut 0", []string{"INSERT INTO cuts SELECT 0, through_ns, body FROM saved_cuts WHERE number = 1"}, "table cuts, number 0"},
		{"an event put in", []string{event(idle, "'forged' AS id")}, "table event_log, node " + idle.Node},
		{"a whole event put in", []string{event(idle, "offset + 1000 AS offset, 'forged' AS id")}, "table event_log, node " + idle.Node},
		{"another content of an idle event", []string{event(idle, "'mallory' AS player")}, "table event_log, node " + idle.Node},
		{"another estimate beside the true one", []string{event(decides, "earliest_ns - 1 AS earliest_ns")}, fmt.Sprintf("table event_log, node %s, offset %d", decides.Node, decides.Offset)},
		{"an event taken out", without("event_log", rowOf(idle)), "cut"},
		{"an event that decides taken out", without("event_log", rowOf(decides)), fmt.Sprintf("cut %d", s.award.Cut)},
		{"the last cut taken out of all but the tallies", append(append(
			without("ledger", fmt.Sprint("cut = ", last[0].Cut)), without("cuts", fmt.Sprint("number = ", cuts))...),
			fmt.Sprintf("INSERT INTO touches (cut) VALUES (%d)", cuts)), "the last cuts were taken out"},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer s.restore()
			s.exec(test.do...)
			s.found(t, test.words)
		})
	}
	s.exec("TRUNCATE TABLE touches")
}

// Somebody who can compute IDs gains nothing by it: an entry that is whole in itself
// and says another thing than the log is found, also where it has none of what its
// kind needs.
func TestForgedWhole(t *testing.T) {
	s := newSaved(t)
	for _, test := range []struct {
		name  string
		forge func(*rules.Entry)
	}{
		{"another place", func(e *rules.Entry) { a := *e.Award; a.Place++; e.Award = &a }},
		{"another effect", func(e *rules.Entry) { e.Key = "pf-forged" }},
		{"an allocation of nothing", func(e *rules.Entry) { e.Kind, e.Award = rules.KindAllocation, nil }},
		{"an award of nothing", func(e *rules.Entry) { e.Award = nil }},
		{"an end of nothing", func(e *rules.Entry) { e.Kind, e.Award = rules.KindSettled, nil }},
		{"a kind there is not", func(e *rules.Entry) { e.Kind = "gift" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer s.restore()
			forged := *s.award
			test.forge(&forged)
			forged.ID = forged.Digest()
			s.exec("TRUNCATE TABLE ledger", fmt.Sprintf("INSERT INTO ledger SELECT * FROM saved_ledger WHERE NOT (cut = %d AND n = %d)", s.award.Cut, s.award.N))
			batch, err := s.conn.PrepareBatch(t.Context(), "INSERT INTO ledger (cut, n, kind, rule, scope, window_opens_ns, window_closes_ns, subject, key, id, body)")
			if err != nil {
				t.Fatal(err)
			}
			err = batch.Append(forged.Cut, forged.N, string(forged.Kind), forged.Rule, string(forged.Scope), int64(forged.Window.Opens), int64(forged.Window.Closes),
				forged.Subject(), forged.Key, forged.ID, text(t, &forged))
			if err != nil {
				t.Fatal(err)
			}
			if err := batch.Send(); err != nil {
				t.Fatal(err)
			}
			s.found(t, fmt.Sprintf("cut %d, entry %d: the evidence decides", s.award.Cut, s.award.N))
		})
	}
}

// What a node made of the clocks is no part of an event's content; where it decided
// something, another estimate decides another thing.
func TestEstimates(t *testing.T) {
	s := newSaved(t)
	const hours = "10 * 3600 * 1000000000"
	for _, test := range []struct{ column, to string }{
		{"node", "'forged'"},
		{"offset", "offset + 1000000"},
		{"instant_ns", "instant_ns + 1"},
		{"earliest_ns", "earliest_ns - " + hours},
		{"latest_ns", "latest_ns + " + hours},
	} {
		t.Run(test.column, func(t *testing.T) {
			defer s.restore()
			s.change("event_log", test.column, test.to, rowOf(&s.decides))
			s.found(t, "cut ")
		})
	}
}
